"""A daemon in a process and a home of its own, with parts of it exchanged before it begins."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.lifecycle.ending import STOP_S
from inference.lifecycle.home import home
from inference.lifecycle.places import records
from inference.lifecycle.probe import counters, health

START_S = 60
CLOSED_S = 10  # it takes 0.1 to 1.2 s; the machine may be busy

HANGS = """
import pathlib, time
def hang(*_, **__):
    pathlib.Path({place!r}).touch()
    time.sleep(300)
"""


@dataclass(frozen=True)
class Served:
    """A daemon's process that is there, with its record and its socket's file."""

    process: subprocess.Popen[str]
    record_path: Path
    socket_path: Path
    hanging: Path  # a file that is there once `hang` was called

    def until(self, found: Callable[[], bool]) -> None:
        wait_for(self.process, found)

    def ask(self, **body: Any) -> socket.socket:
        """A completion."""
        content = json.dumps(body).encode()
        head = b"POST /v1/completions HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(content)
        return self.say(head + content)

    def say(self, raw: bytes) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(START_S)
        connection.connect(str(self.socket_path))
        connection.sendall(raw)
        return connection

    def counts(self, name: str) -> float:
        """One of its counters; -1 where it does not answer."""
        return counters(self.socket_path).get(name, -1)

    def evaluated(self, n: int) -> None:
        self.until(lambda: self.counts("qwen_tokens_evaluated_total") >= n)

    def hangs(self) -> None:
        self.until(self.hanging.exists)

    def ended(self, *signals: signal.Signals) -> tuple[int, str]:
        """Its exit code and what it has said, once it is gone."""
        for number in signals:
            self.process.send_signal(number)
        code = self.process.wait(timeout=STOP_S + CLOSED_S)  # before its pipe is read: that could free what hangs
        return code, self.process.communicate()[1]

    @property
    def left(self) -> list[Path]:
        """What others would take for a daemon that is there."""
        return [path for path in (self.socket_path, self.record_path) if path.exists()]


@contextmanager
def folders() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qwen-") as name:  # short: a socket's path has a limit
        yield Path(name)


@contextmanager
def running(program: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python process in a home; it is killed at the end where it is still there."""
    environment = os.environ | {"QWEN_LSP_HOME": str(folder)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def served(
    engine: str, first: str = "", *arguments: str, state: str = "ready", folder: Path | None = None
) -> Iterator[Served]:
    """A daemon in a process that has run `first` before, in which `hang` takes minutes; once it is in that state."""
    with ExitStack() as stack:
        folder = folder or stack.enter_context(folders())
        hanging = folder / "hanging"
        serves = f"m.main({['serve', '--engine', engine, *arguments]})"
        program = f"import inference.__main__ as m\n{HANGS.format(place=str(hanging))}\n{first}\n{serves}"
        process = stack.enter_context(running(program, folder))
        of_home = home({"QWEN_LSP_HOME": str(folder)})
        wait_for(process, lambda: any(records(of_home)))
        ((record_path, record),) = records(of_home)
        found = Served(process, record_path, record.socket, hanging)
        found.until(lambda: state == "any" or health(found.socket_path).state == state)
        yield found


def wait_for(process: subprocess.Popen[str], found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not found():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
