"""The thread that owns the model: it gives each job its turns, and tells who listens.

Everyone else hands in a `Job` and reads a `Stream`. Between any two steps (a prefill chunk, or one decoded token of a
job or of several) the owner looks at what came in: a closed stream frees its place, a newer job takes that of the one
it replaces, a more urgent job goes first, and the one that waits keeps its sequence and goes on later without
evaluating anything twice.

Knows tokens only: no text, no HTTP, and of stop strings the tokens that hold one.
"""

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Literal

from inference.backends.base import Backend, ModelInfo, Tokenizer
from inference.errors import EngineError, ModelBroken, ModelLoading, PromptTooLong, QueueFull, Superseded
from inference.generation import Chunk, Finish, FinishReason, Job, Priority
from inference.kept import pack
from inference.recent import KEPT, Answered, Outcome, answered
from inference.runner import Held, Run, Runner
from inference.saved import SavedPrefixes
from inference.stats import Stats
from inference.stream import Event, Stream
from inference.thrift import never
from inference.turns import Task, Turns

log = logging.getLogger(__name__)

State = Literal["loading", "ready", "failed", "stopped"]

SAVE_PAUSE_S = 2.0  # without a job, before the trunk is written to disk
MAX_QUEUED = 256  # jobs; beyond that an editor is looping


class Scheduler:
    """Owns the backend through its thread. `load` runs there, so that the engine lives on one thread only."""

    def __init__(
        self,
        load: Callable[[], Backend],
        clock: Callable[[], float] | None = None,  # for everything that is timed here; None: the machine's clocks
        saved: Callable[[ModelInfo], SavedPrefixes | None] = lambda info: None,
        spares: Callable[[], bool] = never,
    ) -> None:
        self._load = load
        self._open_saved = saved
        self._spares = spares  # the battery: asked on the owner's thread only
        self._writer: threading.Thread | None = None
        self._pause_s: float | None = None  # until what is held is saved, if nothing comes; None: nothing new is held
        self._clock, self._runner_clock = clock or time.monotonic, clock
        self._inbox: queue.SimpleQueue[Task | None] = queue.SimpleQueue()  # None: wake up and look
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._own, name="model-owner", daemon=True)
        self._state: State = "loading"
        self._failure: EngineError | None = None
        self._runner: Runner | None = None
        self._turns = Turns()
        self._n_submitted = 0  # written by the event loop only; a task may be on its way between inbox and list
        self._n_left = 0  # written by the owner only
        self._counts: Counter[str] = Counter()
        self._jobs: Counter[tuple[Priority, Outcome]] = Counter()
        self._queue_s: dict[Priority, tuple[int, float]] = {}
        self._recent: tuple[Answered, ...] = ()  # replaced as a whole: the event loop reads it
        self._held = Held()

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
        info = self._ready().info
        if len(job.prompt) + job.max_tokens > info.n_ctx:
            raise PromptTooLong(info.too_long(len(job.prompt), job.max_tokens), "prompt")
        if self._n_submitted - self._n_left >= MAX_QUEUED:
            raise QueueFull(f"{MAX_QUEUED} jobs wait already")
        cancelled = threading.Event()

        def cancel() -> None:
            cancelled.set()
            self._inbox.put(None)

        stream = Stream(job, cancel)
        self._n_submitted += 1
        self._inbox.put(Task(Run(job, job.packed or pack(job.prompt)), stream, cancelled, self._clock()))
        return stream

    def stats(self) -> Stats:
        """A look at the counters; may be one step old."""
        running = sum(task.begun for task in tuple(self._turns.tasks))
        return Stats(
            tokens_evaluated=self._counts["evaluated"],
            tokens_reused=self._counts["reused"],
            jobs=dict(self._jobs),
            hits=self._counts["hits"],
            held=self._held,
            cache_limit_bytes=self._runner.backend.info.cache_bytes if self._runner else 0,
            queued=max(0, self._n_submitted - self._n_left - running),
            running=running,
            preemptions=self._turns.n_preemptions,
            queue_s=dict(self._queue_s),
            recent=self._recent,
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
                self._sweep(runner)
                task = self._turns.choose(runner.backend.info.max_sequences)
                if task is not None:
                    self._advance(runner, task)
        finally:
            self._state = "stopped"
            for task in (*self._turns.tasks, *self._arrivals()):
                task.stream.send(ModelLoading("the daemon stops"))
            runner.backend.shutdown()

    def _loaded(self) -> Runner | None:
        try:
            backend = self._load()
            return Runner(backend, self._runner_clock, self._open_saved(backend.info), self._spares)
        except EngineError as error:
            self._failure = error
        except Exception as error:  # what an engine raises has no common type
            log.exception("the model does not load")
            self._failure = ModelBroken(f"the model does not load: {type(error).__name__}: {error}")
        self._state = "failed"
        return None

    def _receive(self, runner: Runner) -> None:
        """Take in what came; sleep where there is nothing to do."""
        able = self._turns.able(runner.backend.info.max_sequences)
        if not able and not any(task.cancelled.is_set() for task in self._turns.tasks):
            try:
                task = self._inbox.get(timeout=self._pause_s)
            except queue.Empty:
                self._save(runner)
                return
            if task is not None:
                self._take(runner, task)
        for task in self._arrivals():
            self._take(runner, task)

    def _save(self, runner: Runner) -> None:
        """Copy the trunk out, and have another thread write it: a typed key waits for the copy at most."""
        if self._writer is not None and self._writer.is_alive():
            return
        self._pause_s = None
        write = runner.save()
        if write is not None:
            self._writer = threading.Thread(target=write, name="prefix-writer", daemon=True)
            self._writer.start()

    def _arrivals(self) -> Iterator[Task]:
        with suppress(queue.Empty):
            while True:
                task = self._inbox.get_nowait()
                if task is not None:
                    yield task

    def _take(self, runner: Runner, task: Task) -> None:
        for older in self._turns.replaced_by(task):
            self._end(runner, older, "superseded", Superseded("a newer request took this one's place"))
        self._turns.add(task)
        if task.job.priority is Priority.WARMUP and task.job.max_tokens == 0 and self._spares():
            self._finish(runner, task, "length")  # who types will pay for the prompt; who reads on, for nothing

    def _sweep(self, runner: Runner) -> None:
        """End the jobs that nobody listens to any more."""
        for task in [task for task in self._turns.tasks if task.cancelled.is_set()]:
            self._finish(runner, task, "cancelled")

    def _advance(self, runner: Runner, chosen: Task) -> None:
        """One pass for one job, or for several that decode. What goes wrong in it ends those, and no other."""
        said: Sequence[tuple[int, ...] | EngineError]
        tasks, before = [chosen], runner.backend.n_evaluated
        try:
            if not chosen.begun and not self._begin(runner, chosen):
                return
            tasks = self._together(runner, chosen)
            if len(tasks) > 1:
                said = runner.step_together([task.run for task in tasks])
            else:
                said = [runner.step(chosen.run, brief=self._turns.may_be_waited_for(chosen, self._clock()))]
        except EngineError as error:
            said = [error] * len(tasks)
        except Exception as error:  # what an engine raises has no common type
            log.exception("job %s failed", " ".join(task.job.id for task in tasks))
            said = [ModelBroken(f"the engine failed: {type(error).__name__}")] * len(tasks)
        self._counts["evaluated"] += runner.backend.n_evaluated - before
        for task, drawn in zip(tasks, said, strict=True):
            if isinstance(drawn, EngineError):
                self._fail(runner, task, drawn)
            else:
                self._say(runner, task, drawn)

    def _together(self, runner: Runner, chosen: Task) -> list[Task]:
        others = {task.run: task for task in self._turns.equals(chosen)}
        _, *along = runner.together(chosen.run, others)
        tasks = [others[run] for run in along]
        self._turns.served(tasks)
        return [chosen, *tasks]

    def _begin(self, runner: Runner, task: Task) -> bool:
        task.begun = runner.begin(task.run)
        task.blocked = not task.begun
        if task.begun:
            self._counts["reused"] += task.run.n_cached
            self._counts["hits"] += task.run.n_cached > 0
            n, waited_s = self._queue_s.get(task.job.priority, (0, 0.0))
            task.began = self._clock()
            self._queue_s[task.job.priority] = n + 1, waited_s + task.began - task.arrived
        return task.begun

    def _say(self, runner: Runner, task: Task, drawn: tuple[int, ...]) -> None:
        """Pass on what belongs to the answer, and end it where it ends."""
        run = task.run
        said, is_end = run.job.cut(drawn, runner.backend.info.end_ids)
        run.answer += said
        if said:
            task.first_said = self._clock() if task.first_said is None else task.first_said
            task.stream.send(Chunk(said, run.usage))
        if is_end:
            self._finish(runner, task, "stop")
        elif run.n_done == len(run.job.prompt) and len(run.answer) == run.job.max_tokens:
            self._finish(runner, task, "length")

    def _finish(self, runner: Runner, task: Task, reason: FinishReason) -> None:
        self._end(runner, task, reason, Finish(reason, task.run.usage))

    def _end(self, runner: Runner, task: Task, outcome: Outcome, last: Event) -> None:
        """What it evaluated stays for others."""
        runner.end(task.run)
        self._leave(runner, task, outcome, last)

    def _fail(self, runner: Runner, task: Task, error: EngineError) -> None:
        """The sequence's state is in doubt: it goes, with all that was kept along it."""
        if task.run.kept is not None:
            runner.discard(task.run.kept)
        if isinstance(error, ModelBroken):
            runner.discard_idle()  # rows that are no numbers can spoil others that lie beside them
        self._leave(runner, task, "failed", error)

    def _leave(self, runner: Runner, task: Task, outcome: Outcome, last: Event) -> None:
        self._turns.leave(task)
        self._n_left += 1
        self._jobs[task.job.priority, outcome] += 1
        self._recent = (*self._recent, answered(task, outcome, self._clock()))[-KEPT:]
        self._held = runner.held()
        self._pause_s = SAVE_PAUSE_S
        task.stream.send(last)
