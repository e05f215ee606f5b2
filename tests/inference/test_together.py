"""Several jobs in one pass: who goes together, what that saves, and that one's trouble is still no other's."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.base import EngineSettings, Step
from inference.backends.scripted import ScriptedBackend
from inference.draft_gate import FIRST_PLAIN
from inference.errors import EngineError, ModelBroken
from inference.generation import Job, Priority
from inference.kept import pack
from inference.runner import CHUNK, Run, Runner
from tests.inference.test_runner import last_id, make_runner, oracle
from tests.inference.test_scheduler import Gate, counting, job, read, scheduler_of, until


def begun(runner: Runner, prompt: list[int], n_tokens: int, prediction: Sequence[int] = ()) -> Run:
    """A run whose first token is drawn."""
    run = Run(Job("job", tuple(prompt), n_tokens, prediction=tuple(prediction)), pack(prompt))
    assert runner.begin(run)
    while not run.answer:
        run.answer += runner.step(run)
    return run


def step(runner: Runner, runs: list[Run]) -> None:
    for run, drawn in zip(runs, runner.step_together(runs), strict=True):
        assert not isinstance(drawn, EngineError)
        run.answer += drawn


def test_those_without_a_draft_go_together() -> None:
    runner = make_runner()
    plain, other = begun(runner, [1] * 5, 50), begun(runner, [2] * 5, 50)
    copying = begun(runner, [3] * 5, 50, oracle([3] * 5, 50))
    for _ in range(FIRST_PLAIN):
        assert runner.together(plain, [other, copying]) == [plain, other, copying]  # too few to compare a draft with
        step(runner, [plain, other, copying])
    assert runner.together(plain, [other, copying]) == [plain, other]
    assert runner.together(copying, [plain, other]) == [copying]
    copying.answer += runner.step(copying)
    assert len(copying.answer) > 3
    assert copying.answer == oracle([3] * 5, 50)[: len(copying.answer)]


def test_a_prompt_is_read_alone() -> None:
    runner = make_runner()
    reading = Run(Job("job", (1,) * 600, 5), pack([1] * 600))
    assert runner.begin(reading)
    plain = begun(runner, [2] * 5, 50)
    assert runner.together(reading, [plain]) == [reading]
    assert runner.together(plain, [reading]) == [plain]


def test_after_a_miss_a_run_goes_alone_once() -> None:
    """What it must evaluate again goes along with its own next token."""
    runner = make_runner()
    plain = begun(runner, [1] * 5, 50)
    truth = oracle([2] * 5, FIRST_PLAIN + 3)
    missing = begun(runner, [2] * 5, len(truth), [*truth[: FIRST_PLAIN + 1], 7, 7, 7, 7])
    for _ in range(FIRST_PLAIN):
        step(runner, [missing])
    missing.answer += runner.step(missing)
    assert missing.answer == truth[:-1]
    assert runner.together(plain, [missing]) == [plain]
    assert runner.together(missing, [plain]) == [missing]
    missing.answer += runner.step(missing)
    assert missing.answer == truth


def test_an_engine_that_steps_one_at_a_time_is_not_asked_for_more() -> None:
    runner = make_runner()
    object.__setattr__(runner.backend.info, "max_together", 1)
    runs = [begun(runner, [i] * 5, 50) for i in (1, 2, 3)]
    assert runner.together(runs[0], runs[1:]) == runs[:1]
    object.__setattr__(runner.backend.info, "max_together", 2)
    assert runner.together(runs[0], runs[1:]) == runs[:2]


guesses = st.lists(st.integers(0, 250), max_size=8)


@given(st.lists(st.tuples(st.integers(1, 9), guesses, st.booleans()), min_size=1, max_size=4), st.randoms())
@settings(max_examples=60, deadline=None)
def test_answers_and_counts_are_those_of_each_alone(jobs: list[tuple[int, list[int], bool]], rng: object) -> None:
    runner, n_tokens = make_runner(), 20
    prompts = [[10 * i + 1] * n for i, (n, _, _) in enumerate(jobs)]
    truths = [oracle(prompt, n_tokens) for prompt in prompts]
    runs = []
    for prompt, truth, (_, guess, is_right) in zip(prompts, truths, jobs, strict=True):
        runs.append(begun(runner, prompt, n_tokens, [*truth[:4], *guess, *truth[4:]] if is_right else guess))
    left = list(runs)
    while left:
        chosen = rng.choice(left)  # type: ignore[attr-defined]  # hypothesis' own Random
        group = runner.together(chosen, [run for run in left if run is not chosen])
        assert group[0] is chosen and len(set(map(id, group))) == len(group)
        if len(group) > 1:
            step(runner, group)
        else:
            chosen.answer += runner.step(chosen)
        left = [run for run in left if len(run.answer) < n_tokens]
    assert [run.answer for run in runs] == truths
    assert sum(run.n_evaluated for run in runs) == runner.backend.n_evaluated


def made(backend: ScriptedBackend) -> Callable[[], ScriptedBackend]:
    return lambda: backend


async def test_passes_are_those_of_the_longest_answer_not_of_all() -> None:
    gate = Gate()
    backend = ScriptedBackend(counting, hook=gate)
    with scheduler_of(made(backend)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        lengths = [40, 30, 40, 35]
        streams = [scheduler.submit(job(4 + i, n, client=str(i), token=i + 1)) for i, n in enumerate(lengths)]
        gate.open()
        results = [await read(stream) for stream in streams]
        for i, (n, (tokens, finish)) in enumerate(zip(lengths, results, strict=True)):
            assert tokens == list(range(4 + i, 4 + i + n))
            assert finish.usage.evaluated_tokens == 4 + i + n - 1
        n_prompt_passes = 2 * len(lengths)
        assert len(backend.calls.evaluated) <= max(lengths) + 2 * n_prompt_passes
        assert scheduler.stats().tokens_evaluated == backend.n_evaluated
        assert max(backend.calls.evaluated[n_prompt_passes:]) == 4


async def test_typing_never_waits_for_others_in_its_pass() -> None:
    gate = Gate()
    backend = ScriptedBackend(counting, hook=gate)
    with scheduler_of(made(backend)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        slow = [scheduler.submit(job(4, 200, Priority.REFACTOR, name, i)) for i, name in enumerate("ab", 1)]
        gate.let(20)
        await until(lambda: 2 in backend.calls.evaluated)
        fast = scheduler.submit(job(4, 30, Priority.TYPING, "a", 3))
        n_before = len(backend.calls.evaluated)
        gate.open()
        tokens, _ = await read(fast)
        assert tokens == list(range(4, 34))
        begun_at = backend.calls.evaluated.index(3, n_before)  # its prompt but one token
        assert begun_at <= n_before + 20  # steps let through before it came
        assert backend.calls.evaluated[begun_at : begun_at + 31] == [3] + [1] * 30
        for stream in slow:
            stream.close()
            await read(stream)


async def test_leaving_a_pass_of_several_costs_the_others_nothing() -> None:
    gate = Gate()
    backend = ScriptedBackend(counting, hook=gate)
    with scheduler_of(made(backend)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        staying, leaving = (scheduler.submit(job(4, 60, client=name, token=i)) for i, name in enumerate("ab", 1))
        gate.let(20)
        await until(lambda: 2 in backend.calls.evaluated)
        leaving.close()
        gate.open()
        tokens, finish = await read(leaving)
        assert finish.reason == "cancelled"
        assert finish.usage.evaluated_tokens <= 20
        assert tokens == list(range(4, 4 + len(tokens)))
        assert (await read(staying))[0] == list(range(4, 64))


def failing_at(n_tokens: int) -> Callable[[tuple[int, ...]], int]:
    """Sequences of 66s draw nothing any more when they are that long."""

    def script(tokens: tuple[int, ...]) -> int:
        if tokens[0] == 66 and len(tokens) >= n_tokens:
            raise ModelBroken("the logits are not numbers")
        return counting(tokens)

    return script


async def test_a_failure_that_the_engine_can_tell_ends_one_job_of_a_pass() -> None:
    gate = Gate()
    backend = ScriptedBackend(failing_at(20), hook=gate)
    with scheduler_of(made(backend)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        streams = [scheduler.submit(job(4, 60, client=name, token=token)) for name, token in (("a", 1), ("b", 66))]
        later = scheduler.submit(job(5, 60, Priority.REFACTOR, "c", 2))
        gate.open()
        assert (await read(streams[0]))[0] == list(range(4, 64))
        with pytest.raises(ModelBroken, match="not numbers"):
            await read(streams[1])
        assert (await read(later))[0] == list(range(5, 65))
        assert scheduler.stats().jobs == {
            (Priority.ACTION, "length"): 1,
            (Priority.ACTION, "failed"): 1,
            (Priority.REFACTOR, "length"): 1,
        }


class Failing(ScriptedBackend):
    """Passes of several fail."""

    def step_together(self, steps: Sequence[Step]) -> list[int | EngineError]:
        super().step_together(steps)
        raise RuntimeError("secret text of the user")


async def test_a_pass_that_fails_ends_the_jobs_in_it_and_no_other() -> None:
    gate = Gate()
    backend = Failing(counting, EngineSettings(max_sequences=6), gate)
    with scheduler_of(made(backend)) as scheduler:
        await until(lambda: scheduler.state == "ready")
        gate.close()
        streams = [scheduler.submit(job(4, 60, client=name, token=i)) for i, name in enumerate("ab", 1)]
        others = [
            scheduler.submit(job(8 * CHUNK, 9, client="c", token=3)),
            scheduler.submit(job(4, 9, Priority.TYPING)),
        ]
        gate.open()
        results = await asyncio.gather(*map(read, streams), return_exceptions=True)
        assert [str(result) for result in results] == ["the engine failed: RuntimeError"] * 2
        assert [len((await read(stream))[0]) for stream in others] == [9, 9]
        assert len((await read(scheduler.submit(job(4, 9))))[0]) == 9
        assert backend.calls.opens + backend.calls.forks - backend.calls.closes <= 3  # what was in doubt is closed


def test_the_share_of_a_pass_is_what_a_plain_step_costs() -> None:
    """Drafting has to beat what a token costs in a pass of several, not what it would cost alone."""
    times: Iterator[float] = itertools.repeat(0.0)
    runner = Runner(ScriptedBackend(last_id), clock=lambda: next(times))
    runs = [begun(runner, [i] * 5, 50, [1]) for i in (1, 2, 3, 4)]
    times = itertools.chain([0.0, 1.0] * 3, itertools.repeat(0.0))
    for _ in range(3):
        step(runner, runs)
    assert runner._gates[True]._plain_s == pytest.approx(0.25)
