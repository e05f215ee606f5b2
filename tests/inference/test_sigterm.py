"""SIGTERM while jobs run, on real processes: every client hears of it or finds its stream closed, nothing stays."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from inference.lifecycle.home import home
from inference.lifecycle.places import records
from inference.lifecycle.probe import counters, health

START_S = 60
CLOSED_S = 10  # it takes 0.1 to 1.2 s; the machine may be busy

Request = dict[str, Any]
Start = Callable[[str, Path], subprocess.Popen[str]]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="qwen-") as name:  # short: a socket's path has a limit
        yield Path(name)


@pytest.fixture
def start() -> Iterator[Start]:
    """Begins a Python process in a home, and sees to its end."""
    with ExitStack() as stack:

        def begin(program: str, folder: Path) -> subprocess.Popen[str]:
            environment = os.environ | {"QWEN_LSP_HOME": str(folder)}
            command = [sys.executable, "-c", program]
            process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield begin


def wait_for(process: subprocess.Popen[str], found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not found():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def asking(path: Path, **body: Any) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(START_S)
    connection.connect(str(path))
    content = json.dumps(body).encode()
    connection.sendall(
        b"POST /v1/completions HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    )
    return connection


ENDLESS: Request = {"prompt": "x", "max_tokens": 30_000, "user": "a"}
SLOW = "m.SCRIPTED_TOKEN_S = 300"
LONG: Request = {"prompt": [65] * 32_000, "max_tokens": 5, "user": "a"}


@pytest.mark.parametrize(
    ("engine", "first", "requests", "evaluated"),
    [
        pytest.param("scripted", "", [ENDLESS | {"stream": True}, ENDLESS, ENDLESS | {"user": "b"}], 50, id="decoding"),
        pytest.param("llama", "", [LONG | {"stream": True}, LONG, ENDLESS | {"user": "b"}], 256, id="prompts"),
        pytest.param("scripted", SLOW, [ENDLESS | {"stream": True}, ENDLESS], 0, id="in a step that takes minutes"),
    ],
)
def test_sigterm_ends_all_jobs(
    start: Start, folder: Path, engine: str, first: str, requests: list[Request], evaluated: int
) -> None:
    process = start(f"import inference.__main__ as m\n{first}\nm.main(['serve', '--engine', '{engine}'])", folder)
    folders = home({"QWEN_LSP_HOME": str(folder)})
    wait_for(process, lambda: any(records(folders)))
    ((record_path, record),) = records(folders)
    socket_path = Path(record.address.removeprefix("unix:"))
    wait_for(process, lambda: health(socket_path).state == "ready")
    connections = [asking(socket_path, **request) for request in requests]
    wait_for(process, lambda: counters(socket_path).get("qwen_tokens_evaluated_total", 0) >= evaluated)
    wait_for(process, lambda: counters(socket_path).get("qwen_jobs_queued", 0) >= 1)
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    answers = [b"".join(iter(partial(connection.recv, 65536), b"")) for connection in connections]
    seconds = time.monotonic() - begun
    _, err = process.communicate(timeout=START_S)
    for connection in connections:
        connection.close()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert not socket_path.exists() and not record_path.exists()
    assert record.pid == process.pid
    assert all(b"the daemon stops" in answer for answer in answers if answer), answers
    assert seconds < CLOSED_S
