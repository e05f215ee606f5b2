"""What each window says of itself, in a small file of its own, so that `qwen-lsp status` can tell why it is silent.

States, reasons and counts; no source text. A file whose process is gone is removed by whoever reads it.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import platformdirs

from qwen_lsp import private

LIMIT_BYTES = 1 << 18


def windows_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """In `QWEN_LSP_HOME`, else in the platform's folder for state."""
    home = environ.get("QWEN_LSP_HOME")
    folder = Path(home).expanduser() if home else platformdirs.user_state_path("qwen-lsp", appauthor=False)
    return folder / "windows"


def write(folder: Path, state: Mapping[str, Any]) -> None:
    """This process's file, whole or not at all, for the user only. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    private.write(_path(folder, os.getpid()), json.dumps({"pid": os.getpid(), **state}))


def remove(folder: Path) -> None:
    """This window closes."""
    with suppress(OSError):
        _path(folder, os.getpid()).unlink(missing_ok=True)


def read(folder: Path) -> list[dict[str, Any]]:
    """What the windows that run say, in the order of their process ids."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json"), key=lambda path: path.stem.zfill(12)):
        with suppress(OSError, ValueError, RecursionError):
            if not path.stem.isdecimal() or not _runs(int(path.stem)):
                path.unlink(missing_ok=True)
                continue
            with path.open("rb") as file:
                state = json.loads(file.read(LIMIT_BYTES))
            if isinstance(state, dict):
                found.append(state)
    return found


def lines(state: Mapping[str, Any]) -> list[str]:
    """For a person: the window, then why its last requests were empty."""
    paused = "  paused" if state.get("paused") else ""
    detail = f"  {state['detail']}" if state.get("detail") else ""
    roots = ", ".join(map(str, state.get("roots") or ())) or "no folder"
    found = [f"window {state.get('pid')}  {roots}  engine {state.get('state')}{detail}{paused}"]
    for answer in state.get("empty") or ():
        times = f" ({answer.get('times')} times)" if answer.get("times", 1) != 1 else ""
        found.append(f"  {answer.get('at')}  {answer.get('feature')}: {answer.get('reason')}{times}")
    return found


def _path(folder: Path, pid: int) -> Path:
    return folder / f"{pid}.json"


def _runs(pid: int) -> bool:
    if os.name == "nt":
        return True  # a signal of 0 would end it there; a stale line does no harm
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
