"""A program in a terminal of its own, typed at and looked at as a person does: tmux, with no configuration but ours.

Knows no editor. Waiting is looking again until a deadline: a screen tells nobody when it changes.
"""

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.editors.places import need

COLUMNS, ROWS = 100, 30
# When to give up, not how long anything takes. With six more programs on two cores a server took 20 s to start.
WAIT_S, START_S = 60.0, 120.0
LOOK_S = 0.1  # a look starts a program: more of them would take the time that what is waited for needs
CALL_S = 60.0
# What a program said before it died stays to be read.
CONFIGURATION = """set -g remain-on-exit on
set -g status off
set -g default-terminal tmux-256color
set -as terminal-features ",*:RGB"
"""


def until[T](
    look: Callable[[], T | None], what: str, told: Callable[[], object] = lambda: "", wait_s: float = WAIT_S
) -> T:
    """The first true value of `look`. `told`: what to show where it never comes."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(LOOK_S)
    raise AssertionError(f"waited {wait_s:.0f} s in vain for {what}\n{told()}")


@dataclass(frozen=True, slots=True)
class Terminal:
    """One window of one tmux server."""

    tmux: Path
    socket: Path

    def _call(self, *arguments: str) -> str:
        command = [str(self.tmux), "-S", str(self.socket), "-f", str(self.socket.with_suffix(".conf")), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=CALL_S, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def keys(self, *names: str) -> None:
        """Press keys by tmux's names for them: `Escape`, `C-l`, `Enter`, or a letter."""
        self._call("send-keys", "-t", "it", *names)

    def text(self, text: str) -> None:
        """Type characters as they are."""
        self._call("send-keys", "-t", "it", "-l", text)

    def screen(self) -> str:
        return self._call("capture-pane", "-p", "-t", "it")

    def colours(self) -> str:
        """The screen with its escape sequences, and the spaces at the ends of lines, which have a colour, too."""
        return self._call("capture-pane", "-p", "-e", "-N", "-t", "it")

    def resize(self, n_columns: int, n_rows: int) -> None:
        """Make the window another size; the program in it is told."""
        self._call("resize-window", "-t", "it", "-x", str(n_columns), "-y", str(n_rows))

    def shows(self, *texts: str) -> str:
        """Wait until the screen holds all these texts; the screen."""

        def look() -> str:
            screen = self.screen()
            return screen if all(text in screen for text in texts) else ""

        return until(look, f"{texts} on the screen", self.screen)

    def shows_not(self, text: str) -> None:
        """Wait until the screen does not hold this text."""
        until(lambda: text not in self.screen(), f"{text} to leave the screen", self.screen)


@contextmanager
def terminal(folder: Path, command: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> Iterator[Terminal]:
    """A terminal in which `command` runs. `folder` is for its socket; afterwards nothing runs there."""
    found = Terminal(need("tmux"), folder / "tmux")
    found.socket.with_suffix(".conf").write_text(CONFIGURATION, "utf-8")
    size = ["-x", str(COLUMNS), "-y", str(ROWS), "-c", str(cwd)]
    env = [part for name, value in environ.items() for part in ("-e", f"{name}={value}")]
    found._call("new-session", "-d", "-s", "it", *size, *env, *command)
    pid = int(found._call("display-message", "-p", "-t", "it", "#{pane_pid}"))
    try:
        yield found
    finally:
        found._call("kill-server")
        until(lambda: not _runs(pid), f"process {pid} to end")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def private(folder: Path) -> dict[str, str]:
    """An environment in which an editor finds no file of the user's. QWEN_LSP_HOME is passed on."""
    places = {
        name: str(folder / name.lower())
        for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    }
    for place in places.values():
        Path(place).mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in ("QWEN_LSP_HOME", "PATH") if name in os.environ}
    return {**places, **kept, "HOME": str(folder), "COLORTERM": "truecolor", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}
