"""Find the daemon or start it, from any number of processes at once. Knows no HTTP but /health."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from inference.lifecycle.home import Refused
from inference.lifecycle.places import PACKAGE, FileLock, Places, read_record
from inference.lifecycle.probe import Health, health

START_TIMEOUT_S = 300.0  # 20 GB from a slow disk
POLL_S = 0.05
PROGRESS_S = 5.0  # between two lines that say that it still loads
LOG_BYTES = 2**20  # the log is turned over at a start once it is longer
LAST_LINE_BYTES = 2000

Say = Callable[[str], None]


def start(places: Places, serve_arguments: Sequence[str], timeout_s: float, say: Say) -> str:
    """The address of a daemon that is ready. Raises Refused with the reason where there can be none."""
    attempt = _Attempt(places, serve_arguments, say)
    try:
        return attempt.wait(time.monotonic() + timeout_s, timeout_s)
    finally:
        attempt.lock.release()


class _Attempt:
    """One process's try. Only the holder of the start lock spawns; it lets go once the daemon answers."""

    def __init__(self, places: Places, serve_arguments: Sequence[str], say: Say) -> None:
        self.lock = FileLock(places.start_lock)
        self._places = places
        self._arguments = serve_arguments
        self._say = say
        self._child: subprocess.Popen[bytes] | None = None
        self._told_at = time.monotonic()

    def wait(self, deadline: float, timeout_s: float) -> str:
        while True:
            record = read_record(self._places.record)
            socket = self._places.socket if record is None else record.socket
            found = health(socket)
            if found.state == "ready":
                return f"unix:{socket}"
            if found.state == "failed":
                raise Refused(found.reason)
            self._advance(found)
            if time.monotonic() >= deadline:
                raise Refused(f"after {timeout_s:g} s the daemon is {_described(found)}; its log: {self._places.log}")
            time.sleep(POLL_S)

    def _advance(self, found: Health) -> None:
        """Spawn where nobody is there and it is our turn; else tell that we wait."""
        if found.state == "loading":
            self.lock.release()
        if found.state == "absent" and self.lock.acquire() and self._needs_child():
            self._say("starting the inference daemon")
            self._child = _spawn(self._places.log, self._arguments)
        if time.monotonic() - self._told_at >= PROGRESS_S:
            self._told_at = time.monotonic()
            self._say(f"the daemon is {_described(found)}")

    def _needs_child(self) -> bool:
        """Whether none was spawned yet, or it found the lock taken by one that was about to end."""
        code = None if self._child is None else self._child.poll()
        if code:
            raise Refused(f"the daemon ended with code {code}: {_last_line(self._places.log)}")
        return self._child is None or code == 0


def _described(found: Health) -> str:
    return {"loading": "loading the model", "silent": "not answering", "absent": "not there yet"}.get(
        found.state, found.state
    )


def _spawn(log: Path, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """A process of its own session, which outlives us. It runs in the package's folder, to keep no other one busy, and
    with -P: the folder may be a stranger's repository with a module of our name."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "inference", "serve", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=PACKAGE.parent,
            start_new_session=True,
        )


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_LINE_BYTES))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
