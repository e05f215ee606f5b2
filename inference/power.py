"""Is this machine on its battery? Linux: /sys/class/power_supply. macOS: what pmset says. Elsewhere nobody knows.

Knows no policy.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Source = Literal["mains", "battery", "unknown"]

ASK_S = 5.0  # pmset answers in milliseconds; a machine that does not is not worth a wait


@dataclass(frozen=True, slots=True)
class Power:
    """Where the current comes from. `percent` of the battery; None: there is none, or it does not tell."""

    source: Source
    percent: int | None = None


def power(root: Path = Path("/"), system: str = sys.platform) -> Power:
    """`root` is where /sys is."""
    if system == "darwin":
        return of_pmset(said("pmset", "-g", "batt"))
    return _of_sys(root / "sys/class/power_supply")


def of_pmset(text: str) -> Power:
    """What `pmset -g batt` prints: the source between quotes, then a line for each battery."""
    source: Source = "battery" if "'Battery Power'" in text else "mains" if "'AC Power'" in text else "unknown"
    numbers = [word.rstrip("%;") for word in text.split() if word.rstrip(";").endswith("%")]
    return Power(source, next((int(number) for number in numbers if number.isdecimal()), None))


def said(*command: str) -> str:
    """What a program of the system prints; nothing where there is none."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False).stdout
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""


def _of_sys(folder: Path) -> Power:
    """A battery that is a mouse's or a headset's has the scope "Device" and says nothing of the machine."""
    try:
        supplies = sorted(each for each in folder.iterdir() if _line(each / "scope") != "Device")
    except OSError:
        return Power("unknown")
    batteries = [each for each in supplies if _line(each / "type") == "Battery"]
    levels = [int(level) for each in batteries if (level := _line(each / "capacity")).isdecimal()]
    percent = min(levels, default=None)
    is_plugged = any(_line(each / "online") == "1" for each in supplies if _line(each / "type") != "Battery")
    if batteries and not is_plugged and any(_line(each / "status") == "Discharging" for each in batteries):
        return Power("battery", percent)
    return Power("mains" if supplies else "unknown", percent)


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
