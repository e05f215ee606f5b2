"""The engine as the rest of the server sees it: start it, ask it, close the stream to cancel.

Two kinds: the daemon of this machine, and a server that the user named. JSON and HTTP stop here. Does not know layouts,
files or the editor, and holds no prompt longer than its request.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal, Protocol
from urllib.parse import urlsplit

import httpx

from qwen_lsp.engine import egress
from qwen_lsp.engine.abilities import Abilities
from qwen_lsp.engine.events import Piece, Usage
from qwen_lsp.engine.http import Daemon, Request
from qwen_lsp.engine.keys import key_named
from qwen_lsp.engine.launch import Progress, find_or_start
from qwen_lsp.engine.remote import Remote, client_for
from qwen_lsp.errors import EngineError, EngineLost, EngineMissing
from qwen_lsp.settings import Settings

__all__ = ["Engine", "EngineState", "LocalEngine", "Piece", "RemoteEngine", "Request", "Usage", "engine_for"]

# A failed start is not tried again at each key; its reason stays the answer meanwhile.
RETRY_START_S = 5.0

Kind = Literal["off", "starting", "ready", "failed"]
Find = Callable[[Settings, Progress], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class EngineState:
    """What a status line shows. `detail` is for a person, `model` the name of what is loaded."""

    kind: Kind
    detail: str = ""
    model: str = ""


class Engine(Protocol):
    """A model somewhere that continues prompts."""

    @property
    def state(self) -> EngineState: ...

    async def start(self) -> None:
        """Find or launch it and wait until it can answer. Safe to call often. Raises EngineError."""
        ...

    def on_state(self, callback: Callable[[EngineState], None]) -> None:
        """Call back at every change of `state`, from the event loop."""
        ...

    async def close(self) -> None:
        """Let go of it; it goes on serving other windows."""
        ...

    def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        """The answer as it comes. Closing the generator cancels the work. Raises EngineError."""
        ...


class Connection(Protocol):
    """One server, connected to. Its methods raise httpx.TransportError where the connection fails."""

    async def wait_until_loaded(self, progress: Progress) -> str:
        """The model's name, once it can answer."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[Piece | Usage, None]: ...

    async def close(self) -> None: ...

    def lacks(self) -> tuple[str, ...]:
        """What a person may want to know that it can not do."""
        ...


class _Engine:
    """A server that is connected to when it is needed and, when it went away, once more."""

    def __init__(self, connect: Callable[[Progress], Awaitable[Connection]], looking: str) -> None:
        self._connect = connect
        self._looking = looking
        self._state = EngineState("off")
        self._callbacks: list[Callable[[EngineState], None]] = []
        self._daemon: Connection | None = None
        self._starting: asyncio.Task[Connection] | None = None
        self._failure: tuple[float, EngineError] | None = None

    @property
    def state(self) -> EngineState:
        return self._state

    def on_state(self, callback: Callable[[EngineState], None]) -> None:
        self._callbacks.append(callback)

    async def start(self) -> None:
        await self._ready()

    async def close(self) -> None:
        task, self._starting = self._starting, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._drop(self._daemon)

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        """One silent retry where the daemon died before it said anything."""
        retry = True
        while True:
            daemon = await self._ready()
            heard = False
            try:
                async with aclosing(daemon.stream(request)) as pieces:
                    async for piece in pieces:
                        heard = heard or isinstance(piece, Piece)
                        yield piece
                return
            except httpx.TransportError as error:
                timed_out = isinstance(error, httpx.TimeoutException)
                await self._drop(daemon, "" if timed_out else "the engine went away")
                if heard or timed_out or not retry:
                    raise EngineLost(_lost(error)) from error
                retry = False

    async def _ready(self) -> Connection:
        """The daemon, started where needed by one task that all callers wait for."""
        if self._daemon is not None:
            return self._daemon
        if self._failure is not None and time.monotonic() < self._failure[0] + RETRY_START_S:
            problem = self._failure[1]
            raise type(problem)(problem.message)  # a new one: the old one grows with each traceback
        if self._starting is None:
            self._starting = asyncio.create_task(self._start(), name="engine-start")
            self._starting.add_done_callback(_seen)
        return await asyncio.shield(self._starting)  # a caller that gives up does not stop the start for others

    async def _start(self) -> Connection:
        self._show(EngineState("starting", self._looking))
        daemon: Connection | None = None
        try:
            daemon = await self._connect(self._progress)
            model = await daemon.wait_until_loaded(self._progress)
        except (EngineError, httpx.HTTPError) as error:
            if daemon is not None:
                await daemon.close()
            problem = error if isinstance(error, EngineError) else EngineMissing(_lost(error))
            self._failure = (time.monotonic(), problem)
            self._show(EngineState("failed", problem.message))
            raise problem from error
        except asyncio.CancelledError:
            if daemon is not None:
                await daemon.close()
            self._show(EngineState("off"))
            raise
        finally:
            self._starting = None
        self._daemon, self._failure = daemon, None
        lacks = daemon.lacks()
        self._show(EngineState("ready", f"without {', '.join(lacks)}" if lacks else "", model))
        return daemon

    async def _drop(self, daemon: Connection | None, detail: str = "") -> None:
        """Forget a daemon that does not answer any more; another task may have done so already."""
        if daemon is None or daemon is not self._daemon:
            return
        self._daemon = None
        self._show(EngineState("off", detail))
        await daemon.close()

    def _progress(self, line: str) -> None:
        self._show(EngineState("starting", line))

    def _show(self, state: EngineState) -> None:
        if state != self._state:
            self._state = state
            for callback in self._callbacks:
                callback(state)


class LocalEngine(_Engine):
    """The shared daemon behind its unix socket; found, started and, when it died, started again."""

    def __init__(self, settings: Settings, find: Find = find_or_start) -> None:
        async def connect(progress: Progress) -> Connection:
            return Daemon(await find(settings, progress))

        super().__init__(connect, "looking for the engine")


class RemoteEngine(_Engine):
    """The server of `remote.url`. What it can do is asked once; a new connection does not ask again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._remote: Remote | None = None
        super().__init__(self._to_server, "connecting to the server")

    @property
    def abilities(self) -> Abilities | None:
        """What the server can do; None before it was asked."""
        return self._remote.abilities if self._remote is not None else None

    async def _to_server(self, progress: Progress) -> Connection:
        settings = self._settings
        if settings.remote_url is None:
            raise EngineMissing('the engine is "openai", and remote.url names no server')
        key = await key_named(settings.remote_key) if settings.remote_key is not None else None
        client = client_for(settings.remote_url, key, settings.remote_timeout_s)
        self._remote = Remote(client, settings.remote_model, self.abilities)
        return self._remote


def engine_for(settings: Settings) -> Engine:
    """The engine that the settings ask for, not yet started. Its server is the only one that may be talked to."""
    url = settings.remote_url if settings.engine == "openai" else None
    egress.name(urlsplit(url).hostname if url else None)
    return RemoteEngine(settings) if settings.engine == "openai" else LocalEngine(settings)


def _lost(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "the engine did not answer in time"
    return f"the connection to the engine broke ({type(error).__name__})"


def _seen(task: asyncio.Task[Connection]) -> None:
    """A start that nobody waits for any more may fail unheard; the state says it."""
    if not task.cancelled():
        task.exception()
