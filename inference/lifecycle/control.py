"""What runs in this home, and how to end it. Knows the daemons by their records, their locks and /health."""

import http.client
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.lifecycle.home import Home, Refused
from inference.lifecycle.places import FileLock, Record, records
from inference.lifecycle.probe import counters, fetch, health

TERM_S = 5.0  # then SIGKILL
KILL_S = 5.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Status:
    """One daemon. Figures are None where it does not say; `memory_bytes` is resident, `memory` is what was planned."""

    pid: int
    address: str
    engine: str
    model: str
    n_ctx: int | None
    build: str
    state: str
    reason: str
    memory_bytes: int | None
    uptime_s: float
    tokens_evaluated: int | None
    tokens_reused: int | None
    memory: dict[str, Any] | None


def status(home: Home) -> list[Status]:
    """The daemons of this home that are alive. Changes nothing."""
    return [found for _, record in records(home) if (found := _status(record)) is not None]


def stop(home: Home, wanted: list[Record]) -> list[Record]:
    """End these daemons and clear away what dead ones left; those that were alive."""
    return [record for path, record in records(home) if record in wanted and _stop(path, record)]


def save_page(found: Status) -> Path | None:
    """A daemon's status page, in a file beside its socket, in a folder that is private; None: it does not answer."""
    socket = Path(found.address.removeprefix("unix:"))
    try:
        page = fetch(socket, "/status")
    except (OSError, http.client.HTTPException):
        return None
    path = _page(socket)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(page)
    return path


def _page(socket: Path) -> Path:
    return socket.with_suffix(".html")


def _status(record: Record) -> Status | None:
    found = health(record.socket)
    if found.state == "absent":
        return None
    metrics = counters(record.socket)
    evaluated, reused = (metrics.get(f"qwen_tokens_{name}_total") for name in ("evaluated", "reused"))
    return Status(
        pid=record.pid,
        address=record.address,
        engine=record.engine,
        model=record.model,
        n_ctx=record.n_ctx,
        build=record.build,
        state="not answering" if found.state == "silent" else found.state,
        reason=found.reason,
        memory_bytes=resident_bytes(record.pid),
        uptime_s=max(0.0, time.time() - record.started),
        tokens_evaluated=None if evaluated is None else int(evaluated),
        tokens_reused=None if reused is None else int(reused),
        memory=found.memory,
    )


def _stop(path: Path, record: Record) -> bool:
    """The lock tells whether the record's process lives: a pid alone may be somebody else's by now."""
    lock = FileLock(path.with_suffix(".lock"))
    if lock.acquire():
        _clear(path, record, lock)
        return False
    for number, patience_s in ((signal.SIGTERM, TERM_S), (signal.SIGKILL, KILL_S)):
        _signal(record.pid, number)
        if freed(lock, patience_s):
            _clear(path, record, lock)
            return True
    raise Refused(f"process {record.pid} does not end")


def freed(lock: FileLock, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while not lock.acquire():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def _clear(path: Path, record: Record, lock: FileLock) -> None:
    """Holding the lock, nobody serves: what lies there is stale."""
    record.socket.unlink(missing_ok=True)
    _page(record.socket).unlink(missing_ok=True)
    path.unlink(missing_ok=True)
    lock.release()


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def resident_bytes(pid: int) -> int | None:
    """Memory of a process, as the system counts it."""
    try:
        if sys.platform == "linux":
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), None)
        answer = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
        return int(answer.stdout) * 1024
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
