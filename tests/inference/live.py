"""A daemon in a thread, on a real unix socket, with the scripted backend."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from inference.backends.base import Backend
from inference.backends.byte_tokens import CONTROL_IDS
from inference.backends.scripted import Script
from inference.lifecycle.daemon import Daemon
from inference.scheduler import Scheduler
from inference.server.service import About

END = CONTROL_IDS["<|im_end|>"]
WAIT_S = 20.0


def saying(answer: bytes, prompt: bytes) -> Script:
    """After `prompt` comes `answer`, then the end."""

    def script(tokens: tuple[int, ...]) -> int:
        assert bytes(token for token in tokens[: len(prompt)]) == prompt
        at = len(tokens) - len(prompt)
        return answer[at] if at < len(answer) else END

    return script


def counting(tokens: tuple[int, ...]) -> int:
    """Letters without an end."""
    return ord("a") + len(tokens) % 26


class Pace:
    """A hook: once closed, each token waits until the test lets it go."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)  # one for each token that waits
        self._permits = threading.Semaphore(0)
        self._open = False

    def __call__(self, name: str) -> None:
        if name == "sample" and not self._open:
            self.asked.release()
            assert self._permits.acquire(timeout=WAIT_S)

    def let(self, n: int = 1) -> None:
        self._permits.release(n)

    def open(self) -> None:
        self._open = True
        self.let()


@dataclass(frozen=True)
class Live:
    """A running daemon and a client of it."""

    path: Path
    scheduler: Scheduler
    client: httpx.Client
    thread: threading.Thread
    end: Callable[[], None]

    def post(self, route: str, **body: Any) -> httpx.Response:
        return self.client.post(route, json=body)

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the daemon's threads work until the condition holds."""
        pause = threading.Event()
        for _ in range(int(WAIT_S / 0.01)):
            if condition():
                return
            pause.wait(0.01)
        raise AssertionError("it did not come true")


def end(loop: asyncio.AbstractEventLoop, daemon: Daemon) -> None:
    """What a signal does."""
    loop.call_soon_threadsafe(daemon.end)


@contextmanager
def live(folder: Path, load: Callable[[], Backend], wait: bool = True) -> Iterator[Live]:
    path = folder / "d.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    listener.setblocking(False)
    scheduler = Scheduler(load)
    loop = asyncio.new_event_loop()
    daemon = Daemon(scheduler, About("asked-for", "scripted", 1, "build", "version"), path, idle_exit_s=600)
    thread = threading.Thread(target=lambda: loop.run_until_complete(daemon.run(listener)))
    thread.start()
    transport = httpx.HTTPTransport(uds=str(path))
    try:
        with httpx.Client(transport=transport, base_url="http://daemon", timeout=WAIT_S) as client:
            running = Live(path, scheduler, client, thread, lambda: end(loop, daemon))
            if wait:
                running.until(lambda: scheduler.state != "loading")
            yield running
    finally:
        end(loop, daemon)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
        scheduler.stop()
