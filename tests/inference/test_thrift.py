"""On battery: short drafts, no warm-up, the same tokens. When the power is looked at again."""

import asyncio
import itertools

from inference.backends.base import EngineSettings
from inference.backends.scripted import ScriptedBackend
from inference.generation import Chunk, Finish, Job, Priority
from inference.kept import pack
from inference.power import Power
from inference.runner import Run, Runner
from inference.scheduler import Scheduler
from inference.thrift import EVERY_S, SPARING_DRAFT, Thrift


def last_id(tokens: tuple[int, ...]) -> int:
    return sum((i + 1) * token for i, token in enumerate(tokens)) % 250


def test_the_power_is_looked_at_now_and_then() -> None:
    now, sources = [0.0], iter([Power("battery", 50), Power("mains", 51), Power("unknown")])
    thrift = Thrift(lambda: next(sources), lambda: now[0])
    assert thrift() and thrift()
    now[0] = EVERY_S - 0.1
    assert thrift()
    now[0] = EVERY_S
    assert not thrift()
    now[0] = 2 * EVERY_S
    assert not thrift()


def longest_draft(spares: bool) -> tuple[int, list[int]]:
    """The longest draft of an answer that its prediction has right, and the answer."""
    prompt, answer = [1, 2, 3], [1, 2, 3]
    for _ in range(120):
        answer.append(last_id(tuple(answer)))
    runner = Runner(ScriptedBackend(last_id, EngineSettings()), itertools.count().__next__, None, lambda: spares)
    longest, said = 0, []
    for prediction, n in (((1,), 4), (tuple(answer[3:]), 120)):  # plain steps first, which the gate wants to see
        run = Run(Job("job", tuple(prompt), n, prediction=prediction), pack(prompt))
        assert runner.begin(run)
        while len(run.answer) < n:
            drawn = runner.step(run)
            longest = max(longest, len(drawn) - 1)
            run.answer += drawn
        runner.end(run)
        said = run.answer
    assert said == answer[3:]
    return longest, said


def test_drafts_are_short_on_battery_and_change_nothing() -> None:
    spared, answer = longest_draft(spares=True)
    full, same = longest_draft(spares=False)
    assert 0 < spared <= SPARING_DRAFT < full
    assert answer == same


async def evaluated(spares: bool, job: Job) -> tuple[str, int]:
    """How the job ended, and how many tokens it took."""
    scheduler = Scheduler(lambda: ScriptedBackend(last_id), spares=lambda: spares)
    scheduler.start()
    try:
        while scheduler.state == "loading":  # noqa: ASYNC110  # the owner thread has no event to wait for
            await asyncio.sleep(0.001)
        events: list[Chunk | Finish] = [event async for event in scheduler.submit(job)]
        last = events[-1]
        assert isinstance(last, Finish)
        return last.reason, scheduler.stats().tokens_evaluated
    finally:
        scheduler.stop()


async def test_nothing_is_warmed_on_battery() -> None:
    warm_up = Job("1", (1, 2, 3, 4), 0, priority=Priority.WARMUP)
    assert await evaluated(False, warm_up) == ("length", 4)
    assert await evaluated(True, warm_up) == ("length", 0)


async def test_what_somebody_waits_for_is_made_on_battery_too() -> None:
    for priority in (Priority.TYPING, Priority.ACTION, Priority.REFACTOR):
        assert (await evaluated(True, Job("1", (1, 2, 3, 4), 1, priority=priority)))[1] == 4
