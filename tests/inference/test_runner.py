"""Jobs on the scripted backend: what is evaluated, what is reused, where snapshots are taken."""

import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.backends.base import EngineSettings
from inference.backends.scripted import ScriptedBackend
from inference.brief import PIECE
from inference.generation import Job
from inference.kept import pack
from inference.runner import CHUNK, WORTH_SAVING, Run, Runner
from inference.saved import SavedPrefixes


def last_id(tokens: tuple[int, ...]) -> int:
    """A script whose answer depends on every token, so that a wrong state shows."""
    return sum((i + 1) * token for i, token in enumerate(tokens)) % 250


def make_runner(
    n_ctx: int = 8192, n_cells: int = 8192, max_sequences: int = 4, saved: SavedPrefixes | None = None
) -> Runner:
    """Every pass takes one second on its clock, so that the longest draft pays best."""
    limits = EngineSettings(n_ctx=n_ctx, n_cells=n_cells, max_sequences=max_sequences)
    return Runner(ScriptedBackend(last_id, limits), itertools.count().__next__, saved)


def complete(
    runner: Runner,
    prompt: list[int],
    n_tokens: int = 4,
    marks: tuple[int, ...] = (),
    prediction: tuple[int, ...] = (),
) -> Run:
    run = Run(Job("job", tuple(prompt), n_tokens, cache_marks=marks, prediction=prediction), pack(prompt))
    assert runner.begin(run)
    while len(run.answer) < n_tokens:
        run.answer += runner.step(run)
    runner.end(run)
    return run


def oracle(prompt: list[int], n_tokens: int) -> list[int]:
    tokens = list(prompt)
    for _ in range(n_tokens):
        tokens.append(last_id(tuple(tokens)))
    return tokens[len(prompt) :]


def evaluated(runner: Runner) -> list[int]:
    backend = runner.backend
    assert isinstance(backend, ScriptedBackend)
    return backend.calls.evaluated


def test_the_same_prompt_again_costs_one_token() -> None:
    runner = make_runner()
    prompt = list(range(1, 200))
    first = complete(runner, prompt)
    again = complete(runner, prompt)
    assert again.answer == first.answer == oracle(prompt, 4)
    assert (first.n_cached, again.n_cached) == (0, 198)
    assert again.n_evaluated == 1 + 3  # the prompt's last token, and three of the answer's


def test_typing_costs_what_was_typed() -> None:
    runner = make_runner()
    prompt = [7] * 3000
    complete(runner, prompt, marks=(2900,))
    costs = [complete(runner, prompt + list(range(key))).n_evaluated - 3 for key in range(1, 9)]
    assert costs == [2] * 8  # the letter, and the one before it, whose logits nobody needs


def test_chunks_end_at_marks_and_are_never_longer_than_said() -> None:
    runner = make_runner()
    complete(runner, [5] * 1000, n_tokens=1, marks=(100, 600))
    assert evaluated(runner) == [100, CHUNK, 244, CHUNK, 143, 1]
    assert sorted(runner.cache.kept[0].stops) == [100, 600, 999]


def test_a_step_that_a_key_may_wait_for_is_brief() -> None:
    runner = make_runner()
    prompt = [5] * 1000
    run = Run(Job("job", tuple(prompt), 1), pack(prompt))
    assert runner.begin(run)
    for brief in (True, True, False):  # nothing is known of the first one
        runner.step(run, brief=brief)
    assert evaluated(runner) == [CHUNK, PIECE, CHUNK]


def test_where_two_prompts_part_a_snapshot_is_taken_for_the_third() -> None:
    runner = make_runner()
    trunk = [3] * 500
    complete(runner, [*trunk, *[1] * 300])
    assert complete(runner, [*trunk, *[2] * 300]).n_cached == 0  # nothing stood at 500 yet
    assert complete(runner, [*trunk, *[4] * 300]).n_cached == 500


def test_a_warm_up_samples_nothing_and_serves_the_next_job() -> None:
    runner = make_runner()
    run = Run(Job("job", (1, 2, 3), 0), pack([1, 2, 3]))
    assert runner.begin(run)
    while run.n_done < 3:
        assert runner.step(run) == ()
    runner.end(run)
    backend = runner.backend
    assert isinstance(backend, ScriptedBackend) and backend.calls.samples == 0
    assert complete(runner, [1, 2, 3, 4]).n_cached == 2


def test_a_warm_up_is_gone_on_from_at_its_very_end_where_that_is_marked() -> None:
    runner = make_runner()
    log = [7] * 500
    run = Run(Job("job", tuple(log), 0, cache_marks=(400, 500)), pack(log))
    assert runner.begin(run)
    while run.n_done < len(log):
        runner.step(run)
    runner.end(run)
    for tail in ([1] * 60, [2] * 60, [3] * 60):  # the mark outlives other prompts' ends
        assert complete(runner, [*log, *tail]).n_cached == 500


def test_a_right_prediction_takes_few_passes_and_a_wrong_one_changes_nothing() -> None:
    prompt = list(range(1, 100))
    expected = oracle(prompt, 120)
    n_passes = {}
    for name, prediction in {"right": tuple(expected), "wrong": tuple(reversed(expected))}.items():
        runner = make_runner()
        complete(runner, prompt, prediction=(1,))  # a plain step, which the gate wants to have seen
        before = len(evaluated(runner))
        run = complete(runner, prompt, n_tokens=120, prediction=prediction)
        assert run.answer == expected
        n_passes[name] = len(evaluated(runner)) - before
    assert n_passes["right"] <= 12


def test_a_clock_that_is_handed_in_is_the_only_one() -> None:
    """Also where the engine has one of its own: what is played again must end the same way."""
    backend = ScriptedBackend(last_id)
    object.__setattr__(backend.info, "clock", time.process_time)
    runner = Runner(backend, itertools.count(step=1000).__next__)
    complete(runner, [1, 2, 3], prediction=(1,))
    assert runner._gates[True]._plain_s == 1000


def test_a_key_waits_by_the_wall_clock_whatever_clock_drafts_are_weighed_on() -> None:
    backend = ScriptedBackend(last_id)
    object.__setattr__(backend.info, "clock", lambda: 0.0)
    runner = Runner(backend)
    complete(runner, [7] * PIECE * 2)
    assert runner._gates[False]._plain_s == 0 < runner._brief.token_s


def test_what_was_drafted_is_kept_for_the_next_prompt() -> None:
    runner = make_runner()
    prompt = list(range(1, 100))
    expected = oracle(prompt, 60)
    complete(runner, prompt, prediction=(1,))
    complete(runner, prompt, n_tokens=60, prediction=tuple(expected))
    again = complete(runner, prompt + expected[:30], n_tokens=10)
    assert again.answer == expected[30:40]


def test_a_job_that_does_not_fit_beside_the_running_ones_waits() -> None:
    runner = make_runner(n_ctx=1000, n_cells=1000)
    long = Run(Job("long", (1,) * 800, 10), pack([1] * 800))
    short = Run(Job("short", (2,) * 300, 10), pack([2] * 300))
    assert runner.begin(long)
    assert not runner.begin(short)
    runner.end(long)
    assert runner.begin(short)


def test_refuses_a_backend_that_can_not_hold_one_context() -> None:
    backend = ScriptedBackend(last_id)
    object.__setattr__(backend.info, "n_cells", backend.info.n_ctx - 1)
    with pytest.raises(ValueError, match="attention rows"):
        Runner(backend)


prompts = st.builds(
    lambda stem, tail: [9] * (40 * stem) + tail, st.integers(0, 4), st.lists(st.integers(1, 2), min_size=1, max_size=20)
)


marks_in = st.lists(st.integers(1, 150), max_size=2, unique=True)
predictions = st.lists(st.integers(0, 250), max_size=20).map(tuple)


@given(st.lists(st.tuples(prompts, marks_in, predictions, st.booleans()), min_size=1, max_size=15))
@settings(max_examples=100, deadline=None)
def test_answers_are_those_of_an_empty_cache_without_drafts(
    jobs: list[tuple[list[int], list[int], tuple[int, ...], bool]],
) -> None:
    runner = make_runner(n_ctx=400, n_cells=500, max_sequences=3)
    for prompt, marks, guess, guess_well in jobs:
        inside = tuple(sorted(mark for mark in marks if mark <= len(prompt)))
        expected = oracle(prompt, 12)
        prediction = (*expected[:5], *guess, *expected[5:]) if guess_well else guess
        run = complete(runner, prompt, n_tokens=12, marks=inside, prediction=prediction)
        assert run.answer == expected
        assert run.n_cached + run.n_evaluated >= len(prompt) + 11


TRUNK = list(range(1, 240)) * 10  # longer than what is worth saving


def shelf(folder: Path) -> SavedPrefixes:
    return SavedPrefixes(folder, "scripted", 1 << 30)


def test_what_two_jobs_had_in_common_is_saved_and_read_back(tmp_path: Path) -> None:
    runner = make_runner(saved=shelf(tmp_path))
    complete(runner, [*TRUNK, 5], marks=(len(TRUNK),))
    assert runner.save() is None, "one job alone has nothing in common with others"
    complete(runner, [*TRUNK, 6], marks=(len(TRUNK),))
    write = runner.save()
    assert write is not None and write()
    assert runner.save() is None, "it is on disk already"

    again = make_runner(saved=shelf(tmp_path))
    run = complete(again, [*TRUNK, 7])
    assert run.answer == oracle([*TRUNK, 7], 4)
    assert (run.n_cached, run.n_evaluated) == (len(TRUNK), 1 + 3)


def test_what_the_cache_has_is_not_read(tmp_path: Path) -> None:
    saved = shelf(tmp_path)
    saved.write(pack(TRUNK), [b"no payload of this engine"])
    runner = make_runner(saved=saved)
    complete(runner, TRUNK[: len(TRUNK) - WORTH_SAVING + 50], marks=(len(TRUNK) - WORTH_SAVING + 1,))
    complete(runner, [*TRUNK, 1])
    assert isinstance(runner.backend, ScriptedBackend) and runner.backend.calls.loads == 0


def test_a_payload_that_the_engine_refuses_is_dropped_and_the_prompt_evaluated(tmp_path: Path) -> None:
    saved = shelf(tmp_path)
    saved.write(pack(TRUNK), [b"no payload of this engine"])
    run = complete(make_runner(saved=saved), [*TRUNK, 1])
    assert run.answer == oracle([*TRUNK, 1], 4) and run.n_cached == 0
    assert saved.find(pack([*TRUNK, 1])) is None


def test_no_room_for_what_is_saved_while_others_run(tmp_path: Path) -> None:
    saved = shelf(tmp_path)
    first = make_runner(saved=saved)
    for tail in (5, 6):
        complete(first, [*TRUNK, tail], marks=(len(TRUNK),))
    write = first.save()
    assert write is not None and write()

    runner = make_runner(n_ctx=3000, n_cells=3000, saved=saved)
    other = Run(Job("other", (2,) * 900, 10), pack([2] * 900))
    assert runner.begin(other)
    assert not runner.begin(Run(Job("big", (*TRUNK, 1), 10), pack([*TRUNK, 1])))
    runner.end(other)
    assert complete(runner, [*TRUNK, 1]).n_cached == len(TRUNK)
