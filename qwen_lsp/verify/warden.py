"""A program of its own that runs one command, watches what it takes, and kills all of it at the first limit.

Started as a file with `python -I -S`, so it imports the standard library only. Its first line of stdin is the order as
JSON; the end of stdin means stop, so it and the command die with whoever asked. The command's output goes to its
stdout, at most so many bytes; how it ended to stderr, as JSON. On Linux it is the parent of every orphan of the
command's, so nothing escapes by a new session; elsewhere what leaves the process group is not found. Knows no sandbox.
"""

import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

TICK_S = 0.1  # a look at /proc costs some 5 ms
GRACE_S = 5.0  # for the dead to be gone
READ_BYTES = 1 << 16
PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """What /proc says of one process."""

    pid: int
    parent: int
    cpu_s: float  # its own, and that of its children that are gone


def processes() -> Iterator[Process]:
    """All of the machine's; none where there is no /proc."""
    with suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208 - ten times a second
            if name.isdigit():
                with suppress(OSError, ValueError, IndexError):
                    with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                        row = file.read()
                    parts = row[row.rindex(b")") + 2 :].split()
                    yield Process(int(name), int(parts[1]), sum(map(int, parts[11:15])) / _TICKS)


def descendants(root: int) -> list[Process]:
    """The living ones below `root`."""
    below: dict[int, list[Process]] = {}
    for process in processes():
        below.setdefault(process.parent, []).append(process)
    found, waiting = [], [root]
    while waiting:
        children = below.get(waiting.pop(), [])
        found += children
        waiting += [child.pid for child in children]
    return found


def memory_bytes(pids: list[int]) -> int:
    """The pages that are theirs alone, or copied when written."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            parts = file.read().split()
            total += int(parts[1]) - int(parts[2])
    return total * _PAGE


class Watch:
    """One command, from its start until all of it is gone."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.started = time.monotonic()
        self.n_output = 0
        self.cpu_s = 0.0
        self.free_before = self._free()
        self.child = subprocess.Popen(
            order["argv"],
            cwd=order["folder"],
            env=order["environ"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=self._limited,
        )

    def _limited(self) -> None:
        """In the child, before the command. What a process takes by itself; the rest is watched."""
        order = self.order
        _lower(resource.RLIMIT_CORE, 0)
        _lower(resource.RLIMIT_FSIZE, order["file_bytes"])
        _lower(resource.RLIMIT_CPU, int(order["cpu_s"]) + 1)
        # Counted over all of the user's processes: some more than there are now. The system does not hold root to it.
        _lower(resource.RLIMIT_NPROC, sum(_threads()) + 4 * order["processes"])

    def run(self) -> tuple[str, str]:
        """Until it ends, or is ended: how, and by which figure."""
        assert self.child.stdout is not None
        output, orders = self.child.stdout.fileno(), sys.stdin.fileno()
        looked = 0.0
        watched = [output, orders]
        while True:
            ready, _, _ = select.select(watched, [], [], TICK_S)
            if orders in ready and not os.read(orders, READ_BYTES):
                return "stopped", ""
            if output in ready:
                octets = os.read(output, READ_BYTES)
                if not octets:
                    watched.remove(output)  # closed by all who had it
                elif not self._passed_on(octets):
                    return "output", f"more than {self.order['output_bytes']:,} bytes"
            if self.child.poll() is not None:
                return "exit", ""
            if time.monotonic() > looked + TICK_S:
                broken = self._broken()
                looked = time.monotonic()
                if broken is not None:
                    return broken

    def rest(self) -> None:
        """What is still in the pipe, after all who could write are gone."""
        assert self.child.stdout is not None
        output = self.child.stdout.fileno()
        while select.select([output], [], [], 0)[0]:
            octets = os.read(output, READ_BYTES)
            if not octets or not self._passed_on(octets):
                return

    def _passed_on(self, octets: bytes) -> bool:
        """Hand on what the limit allows; False when it is reached."""
        allowed = self.order["output_bytes"] - self.n_output
        self.n_output += len(octets)
        view = memoryview(octets)[: max(allowed, 0)]
        while view:
            view = view[os.write(1, view) :]
        return len(octets) <= int(allowed)

    def _broken(self) -> tuple[str, str] | None:
        """The limit that is exceeded now."""
        order = self.order
        if time.monotonic() - self.started > order["wall_s"]:
            return "time", f"more than {order['wall_s']:g} s"
        alive = descendants(os.getpid())
        self.cpu_s = max(self.cpu_s, sum(process.cpu_s for process in alive))
        if self.cpu_s > order["cpu_s"]:
            return "cpu", f"more than {order['cpu_s']:g} s of processor time"
        if len(alive) > order["processes"]:
            return "processes", f"more than {order['processes']} processes"
        if memory_bytes([process.pid for process in alive]) > order["memory_bytes"]:
            return "memory", f"more than {order['memory_bytes'] >> 20:,} MiB"
        if self.free_before - self._free() > order["disk_bytes"]:
            return "disk", f"more than {order['disk_bytes'] >> 20:,} MiB written"
        return None

    def _free(self) -> int:
        status = os.statvfs(self.order["written"])
        return int(status.f_bavail * status.f_frsize)

    def kill(self) -> int:
        """Everything that is left of it, in rounds: who forks while we look is seen in the next. How many stay."""
        until = time.monotonic() + GRACE_S
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.child.pid, signal.SIGKILL)  # the whole group at once: a fork bomb can not outrun it
        while True:
            alive = descendants(os.getpid())
            for process in alive:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, signal.SIGKILL)
            self.child.poll()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            if not alive and self.child.poll() is not None:
                return 0
            if time.monotonic() > until:
                return len(alive)
            time.sleep(0.005)


def _line(descriptor: int) -> bytes:
    """One line, and nothing behind it: the rest is for `select` to see."""
    octets = b""
    while not octets.endswith(b"\n"):
        part = os.read(descriptor, 1)
        if not part:
            break
        octets += part
    return octets


def _threads() -> Iterator[int]:
    """How many each of the user's processes has."""
    own = os.getuid()
    with suppress(OSError):
        for name in os.listdir("/proc"):  # noqa: PTH208
            with suppress(OSError):
                if name.isdigit() and os.stat(f"/proc/{name}").st_uid == own:  # noqa: PTH116
                    yield len(os.listdir(f"/proc/{name}/task"))  # noqa: PTH208


def _lower(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(kind, (limit, limit))


def _adopt() -> None:
    """Become the parent of orphans, where the system has that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> int:
    order = json.loads(_line(0))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _adopt()
    try:
        watch = Watch(order)
    except OSError as error:
        _tell({"ended": "not started", "detail": error.strerror or "exec", "code": 0, "left": 0})
        return 0
    ended, detail, left = "stopped", "", 0
    try:
        ended, detail = watch.run()
        code = watch.child.returncode if ended == "exit" else 0
    finally:
        left = watch.kill()
    watch.rest()
    if ended == "exit" and code in (-signal.SIGXCPU, 128 + signal.SIGXCPU):  # a shell or a sandbox says it its way
        ended, detail = "cpu", f"more than {order['cpu_s']:g} s of processor time"
    _tell({"ended": ended, "detail": detail, "code": code, "left": left})
    return 0


def _tell(status: dict[str, object]) -> None:
    sys.stderr.write(json.dumps(status) + "\n")


if __name__ == "__main__":
    sys.exit(main())
