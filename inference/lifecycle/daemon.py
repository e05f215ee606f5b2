"""The life of one daemon process: lock, socket, serving, and the reasons to end.

Knows no routes and no tokens; `load` brings the model.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import uvicorn

from inference.lifecycle import ending
from inference.lifecycle.home import Refused
from inference.lifecycle.peer import guarded_protocol
from inference.lifecycle.places import FileLock, Identity, Places, Record, write_record
from inference.scheduler import Scheduler
from inference.server.app import make_app
from inference.server.host import OwnHost
from inference.server.service import About
from inference.server.token import TokenRequired

log = logging.getLogger(__name__)

FAILED_EXIT_S = 5.0  # long enough for whoever started it to hear why
GRACE_S = 1  # for answers in flight when the process ends
LOCK_TRIES = 5  # `stop` holds the lock for a moment while it cleans up
LOCK_PAUSE_S = 0.05
BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Tcp:
    """A port beside the unix socket, for whoever has the token."""

    host: str
    port: int
    token: str = field(repr=False)


@dataclass(slots=True)
class Watch:
    """Decides, once a second, whether the process has a reason to end. Times in seconds, on any one clock."""

    idle_exit_s: float
    since: float  # when something happened last
    n_requests: int = 0

    def verdict(self, now: float, state: str, n_open: int, n_requests: int, is_reachable: bool) -> str | None:
        """Why to end, or None. `n_open` counts connections and jobs."""
        if state == "stopped":
            return "the model's thread ended"
        if not is_reachable:
            return "the socket's file is gone: nobody can connect any more"
        if state == "failed":
            return "the model does not load" if now - self.since >= FAILED_EXIT_S else None
        if n_open or n_requests != self.n_requests or state == "loading":
            self.since, self.n_requests = now, n_requests
        return "idle" if now - self.since >= self.idle_exit_s else None


class _Server(uvicorn.Server):
    """uvicorn, but signals are none of its business: `ending` heeds them, and they are a normal end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Daemon:
    """One serving process, from a bound socket to its end."""

    def __init__(
        self, scheduler: Scheduler, about: About, socket_path: Path, idle_exit_s: float, tcp: Tcp | None = None
    ) -> None:
        app = make_app(scheduler, about)
        self.ending = threading.Event()  # set once it ends, from whichever thread
        self._scheduler = scheduler
        self._socket = socket_path
        self._watch = Watch(idle_exit_s, time.monotonic())
        self._server = _Server(
            uvicorn.Config(
                app if tcp is None else OwnHost(TokenRequired(app, tcp.token)),
                http=guarded_protocol(os.getuid()),
                proxy_headers=False,  # nobody stands between: an address is what the system says
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                timeout_graceful_shutdown=GRACE_S,
                callback_notify=self._look,
                timeout_notify=0,  # at each of uvicorn's ticks, one a second
            )
        )

    async def run(self, *listeners: socket.socket) -> int:
        """Serve until there is a reason to end; the exit code."""
        self._scheduler.start()
        await self._server.serve(sockets=list(listeners))
        self.end()
        return 1 if self._scheduler.failure is not None else 0

    async def _look(self) -> None:
        stats, state = self._scheduler.stats(), self._server.server_state
        n_open = len(state.connections) + stats.queued + stats.running
        reason = self._watch.verdict(
            time.monotonic(), self._scheduler.state, n_open, state.total_requests, self._socket.exists()
        )
        if reason is not None:
            failure = self._scheduler.failure
            log.info("ending: %s", reason if failure is None else f"{reason}: {failure.message}")
            self.end()

    def end(self) -> None:
        """Stop accepting and cancel all jobs. The model's thread may be deep in a chunk: nobody waits for it here."""
        self.ending.set()
        if not self._server.should_exit:
            self._server.should_exit = True
            threading.Thread(target=self._scheduler.stop, daemon=True).start()


def serve(
    places: Places,
    identity: Identity,
    about: About,
    scheduler: Scheduler,
    idle_exit_s: float,
    tcp: Tcp | None = None,
) -> int:
    """Be the daemon, on the main thread; the exit code. 0 at once where another process is it already.

    The caller should leave with `os._exit`: the model's thread may still be loading, and it can not be interrupted.
    """
    lock = FileLock(places.lock)
    if not _patiently(lock):
        log.info("a daemon with this identity runs already")
        return 0
    listeners = [_listen(places), *([] if tcp is None else [_listen_on(tcp)])]
    try:
        loop = asyncio.new_event_loop()  # not asyncio.run: it would wait for worker threads, up to minutes
        daemon = Daemon(scheduler, about, places.socket, idle_exit_s, tcp)
        ending.heed(daemon.ending, partial(loop.call_soon_threadsafe, daemon.end))
        address = f"unix:{places.socket}"
        write_record(places.record, _record(address, identity, about))
        log.info("pid %d serves %s on %s", about.pid, identity.engine, address)
        return _run(loop, daemon, listeners)
    finally:
        places.socket.unlink(missing_ok=True)
        places.record.unlink(missing_ok=True)
        lock.release()


def _run(loop: asyncio.AbstractEventLoop, daemon: Daemon, listeners: Sequence[socket.socket]) -> int:
    try:
        return loop.run_until_complete(daemon.run(*listeners))
    except Exception as error:  # the interpreter's own end would wait for threads, and free what the model's works on
        daemon.ending.set()
        where = traceback.extract_tb(error.__traceback__)[-1]  # its message could hold text of a user's
        log.error("ending: %s at %s:%s", type(error).__name__, where.filename, where.lineno)
        return 1


def _record(address: str, identity: Identity, about: About) -> Record:
    return Record(
        pid=about.pid,
        address=address,
        engine=identity.engine,
        model=identity.model,
        n_ctx=identity.n_ctx,
        build=about.build,
        started=time.time(),
    )


def _patiently(lock: FileLock) -> bool:
    for _ in range(LOCK_TRIES):
        if lock.acquire():
            return True
        time.sleep(LOCK_PAUSE_S)
    return False


def _listen(places: Places) -> socket.socket:
    """A socket of mode 0600. One that lies there is stale: its owner would hold the lock."""
    places.socket.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(places.socket))
    except OSError as error:
        raise Refused(f"{places.socket} can not be bound: {error.strerror}") from error
    finally:
        os.umask(before)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener


def _listen_on(tcp: Tcp) -> socket.socket:
    family = socket.AF_INET6 if ":" in tcp.host else socket.AF_INET
    try:
        listener = socket.create_server((tcp.host, tcp.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Refused(f"{tcp.host}:{tcp.port} can not be bound: {error.strerror}") from error
    listener.setblocking(False)
    log.info("serves also on %s:%d, with a token", *listener.getsockname()[:2])
    return listener
