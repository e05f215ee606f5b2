"""The thread that owns the model: which job gets the next chunk, and who hears of it.

Everyone else hands in a `Job` and reads a `Stream`. Between any two steps (a prefill chunk, or one decoded token) the
owner looks at what came in: a closed stream frees its place, a more urgent job goes first, and the one that waits
keeps its sequence and goes on later without evaluating anything twice.

Knows tokens only: no text, no stop strings, no HTTP.
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from inference.backends.base import Backend, ModelInfo, Tokenizer
from inference.errors import EngineError, ModelBroken, ModelLoading, PromptTooLong, QueueFull
from inference.generation import Chunk, Finish, FinishReason, Job, Priority
from inference.kept import pack
from inference.runner import Run, Runner
from inference.stream import Stream

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed", "stopped"]
Outcome = FinishReason | Literal["failed"]

MAX_QUEUED = 256  # jobs; beyond that an editor is looping
KEPT_FOR_TYPING = 2  # sequences that slower jobs may not take


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the start. `cache_bytes`: attention rows and snapshots held now."""

    tokens_evaluated: int
    tokens_reused: int
    jobs: Mapping[tuple[Priority, Outcome], int]
    cache_bytes: int
    queued: int
    running: int
    preemptions: int
    queue_s: tuple[int, float]  # jobs that began, seconds they waited in sum


@dataclass(slots=True, eq=False)
class _Task:
    """A job in the owner's hands: its run on the backend, and who listens."""

    run: Run
    stream: Stream
    cancelled: threading.Event
    arrived: float
    begun: bool = False
    blocked: bool = False  # no room; wait until another job ends

    @property
    def job(self) -> Job:
        return self.run.job


class Scheduler:
    """Owns the backend through its thread. `load` runs there, so that the engine lives on one thread only."""

    def __init__(self, load: Callable[[], Backend], clock: Callable[[], float] = time.monotonic) -> None:
        self._load = load
        self._clock = clock
        self._inbox: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()  # None: wake up and look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._own, name="model-owner", daemon=True)
        self._state: State = "loading"
        self._failure: EngineError | None = None
        self._runner: Runner | None = None
        self._tasks: list[_Task] = []
        self._last: _Task | None = None
        self._served: dict[str, int] = {}  # client -> the step that it was last served in
        self._n_steps = 0
        self._n_submitted = 0  # written by the event loop only; a task may be on its way between inbox and list
        self._n_left = 0  # written by the owner only
        self._counts: Counter[str] = Counter()
        self._jobs: Counter[tuple[Priority, Outcome]] = Counter()
        self._queue_s = 0.0

    # --- asked from the event loop ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the owner thread, which loads the model."""
        self._thread.start()

    @property
    def state(self) -> State:
        """`stopped` from the moment that somebody asked for it: what is handed in afterwards would not be answered."""
        return "stopped" if self._stopping.is_set() and self._state == "ready" else self._state

    @property
    def failure(self) -> EngineError | None:
        return self._failure

    @property
    def backend_info(self) -> ModelInfo:
        return self._ready().info

    @property
    def tokenizer(self) -> Tokenizer:
        return self._ready().tokenizer

    def submit(self, job: Job) -> Stream:
        """Queue a job; called on the event loop that will read the stream. Raises what the job can not get past."""
        n_ctx = self._ready().info.n_ctx
        if len(job.prompt) + job.max_tokens > n_ctx:
            sizes = f"{len(job.prompt)} prompt tokens and max_tokens {job.max_tokens}"
            raise PromptTooLong(f"{sizes} exceed the context of {n_ctx}", "prompt")
        if self._n_submitted - self._n_left >= MAX_QUEUED:
            raise QueueFull(f"{MAX_QUEUED} jobs wait already")
        cancelled = threading.Event()

        def cancel() -> None:
            cancelled.set()
            self._inbox.put(None)

        stream = Stream(job, cancel)
        self._n_submitted += 1
        self._inbox.put(_Task(Run(job, pack(job.prompt)), stream, cancelled, self._clock()))
        return stream

    def stats(self) -> Stats:
        """A look at the counters; may be one step old."""
        running = sum(task.begun for task in tuple(self._tasks))
        return Stats(
            tokens_evaluated=self._counts["evaluated"],
            tokens_reused=self._counts["reused"],
            jobs=dict(self._jobs),
            cache_bytes=self._counts["cache_bytes"],
            queued=max(0, self._n_submitted - self._n_left - running),
            running=running,
            preemptions=self._counts["preemptions"],
            queue_s=(self._counts["begun"], self._queue_s),
        )

    def stop(self) -> None:
        """Cancel all jobs and wait for the thread to end: at most one step, or the rest of the model's loading."""
        self._stopping.set()
        self._inbox.put(None)
        if self._thread.is_alive():
            self._thread.join()

    def _ready(self) -> Backend:
        if self._failure is not None:
            raise self._failure
        if self._runner is None or self.state != "ready":
            raise ModelLoading("the model is not in memory yet" if self._state == "loading" else "the daemon stops")
        return self._runner.backend

    # --- the owner thread ---------------------------------------------------------------------------------------

    def _own(self) -> None:
        runner = self._loaded()
        if runner is None:
            return
        self._runner, self._state = runner, "ready"
        try:
            while not self._stopping.is_set():
                self._receive(runner)
                task = self._choose(runner)
                if task is not None:
                    self._advance(runner, task)
        finally:
            self._state = "stopped"
            self._tasks += self._arrivals()
            for task in self._tasks:
                task.stream.send(ModelLoading("the daemon stops"))
            runner.backend.shutdown()

    def _loaded(self) -> Runner | None:
        try:
            return Runner(self._load(), self._clock)
        except EngineError as error:
            self._failure = error
        except Exception as error:  # what an engine raises has no common type
            log.exception("the model does not load")
            self._failure = ModelBroken(f"the model does not load: {type(error).__name__}: {error}")
        self._state = "failed"
        return None

    def _receive(self, runner: Runner) -> None:
        """Take in what came; sleep where there is nothing to do."""
        if not self._able(runner) and not any(task.cancelled.is_set() for task in self._tasks):
            task = self._inbox.get()
            if task is not None:
                self._tasks.append(task)
        self._tasks += self._arrivals()

    def _arrivals(self) -> list[_Task]:
        tasks: list[_Task] = []
        with suppress(queue.Empty):
            while True:
                task = self._inbox.get_nowait()
                if task is not None:
                    tasks.append(task)
        return tasks

    def _able(self, runner: Runner) -> list[_Task]:
        """The jobs that a step makes sense for now. Slower ones leave some sequences for typing."""
        held = sum(task.begun for task in self._tasks)
        left = runner.backend.info.max_sequences - held

        def may_begin(task: _Task) -> bool:
            wanted = 1 if task.job.priority is Priority.TYPING else 1 + KEPT_FOR_TYPING
            return not task.blocked and (held == 0 or left >= wanted)

        return [task for task in self._tasks if task.begun or may_begin(task)]

    def _choose(self, runner: Runner) -> _Task | None:
        """The most urgent job; among equals the client served longest ago, then the older job."""
        for task in [task for task in self._tasks if task.cancelled.is_set()]:
            self._finish(runner, task, "cancelled")
        able = self._able(runner)
        if not able:
            return None
        chosen = min(able, key=lambda t: (t.job.priority, self._served.get(t.job.client, 0), t.arrived))
        if self._last is not None and self._last.begun and chosen.job.priority < self._last.job.priority:
            self._counts["preemptions"] += 1
        self._last = chosen
        self._n_steps += 1
        self._served[chosen.job.client] = self._n_steps
        return chosen

    def _advance(self, runner: Runner, task: _Task) -> None:
        """One step of one job. Whatever goes wrong ends this job and no other."""
        try:
            if task.begun or self._begin(runner, task):
                self._step(runner, task)
        except EngineError as error:
            self._fail(runner, task, error)
        except Exception as error:  # what an engine raises has no common type
            log.exception("job %s failed", task.job.id)
            self._fail(runner, task, ModelBroken(f"the engine failed: {type(error).__name__}"))

    def _begin(self, runner: Runner, task: _Task) -> bool:
        task.begun = runner.begin(task.run)
        task.blocked = not task.begun
        if task.begun:
            self._counts["begun"] += 1
            self._counts["reused"] += task.run.n_cached
            self._queue_s += self._clock() - task.arrived
        return task.begun

    def _step(self, runner: Runner, task: _Task) -> None:
        run = task.run
        before = run.n_evaluated
        drawn = runner.step(run)
        self._counts["evaluated"] += run.n_evaluated - before
        end_ids = runner.backend.info.end_ids | run.job.stop_ids
        said = tuple(takewhile(lambda token: token not in end_ids, drawn))
        run.answer += said
        if said:
            task.stream.send(Chunk(said, run.usage))
        if len(said) < len(drawn):
            self._finish(runner, task, "stop")
        elif run.n_done == len(run.job.prompt) and len(run.answer) == run.job.max_tokens:
            self._finish(runner, task, "length")

    def _finish(self, runner: Runner, task: _Task, reason: FinishReason) -> None:
        runner.end(task.run)
        self._leave(runner, task, reason)
        task.stream.send(Finish(reason, task.run.usage))

    def _fail(self, runner: Runner, task: _Task, error: EngineError) -> None:
        """The sequence's state is in doubt: it goes, with all that was kept along it."""
        if task.run.kept is not None:
            runner.discard(task.run.kept)
        if isinstance(error, ModelBroken):
            runner.discard_idle()  # rows that are no numbers can spoil others that lie beside them
        self._leave(runner, task, "failed")
        task.stream.send(error)

    def _leave(self, runner: Runner, task: _Task, outcome: Outcome) -> None:
        self._tasks.remove(task)
        self._n_left += 1
        task.begun = False
        self._jobs[task.job.priority, outcome] += 1
        self._counts["cache_bytes"] = runner.cache_bytes
        for other in self._tasks:
            other.blocked = False
        if all(other.job.client != task.job.client for other in self._tasks):
            self._served.pop(task.job.client, None)
