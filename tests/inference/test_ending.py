"""How daemons end, on real processes: every client hears of it or finds its stream closed, and nothing stays."""

import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from inference.lifecycle.ending import STOP_S
from tests.inference.served import CLOSED_S, Served, folders, running, served, wait_for

Request = dict[str, Any]
Busy = Callable[[Served], list[socket.socket]]

ENDLESS: Request = {"prompt": "x", "max_tokens": 30_000, "user": "a"}
LONG: Request = {"prompt": [65] * 32_000, "max_tokens": 5, "user": "a"}
GRAMMAR: Request = {"prompt": "x", "max_tokens": 5, "response_format": {"type": "json_object"}}
SLOW = "m.SCRIPTED_TOKEN_S = 300"
SAVES = "import os, inference.scheduler as s\nos.fsync, s.SAVE_PAUSE_S = hang, 0.01"
COMPILES = "from inference.server.service import Service as s\ns._compiled = hang"


@pytest.mark.parametrize(
    ("engine", "first", "requests", "evaluated"),
    [
        pytest.param("scripted", "", [ENDLESS | {"stream": True}, ENDLESS, ENDLESS | {"user": "b"}], 50, id="decoding"),
        pytest.param("llama", "", [LONG | {"stream": True}, LONG, ENDLESS | {"user": "b"}], 256, id="prompts"),
        pytest.param("scripted", SLOW, [ENDLESS | {"stream": True}, ENDLESS], 0, id="in a step that takes minutes"),
    ],
)
def test_sigterm_ends_all_jobs(engine: str, first: str, requests: list[Request], evaluated: int) -> None:
    with served(engine, first) as daemon:
        connections = [daemon.ask(**request) for request in requests]
        daemon.evaluated(evaluated)
        daemon.until(lambda: daemon.counts("qwen_jobs_queued") >= 1)
        daemon.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        answers = [b"".join(iter(partial(connection.recv, 65536), b"")) for connection in connections]
        seconds = time.monotonic() - begun
        check_clean(daemon, *daemon.ended())
        for connection in connections:
            connection.close()
    assert all(b"the daemon stops" in answer for answer in answers if answer), answers
    assert seconds < CLOSED_S


def check_clean(daemon: Served, code: int, err: str) -> None:
    assert (code, "Traceback" in err, daemon.left) == (0, False, []), err


def half_a_head(daemon: Served) -> list[socket.socket]:
    return [daemon.say(b"POST /v1/compl")]


def half_a_body(daemon: Served) -> list[socket.socket]:
    return [daemon.say(b"POST /v1/completions HTTP/1.1\r\nHost: d\r\nContent-Length: 100\r\n\r\n{")]


def an_open_connection(daemon: Served) -> list[socket.socket]:
    connection = daemon.say(b"GET /health HTTP/1.1\r\nHost: d\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    return [connection]


def a_stream_that_nobody_reads(daemon: Served) -> list[socket.socket]:
    connection = daemon.ask(**ENDLESS, stream=True)
    daemon.evaluated(3000)  # half a megabyte of events: more than a socket holds
    return [connection]


def clients_that_left(daemon: Served) -> list[socket.socket]:
    for _ in range(3):
        daemon.ask(**ENDLESS, stream=True).close()
    return []


def a_worker_thread(daemon: Served) -> list[socket.socket]:
    connection = daemon.ask(**GRAMMAR)
    daemon.hangs()
    return [connection]


def a_save(daemon: Served) -> list[socket.socket]:
    """Of what two jobs had in common."""
    for _ in range(2):
        with daemon.ask(prompt=[65] * 2000, max_tokens=1) as connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    daemon.hangs()
    return []


@pytest.mark.parametrize(
    ("engine", "first", "busy"),
    [
        pytest.param("scripted", "", half_a_head, id="half a head"),
        pytest.param("scripted", "", an_open_connection, id="an open connection"),
        pytest.param("scripted", "m.SCRIPTED_TOKEN_S = 0", a_stream_that_nobody_reads, id="a stream nobody reads"),
        pytest.param("scripted", "", clients_that_left, id="clients that left"),
        pytest.param("scripted", COMPILES, a_worker_thread, id="a worker thread that hangs"),
        pytest.param("llama", SAVES, a_save, id="a save that hangs"),
    ],
)
def test_nothing_holds_up_an_end(engine: str, first: str, busy: Busy) -> None:
    with served(engine, first) as daemon:
        connections, begun = busy(daemon), time.monotonic()
        check_clean(daemon, *daemon.ended(signal.SIGTERM))
        assert time.monotonic() - begun < CLOSED_S
        for connection in connections:
            connection.close()


def test_who_still_sends_a_request_hears_of_the_end() -> None:
    with served("scripted") as daemon:
        (connection,) = half_a_body(daemon)
        daemon.until(lambda: daemon.counts("qwen_jobs_queued") == 0)  # it has read so far
        check_clean(daemon, *daemon.ended(signal.SIGTERM))
        with closing(connection):
            answer = b"".join(iter(partial(connection.recv, 65536), b""))
    assert answer.startswith(b"HTTP/1.1 503") and b"the daemon stops" in answer


@pytest.mark.parametrize("engine", ["llama", "mlx"])
def test_an_end_does_not_wait_for_the_model_to_load(engine: str) -> None:
    with served(engine, state="any") as daemon:
        check_clean(daemon, *daemon.ended(signal.SIGTERM))


def test_an_end_does_not_wait_for_a_load_that_hangs() -> None:
    with served("llama", "m._backend = hang", state="loading") as daemon:
        daemon.hangs()
        check_clean(daemon, *daemon.ended(signal.SIGTERM))


def test_a_signal_before_there_is_a_daemon() -> None:
    """It ends as any process does that has not said otherwise yet, or as a daemon."""
    with folders() as folder:
        program = "import inference.__main__ as m\nm.main(['serve', '--engine', 'scripted'])"
        with running(program, folder) as process:
            wait_for(process, lambda: any(folder.glob("run/*.lock")))
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=STOP_S) in (0, -signal.SIGTERM)


def test_more_signals_change_nothing() -> None:
    with served("scripted") as daemon, daemon.ask(**ENDLESS, stream=True):
        check_clean(daemon, *daemon.ended(signal.SIGTERM, signal.SIGTERM, signal.SIGINT))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_the_parent_had_blocked_or_ignored(number: signal.Signals) -> None:
    """Shells ignore SIGINT for what runs in the background; a thread that starts processes may have signals blocked."""
    first = f"import signal as s\ns.pthread_sigmask(s.SIG_BLOCK, [2, 15])\ns.signal({int(number)}, s.SIG_IGN)"
    with served("scripted", first) as daemon:
        check_clean(daemon, *daemon.ended(number))


def test_a_signal_that_a_thread_of_a_library_gets() -> None:
    """numpy has threads before a daemon does, one for each further processor, and they block no signal."""
    first = "import threading as t, time\nt.Thread(target=time.sleep, args=(600,), daemon=True).start()"
    with served("scripted", first) as daemon:
        check_clean(daemon, *daemon.ended(signal.SIGTERM))
