"""Whatever hangs while a daemon ends, it takes no longer than it may, and says where it hung. Real processes."""

import os
import signal
import socket
import sys
from contextlib import suppress

import pytest

from inference.lifecycle.probe import health
from tests.inference.served import Served, folders, served
from tests.inference.test_ending import COMPILES, GRAMMAR, Busy, an_open_connection

SOON = """
import inference.lifecycle.ending as ending
ending.SLOW_S, ending.STOP_S = 0.1, 0.5
"""
PAGE = "import inference.server.status_page as s\ns.page = hang"
SHUTS_DOWN = "import uvicorn\nuvicorn.Server.shutdown = hang"
BREAKS = """
from inference.lifecycle.daemon import Watch
verdict = Watch.verdict
Watch.verdict = lambda *a: 1 / 0 if pathlib.Path({place!r}).exists() else verdict(*a)
"""


def the_event_loop(daemon: Served) -> list[socket.socket]:
    connection = daemon.say(b"GET /status HTTP/1.1\r\nHost: d\r\n\r\n")
    daemon.hangs()
    return [connection]


def a_log_that_nobody_reads(daemon: Served) -> list[socket.socket]:
    pipe = os.open(f"/proc/{daemon.process.pid}/fd/2", os.O_WRONLY | os.O_NONBLOCK)
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x" * 512)
    os.close(pipe)
    connection = daemon.ask(prompt="x", max_tokens=1)  # its end is logged
    daemon.until(lambda: health(daemon.socket_path, timeout_s=0.1).state == "silent")
    return [connection]


@pytest.mark.parametrize(
    ("first", "busy", "place"),
    [
        pytest.param(PAGE, the_event_loop, "in hang", id="a request that keeps the event loop"),
        pytest.param(SHUTS_DOWN, an_open_connection, "in hang", id="the server's own end"),
        pytest.param(f"{SHUTS_DOWN}; m.sys.stderr = None", an_open_connection, "", id="without anybody to tell"),
        pytest.param(
            "",
            a_log_that_nobody_reads,
            "",
            id="a log that nobody reads",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="a process's pipes are files on Linux only"),
        ),
    ],
)
def test_a_stop_is_bounded(first: str, busy: Busy, place: str) -> None:
    """What is left lying is cleared away by the next start."""
    with folders() as folder:
        with served("scripted", SOON + first, folder=folder) as daemon:
            connections = busy(daemon)
            code, err = daemon.ended(signal.SIGTERM)
            for connection in connections:
                connection.close()
        assert code == 1
        assert place in err
        with served("scripted", folder=folder) as again:
            assert again.ended(signal.SIGTERM)[0] == 0


def test_an_end_without_a_signal_is_bounded_too() -> None:
    with served("scripted", SOON + SHUTS_DOWN, "--idle-exit", "0.1", state="any") as daemon:
        code, err = daemon.ended()
    assert code == 1 and "in hang" in err


def test_an_error_of_the_daemons_own_is_an_end() -> None:
    """Also where a worker thread hangs, for which the interpreter would wait."""
    with folders() as folder:
        first = COMPILES + BREAKS.format(place=str(folder / "hanging"))
        with served("scripted", first, folder=folder) as daemon, daemon.ask(**GRAMMAR):
            code, err = daemon.ended()
        assert (code, daemon.left) == (1, [])
    assert "ending: ZeroDivisionError at" in err
