"""A script played on the real scheduler and a real engine, pass by pass, so that it ends the same way each time.

The owner thread stops before each pass of the model until the script lets it go on: requests and cancels arrive at
exact places, whatever the machine does meanwhile. Drafts are weighed on a clock that counts passes and tokens.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from unittest import mock

from inference import prefix_cache, runner
from inference.backends import llama_pool
from inference.backends.base import Backend
from inference.errors import EngineError, Superseded
from inference.generation import Chunk, Constraint, Job, Usage
from inference.grammar import Grammar
from inference.models.catalogue import ModelFiles
from inference.scheduler import Scheduler
from inference.stats import Stats
from inference.stream import Stream
from scripts.benches.edit_scripts import ALL, Ask, Cancel, Script
from scripts.benches.exact_model import load_exact

STUCK_S = 600.0  # for one pass: longer, also beside others that stop it, means that it waits for what never comes
SCALED = (
    (runner, "CHUNK"),
    (prefix_cache, "FORK_WORTH"),
    (prefix_cache, "MIN_BRANCH"),
    (llama_pool, "LEAST_ROWS"),
    (llama_pool, "TO_MOVE"),
)
PASSES = ("evaluate", "step", "step_together")

Constrain = Callable[[Grammar | None], Callable[[], Constraint] | None]


@dataclass(slots=True)
class Said:
    """What one request got. `reason` is a `FinishReason`, "superseded", or None where it got an error or nothing."""

    tokens: list[int] = field(default_factory=list)
    reason: str | None = None
    error: str = ""
    usage: Usage | None = None
    n_ends: int = 0


@dataclass(frozen=True, slots=True)
class Played:
    """What a script came to. `calls` counts what the scheduler did with the engine."""

    said: list[Said]
    stats: Stats
    n_evaluated: int  # by the engine's own count
    calls: Counter[str]
    stuck: bool


class Paced:
    """A backend whose every pass waits for a permit; counts what is called. Everything else is the backend's own."""

    def __init__(self, backend: Backend, arrived: Callable[[], None], tokens_per_pass: float) -> None:
        self._backend = backend
        self._arrived = arrived
        self._tokens_per_pass = tokens_per_pass
        self._permits = threading.Semaphore(0)
        self._n_before = backend.n_evaluated
        self.waits = False  # the owner stands before a pass
        self._is_free = False  # no pass waits any more
        self.now = 0.0  # a clock, in the time of one token
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name in PASSES:
            return lambda *arguments: self._pass(name, found, arguments)
        if name in ("fork", "restore", "close", "snapshot"):
            self.calls[name] += 1
        return found

    def let(self) -> None:
        """One pass goes on."""
        self.waits = False
        self._permits.release()

    def free(self) -> None:
        """All passes go on from now."""
        self._is_free = True
        if self.waits:
            self.let()

    def counts(self) -> Counter[str]:
        """What was called, and how often a sequence left the engine's pool."""
        pool = getattr(self._backend, "_pool", None)
        return self.calls + Counter(left=pool.n_left if pool else 0)

    @property
    def n_done(self) -> int:
        """Tokens evaluated since the model was loaded."""
        return self._backend.n_evaluated - self._n_before

    def _pass(self, name: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        if not self._is_free:
            self.waits = True
            self._arrived()
            self._permits.acquire()
        before = self._backend.n_evaluated
        result = work(*arguments)
        self.now += self._tokens_per_pass + self._backend.n_evaluated - before
        self.calls[name] += 1
        if name == "step" and arguments[2]:
            self.calls["drafted"] += len(arguments[2])
            self.calls["accepted"] += len(result) - 1
        if name == "step_together":
            self.calls["together"] += len(result)
        return result


def play(script: Script, files: ModelFiles, constrain: Constrain) -> Played:
    """Play it from an empty cache. Raises nothing for what the daemon does wrong: that is in the result."""
    with _scaled(script.scale):
        return asyncio.run(_Player(script, files, constrain).play())


class _Player:
    def __init__(self, script: Script, files: ModelFiles, constrain: Constrain) -> None:
        self._script = script
        self._files = files
        self._constrain = constrain
        self._loop: asyncio.AbstractEventLoop
        self._changed: asyncio.Event
        self._paced: Paced | None = None
        self._streams: list[Stream | None] = []
        self._said: list[Said] = []
        self._readers: list[asyncio.Task[None]] = []

    async def play(self) -> Played:
        self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        scheduler = Scheduler(self._load, clock=lambda: self._paced.now if self._paced else 0.0)
        scheduler.start()
        stuck = False
        try:
            while scheduler.state == "loading":  # noqa: ASYNC110  (no event says that a model is in memory)
                await asyncio.sleep(0.001)
            if scheduler.failure is not None:
                raise scheduler.failure
            try:
                for move in self._script.moves:
                    if isinstance(move, Ask):
                        self._submit(scheduler, move)
                        await self._quiet()
                    elif isinstance(move, Cancel):
                        stream = self._streams[move.number] if move.number < len(self._streams) else None
                        if stream is not None:
                            stream.close()
                    else:
                        await self._let(move.n_passes)
                await self._let(ALL)
            except TimeoutError:
                stuck = True
            assert self._paced is not None
            return Played(self._said, scheduler.stats(), self._paced.n_done, self._paced.counts(), stuck)
        finally:
            if self._paced is not None:
                self._paced.free()
            scheduler.stop()
            for reader in self._readers:
                reader.cancel()
            await asyncio.gather(*self._readers, return_exceptions=True)

    def _load(self) -> Backend:
        backend = load_exact(self._files, self._script.settings)
        self._paced = Paced(backend, self._wake, self._script.tokens_per_pass)
        return cast(Backend, self._paced)

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._changed.set)

    def _submit(self, scheduler: Scheduler, ask: Ask) -> None:
        job = Job(
            id=str(len(self._said)),
            prompt=ask.prompt,
            max_tokens=ask.max_tokens,
            priority=ask.priority,
            cache_marks=ask.marks,
            client=ask.client,
            latest_of=ask.latest_of,
            prediction=ask.prediction,
            stop_ids=ask.stop_ids,
            constraint=self._constrain(ask.grammar),
        )
        said = Said()
        self._said.append(said)
        try:
            stream = scheduler.submit(job)
        except EngineError as problem:
            said.error, said.n_ends = f"{problem.code}: {problem.message}", 1
            self._streams.append(None)
            return
        self._streams.append(stream)
        self._readers.append(asyncio.create_task(self._read(stream, said)))

    async def _read(self, stream: Stream, said: Said) -> None:
        try:
            async for event in stream:
                said.usage = event.usage
                if isinstance(event, Chunk):
                    said.tokens += event.tokens
                else:
                    said.reason = event.reason
                    said.n_ends += 1
        except Superseded:
            said.reason = "superseded"
            said.n_ends += 1
        except EngineError as problem:
            said.error = f"{problem.code}: {problem.message}"
            said.n_ends += 1
        self._changed.set()

    @property
    def _idle(self) -> bool:
        return all(reader.done() for reader in self._readers)

    async def _quiet(self) -> None:
        """Until the owner stands before a pass, or every request has its answer."""
        async with asyncio.timeout(STUCK_S):
            while not (self._idle or (self._paced is not None and self._paced.waits)):
                self._changed.clear()
                await self._changed.wait()

    async def _let(self, n_passes: int) -> None:
        await self._quiet()
        for _ in range(n_passes):
            if self._idle or self._paced is None:
                return
            self._paced.let()
            await self._quiet()


@contextmanager
def _scaled(scale: int) -> Iterator[None]:
    """The policy's lengths at the size of these contexts: with the real ones nothing would be cut, forked or kept."""
    with ExitStack() as stack:
        for module, name in SCALED:
            stack.enter_context(mock.patch.object(module, name, max(1, getattr(module, name) // scale)))
        yield


def without(moves: Sequence[Any], dropped: set[int]) -> tuple[Any, ...]:
    """The moves without some, cancels renumbered."""
    numbers: dict[int, int] = {}
    n_asks = 0
    kept: list[Any] = []
    for i, move in enumerate(moves):
        if isinstance(move, Ask):
            if i not in dropped:
                numbers[n_asks] = sum(isinstance(each, Ask) for each in kept)
            n_asks += 1
        if i in dropped:
            continue
        if isinstance(move, Cancel):
            if move.number not in numbers:
                continue
            move = Cancel(numbers[move.number])
        kept.append(move)
    return tuple(kept)
