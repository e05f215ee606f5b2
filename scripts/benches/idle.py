"""What an editor that nobody types in costs, with our extension or server and without: processor time and wakeups.

    scripts/bench idle [--seconds 60] [--editors vscode,nvim,hx]     prints a table, writes idle.json

The real editors of `scripts/install-editors`, on a project whose index is whole and whose engine is loaded. Processor
time is the scheduler's own count in nanoseconds; a wakeup is a thread that had given the processor up and got it again.
Both are counts of ours alone, which other programs on the machine hardly move.
"""

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.e2e.daemons import Daemons
from tests.e2e.editors import helix, neovim, project, traffic, vscode
from tests.e2e.editors.places import editor

SETTLE_S = 15.0  # after the last thing that happened: what was put off until it is quiet is done by then
WAIT_S = 120.0
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Spent:
    """By some processes, in some seconds of quiet. `said`: messages between editor and server."""

    cpu_s: float
    wakeups: int
    said: int = 0

    def shown(self) -> str:
        return f"{self.cpu_s * 1000:8.1f} ms of CPU {self.wakeups:6} wakeups"


def commands() -> Mapping[int, str]:
    """The command lines of all processes that run now."""
    found: dict[int, str] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                )
    return found


def family(pid: int) -> frozenset[int]:
    """A process and all that it started, directly or not."""
    parents: dict[int, int] = {}
    for other in commands():
        with suppress(OSError):
            parents[other] = int((PROC / str(other) / "stat").read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return frozenset(found)


def so_far(pids: frozenset[int]) -> Spent:
    """By these processes since they began."""
    cpu_ns = wakeups = 0
    for task in (task for pid in pids for task in (PROC / str(pid) / "task").glob("*")):
        with suppress(OSError):
            cpu_ns += int((task / "schedstat").read_text().split()[0])
            [line] = [line for line in (task / "status").read_text().splitlines() if line.startswith("voluntary_ctxt")]
            wakeups += int(line.split()[1])
    return Spent(cpu_ns / 1e9, wakeups)


def quiet(groups: Mapping[str, frozenset[int]], log: Path, seconds: float, settle_s: float) -> dict[str, Spent]:
    """What each group of processes spends while nothing happens."""
    time.sleep(settle_s)
    before, n_before = {name: so_far(pids) for name, pids in groups.items()}, n_said(log)
    time.sleep(seconds)
    after, said = {name: so_far(pids) for name, pids in groups.items()}, n_said(log) - n_before
    return {
        name: Spent(after[name].cpu_s - before[name].cpu_s, after[name].wakeups - before[name].wakeups, said)
        for name in groups
    }


def n_said(log: Path) -> int:
    return len(log.read_text("utf-8").splitlines()) if log.exists() else 0


def server(log: Path, engine: int) -> dict[str, frozenset[int]]:
    """The server behind `tee.py` with its index, and the daemon."""
    recorder = int(traffic.newest(log).lines[0]["session"])
    return {"server": family(recorder) - {recorder}, "daemon": family(engine)}


def in_terminal(name: str, daemons: Daemons, seconds: float, settle_s: float = SETTLE_S) -> dict[str, Spent]:
    """Of Neovim or Helix."""
    with TemporaryDirectory(prefix="idle-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        root = project.make(folder)
        if name == "hx":
            with helix.helix(folder, root, "shop/stock.py") as window:
                return quiet(server(window.log, _daemon(daemons)), window.log, seconds, settle_s)
        with neovim.neovim(folder, root) as found:
            found.edit("shop/stock.py")
            return quiet(server(found.log, _daemon(daemons)), found.log, seconds, settle_s)


def in_vscode(vsix: Path | None, daemons: Daemons, seconds: float, settle_s: float = SETTLE_S) -> dict[str, Spent]:
    """Of VS Code's extension host; and of the server, where there is the extension."""
    home = editor("vscode")
    assert home is not None
    with TemporaryDirectory(prefix="idle-", ignore_cleanup_errors=True) as place:
        scratch = Path(place)
        root = project.make(scratch)
        with vscode.serve(home, vsix, root, scratch, {}) as code, _window(code, vsix is not None, seconds + settle_s):
            [host] = [
                pid for pid, line in commands().items() if "--type=extensionHost" in line and _is_of(pid, scratch)
            ]
            groups = {"extension host": frozenset({host})}
            if vsix is not None:
                groups |= server(code.traffic, _daemon(daemons))
            return quiet(groups, code.traffic, seconds, settle_s)


def _is_of(pid: int, scratch: Path) -> bool:
    return f"HOME={scratch}\0".encode() in (PROC / str(pid) / "environ").read_bytes()


def _daemon(daemons: Daemons) -> int:
    [found] = daemons.running()
    return int(found["pid"])


@contextmanager
def _window(code: vscode.Code, served: bool, seconds: float) -> Iterator[None]:
    """The page, until the end of this."""
    shown = threading.Thread(target=code.in_page, args=("idle.mjs", seconds + WAIT_S), kwargs={"served": served})
    shown.start()
    deadline = time.monotonic() + WAIT_S
    try:
        while not (code.scratch / "still").exists():
            assert shown.is_alive() and time.monotonic() < deadline, "the window did not open"
            time.sleep(0.1)
        yield
    finally:
        (code.scratch / "enough").touch()
        shown.join()


@contextmanager
def home() -> Iterator[Daemons]:
    """A home of its own with the scripted engine; its daemon ends with it."""
    with TemporaryDirectory(prefix="qwen-") as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("QWEN_LSP_HOME", folder)
        daemons = Daemons(Path(folder))
        project.settings(daemons.home)
        try:
            yield daemons
        finally:
            daemons.run("stop", "--all")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench idle", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--editors", type=lambda text: text.split(","), default=["vscode", "nvim", "hx"])
    parser.add_argument("--out", type=Path, default=Path("bench-results"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    print(f"{options.seconds:.0f} s in which nobody types")
    rows = []
    for title, run in _runs(options.editors, options.seconds):
        with home() as daemons:
            for group, spent in run(daemons).items():
                rows.append({"editor": title, "processes": group, "seconds": options.seconds} | asdict(spent))
                print(f"{title:30} {group:15} {spent.shown()} {spent.said:3} messages", flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "idle.json").write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
    return 0


def _runs(names: Sequence[str], seconds: float) -> Iterator[tuple[str, Callable[[Daemons], dict[str, Spent]]]]:
    for name in names:
        if editor(name) is None:
            print(f"{name} is not installed")
        elif name == "vscode":
            yield "VS Code without the extension", partial(in_vscode, None, seconds=seconds)
            yield "VS Code", partial(in_vscode, vscode.packed(), seconds=seconds)
        else:
            yield name, partial(in_terminal, name, seconds=seconds)
