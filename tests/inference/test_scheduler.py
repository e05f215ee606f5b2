"""Who goes first, what a cancel costs, and that one job's trouble is no other's. Gates instead of sleeps."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from inference.backends.base import Backend, EngineSettings
from inference.backends.byte_tokens import CONTROL_IDS
from inference.backends.scripted import ScriptedBackend, answers
from inference.errors import EngineError, ModelBroken, ModelLoading, PromptTooLong, QueueFull
from inference.generation import Chunk, Finish, Job, Priority
from inference.runner import CHUNK
from inference.saved import SavedPrefixes
from inference.scheduler import MAX_QUEUED, Scheduler
from inference.stream import Stream

END = CONTROL_IDS["<|im_end|>"]


class Gate:
    """Lets the owner thread through one step at a time, once `closed`; counts what it did."""

    def __init__(self) -> None:
        self.steps: queue.Queue[str] = queue.Queue()
        self._open = threading.Event()
        self._open.set()
        self._permits = threading.Semaphore(0)

    def __call__(self, name: str) -> None:
        self.steps.put(name)
        if not self._open.is_set():
            assert self._permits.acquire(timeout=20), "the test never let this step through"

    def close(self) -> None:
        self._open.clear()

    def let(self, n: int = 1) -> None:
        self._permits.release(n)

    def open(self) -> None:
        self._open.set()
        self._permits.release(1)


def counting(tokens: tuple[int, ...]) -> int:
    return len(tokens) % 250


@contextmanager
def scheduler_of(load: Callable[[], Backend], saved: SavedPrefixes | None = None) -> Iterator[Scheduler]:
    scheduler = Scheduler(load, saved=lambda info: saved)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # the owner thread has no event to wait for
            await asyncio.sleep(0.001)


def backend(hook: Callable[[str], None] = lambda _: None, max_sequences: int = 4, n_ctx: int = 4096) -> ScriptedBackend:
    return ScriptedBackend(counting, EngineSettings(n_ctx=n_ctx, n_cells=2 * n_ctx, max_sequences=max_sequences), hook)


async def read(stream: Stream) -> tuple[list[int], Finish]:
    tokens: list[int] = []
    async for event in stream:
        if isinstance(event, Finish):
            return tokens, event
        assert isinstance(event, Chunk)
        tokens += event.tokens
    raise AssertionError("no Finish")


def job(n_prompt: int, n_tokens: int, priority: Priority = Priority.ACTION, client: str = "", token: int = 1) -> Job:
    return Job(f"{client}{token}", (token,) * n_prompt, n_tokens, priority=priority, client=client)


async def test_streams_tokens_then_counts() -> None:
    with scheduler_of(backend) as scheduler:
        await until(lambda: scheduler.state == "ready")
        tokens, finish = await read(scheduler.submit(job(10, 3)))
        assert tokens == [10, 11, 12]
        assert finish.reason == "length"
        usage = finish.usage
        assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (10, 0, 3)
        assert usage.evaluated_tokens == 12
        stats = scheduler.stats()
        assert stats.tokens_evaluated == 12
        assert stats.jobs == {(Priority.ACTION, "length"): 1}
        assert (stats.running, stats.queued, stats.queue_s[Priority.ACTION][0]) == (0, 0, 1)


async def test_the_end_token_ends_and_is_not_shown() -> None:
    with scheduler_of(lambda: ScriptedBackend(answers({"a": "bc"}))) as scheduler:
        await until(lambda: scheduler.state == "ready")
        tokens, finish = await read(scheduler.submit(Job("1", (ord("a"),), 50)))
        assert (bytes(tokens), finish.reason) == (b"bc", "stop")


async def test_a_request_may_name_more_end_tokens_and_sees_the_counts_grow() -> None:
    with scheduler_of(lambda: ScriptedBackend(answers({"a": "bc|d"}))) as scheduler:
        await until(lambda: scheduler.state == "ready")
        stream = scheduler.submit(Job("1", (ord("a"),), 50, stop_ids=frozenset({ord("|")})))
        events = [event async for event in stream]
        chunks = [event for event in events if isinstance(event, Chunk)]
        assert [chunk.tokens for chunk in chunks] == [(ord("b"),), (ord("c"),)]
        assert [(c.usage.completion_tokens, c.usage.evaluated_tokens) for c in chunks] == [(1, 1), (2, 2)]
        assert isinstance(events[-1], Finish) and events[-1].reason == "stop"


async def test_an_answer_ends_behind_a_token_that_holds_a_stop_string() -> None:
    """Its text is told, and not one token is drawn before somebody has looked at that."""
    with scheduler_of(lambda: ScriptedBackend(answers({"a": "bc|" + "d" * 40}))) as scheduler:
        await until(lambda: scheduler.state == "ready")
        tokens, finish = await read(scheduler.submit(Job("1", (ord("a"),), 50, last_ids=frozenset({ord("|")}))))
        assert (bytes(tokens), finish.reason) == (b"bc|", "stop")
        assert finish.usage.evaluated_tokens == 3, "a, b, c"


async def test_typing_gets_its_first_token_in_the_middle_of_a_long_prefill() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        slow = scheduler.submit(job(8 * CHUNK, 1, Priority.REFACTOR))
        await asyncio.to_thread(gate.steps.get)  # the slow job stands in its first chunk
        fast = scheduler.submit(job(5, 1, Priority.TYPING, token=2))
        gate.let(4)  # that chunk, then typing: its prompt but one token, the last token, the sample
        tokens, _ = await read(fast)
        assert tokens == [5]
        gate.open()
        _, finish = await read(slow)
        assert finish.usage.evaluated_tokens == 8 * CHUNK  # nothing twice
        assert scheduler.stats().preemptions == 1


async def test_a_closed_stream_costs_at_most_the_step_it_stands_in() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        stream = scheduler.submit(job(8 * CHUNK, 100))
        await asyncio.to_thread(gate.steps.get)
        stream.close()
        gate.open()
        tokens, finish = await read(stream)
        assert (tokens, finish.reason) == ([], "cancelled")
        assert finish.usage.evaluated_tokens == CHUNK
        stream.close()  # twice is once
        assert scheduler.stats().jobs == {(Priority.ACTION, "cancelled"): 1}


async def test_a_job_cancelled_while_it_waits_evaluates_nothing() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        first = scheduler.submit(job(4, 2, Priority.TYPING))
        await asyncio.to_thread(gate.steps.get)
        waiting = scheduler.submit(job(50, 2, Priority.WARMUP, token=2))
        waiting.close()
        gate.open()
        await read(first)
        _, finish = await read(waiting)
        assert (finish.reason, finish.usage.evaluated_tokens) == ("cancelled", 0)


async def test_equal_jobs_of_two_windows_take_turns() -> None:
    gate = Gate()
    order: list[int] = []

    def script(tokens: tuple[int, ...]) -> int:
        order.append(tokens[0])
        return len(tokens)  # never twice the same, so that nothing can be drafted

    with scheduler_of(lambda: ScriptedBackend(script, hook=gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        streams = [scheduler.submit(job(4, 20, client=name, token=token)) for name, token in [("a", 1), ("b", 2)]]
        gate.open()
        for stream in streams:
            await read(stream)
    turns = order[order.index(2) : 38]  # from where both run to where the first one ends
    assert all(one != other for one, other in pairwise(turns))
    assert len(turns) > 30


async def test_interleaved_jobs_answer_as_they_would_alone() -> None:
    with scheduler_of(lambda: backend(max_sequences=6)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        sizes = [3, 700, 40, 1500, 8]
        jobs = [job(n, 9, Priority(i % 3), client=str(i), token=i + 1) for i, n in enumerate(sizes)]
        results = await asyncio.gather(*(read(scheduler.submit(each)) for each in jobs))
        for n, (tokens, finish) in zip(sizes, results, strict=True):
            assert tokens == [(n + i) % 250 for i in range(9)]
            assert finish.usage.evaluated_tokens == n + 8


async def test_more_jobs_than_sequences_all_end() -> None:
    with scheduler_of(lambda: backend(max_sequences=3)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        jobs = [job(20 + i, 5, Priority(i % 4), client=str(i % 3), token=i + 1) for i in range(40)]
        results = await asyncio.gather(*(read(scheduler.submit(each)) for each in jobs))
        assert [finish.reason for _, finish in results] == ["length"] * 40


async def test_slow_jobs_leave_sequences_for_typing() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate, max_sequences=3)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        slow = [scheduler.submit(job(10, 500, Priority.REFACTOR, str(i), token=i + 1)) for i in range(4)]
        await asyncio.to_thread(gate.steps.get)
        fast = scheduler.submit(job(3, 1, Priority.TYPING, "typist", token=9))
        gate.let(40)
        tokens, _ = await read(fast)
        assert tokens == [3]
        for stream in slow:
            stream.close()
        gate.open()
        assert [(await read(stream))[1].reason for stream in slow] == ["cancelled"] * 4


class Broken(ScriptedBackend):
    """Fails on one token."""

    def evaluate(self, seq: int, tokens: object) -> None:
        super().evaluate(seq, tokens)  # type: ignore[arg-type]
        if 66 in tokens:  # type: ignore[operator]
            raise RuntimeError("secret text of the user")


async def test_an_engine_error_ends_its_job_and_no_other() -> None:
    with scheduler_of(lambda: Broken(counting)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        good = scheduler.submit(job(600, 5))
        with pytest.raises(ModelBroken, match="RuntimeError") as caught:
            await read(scheduler.submit(job(5, 5, token=66)))
        assert "secret" not in caught.value.message
        assert (await read(good))[1].reason == "length"
        assert (await read(scheduler.submit(job(7, 1))))[0] == [7]
        assert scheduler.stats().jobs[Priority.ACTION, "failed"] == 1


async def test_what_can_never_fit_is_refused_at_once() -> None:
    with scheduler_of(backend) as scheduler:
        await until(lambda: scheduler.state == "ready")
        with pytest.raises(PromptTooLong) as refused:
            scheduler.submit(job(4090, 7))
        assert refused.value.message == (
            "4090 prompt tokens and max_tokens 7 exceed the context of 4096 by 1; max_tokens 6 or a prompt of 4089 "
            "would fit"
        )
        with pytest.raises(PromptTooLong, match="by 4906; max_tokens 2 would fit"):
            scheduler.submit(job(4094, 4908))
        with pytest.raises(PromptTooLong, match="by 4904; neither would fit"):
            scheduler.submit(job(4500, 4500))


async def test_a_full_queue_says_so() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        streams = [scheduler.submit(job(4, 1, token=i % 200)) for i in range(MAX_QUEUED)]
        with pytest.raises(QueueFull):
            scheduler.submit(job(4, 1))
        gate.open()
        for stream in streams:
            await read(stream)
        await read(scheduler.submit(job(4, 1)))


async def test_says_that_the_model_loads_and_why_it_does_not() -> None:
    may_load = threading.Event()

    def load() -> Backend:
        may_load.wait(20)
        raise ModelBroken("no such tensor")

    with scheduler_of(load) as scheduler:
        assert scheduler.state == "loading"
        with pytest.raises(ModelLoading):
            scheduler.submit(job(1, 1))
        may_load.set()
        await until(lambda: scheduler.state == "failed")
        with pytest.raises(ModelBroken, match="no such tensor"):
            scheduler.submit(job(1, 1))


async def test_stopping_answers_whoever_still_listens() -> None:
    gate = Gate()
    with scheduler_of(lambda: backend(gate)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        stream = scheduler.submit(job(10, 500))
        await asyncio.to_thread(gate.steps.get)
        stopping = asyncio.create_task(asyncio.to_thread(scheduler.stop))
        await until(lambda: scheduler.state == "stopped")  # before the job may go on, or it could be done first
        gate.open()
        with pytest.raises(EngineError, match="stops"):
            await read(stream)
        await stopping
        with pytest.raises(ModelLoading, match="stops"):
            scheduler.submit(job(1, 1))


async def test_an_idle_daemon_saves_its_trunk_and_the_next_one_begins_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.scheduler.SAVE_PAUSE_S", 0.01)

    def asked(scheduler: Scheduler, tail: int) -> Stream:
        return scheduler.submit(Job("j", (*[3] * 2000, tail), 1, cache_marks=(2000,)))

    with scheduler_of(backend, SavedPrefixes(tmp_path, "x", 1 << 30)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        for tail in (1, 2):
            await read(asked(scheduler, tail))
        await until(lambda: bool(list(tmp_path.glob("*.prefix"))))
    with scheduler_of(backend, SavedPrefixes(tmp_path, "x", 1 << 30)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        _, finish = await read(asked(scheduler, 4))
        assert finish.usage.cached_tokens == 2000
