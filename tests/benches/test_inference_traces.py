"""Prompts of the inference bench: what changes from key to key, and where."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.backends.base import EngineSettings
from scripts.benches import inference_traces as traces
from scripts.benches.inference_traces import HUNK_TOKENS, TAIL_TOKENS, TYPING_HUNKS, Ask, Controls, Material, Trace

CONTROLS = Controls(900, 901, 902)
LINE = "total = add(first, second)"


def encode(text: str) -> list[int]:
    """One id per character, but one for `in`: typing its second letter changes the id of the first."""
    return [ord(c) for c in text.replace("in", "\x01")]


def made(n_tokens: int, seed: int = 0) -> Material:
    files = [f"# {n}\n{LINE}\n" + f"x{n} = {n}\n" * 900 for n in range(5)]
    return traces.material(files, encode, CONTROLS, n_tokens, seed)


def all_traces(m: Material) -> list[Trace]:
    return [
        traces.typing_at_end(m, 5),
        traces.typing_in_ledger(m, 5),
        traces.typing_in_middle(m, 5),
        traces.edits_in_log(m, 4),
        traces.edits_in_place(m, (0.9, 0.5, 0.1)),
        traces.switching(m, 6),
    ]


def common(a: Ask, b: Ask) -> int:
    """Tokens that two prompts share at their start."""
    pairs = zip(a.prompt, b.prompt, strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(len(a.prompt), len(b.prompt)))


def test_the_same_seed_gives_the_same_prompts_and_another_one_others() -> None:
    assert all_traces(made(2000)) == all_traces(made(2000))
    assert len({made(2000, seed).base for seed in range(5)}) > 1


def test_too_little_text_is_said() -> None:
    with pytest.raises(ValueError, match="are needed"):
        made(1_000_000)


@given(st.text(alphabet="ain ", min_size=1))
def test_each_key_adds_a_character(line: str) -> None:
    typed = traces.keystrokes(line, encode)
    assert len(typed) == len(line)
    assert typed[-1] == tuple(encode(line))


@pytest.mark.parametrize("n_tokens", [1000, 32_000])
def test_marks_ascend_within_prompts_that_leave_room_for_an_answer(n_tokens: int) -> None:
    m = made(1000)
    m = Material(tuple(range(n_tokens)), m.spare, m.line, m.controls)
    for trace in all_traces(m):
        for ask in (*trace.first, *trace.keys):
            assert list(ask.marks) == sorted(set(ask.marks)), trace.name
            assert ask.marks[0] > 0 and ask.marks[-1] <= len(ask.prompt), trace.name
            assert len(ask.prompt) <= EngineSettings().n_ctx - 64, trace.name


@pytest.mark.parametrize("name", ["end", "ledger"])
def test_typing_changes_nothing_before_the_line(name: str) -> None:
    trace = next(trace for trace in all_traces(made(1000)) if trace.name == name)
    for before, after in pairwise((*trace.first, *trace.keys)):
        assert before.marks == after.marks
        assert common(before, after) >= before.marks[-1]


def test_prefix_first_typing_moves_a_quarter_of_the_context() -> None:
    trace = traces.typing_in_middle(made(1000), 5)
    for before, after in pairwise(trace.keys):
        at = common(before, after)
        assert 751 <= at < 751 + len(LINE)
        assert len(after.prompt) - at > 250


def test_an_edit_in_the_log_is_a_hunk_behind_the_last_one() -> None:
    m = made(1000)
    trace = traces.edits_in_log(m, 4)
    for n, (before, after) in enumerate(pairwise((*trace.first, *trace.keys)), TYPING_HUNKS + 1):
        assert len(after.prompt) == len(before.prompt) + HUNK_TOKENS
        assert common(before, after) == len(m.base) + n * HUNK_TOKENS


def test_an_edit_in_place_changes_one_hunk_of_the_base() -> None:
    m = Material(tuple(range(1000)), tuple(range(5000, 8000)), made(1000).line, CONTROLS)
    trace = traces.edits_in_place(m, (0.9, 0.5, 0.1))
    for before, after, at in zip((*trace.first, *trace.keys), trace.keys, (900, 500, 100), strict=False):
        changed = [i for i, (x, y) in enumerate(zip(before.prompt, after.prompt, strict=True)) if x != y]
        assert changed == list(range(at, at + HUNK_TOKENS))


def test_two_buffers_share_the_trunk_and_no_more() -> None:
    m = made(1000)
    trace = traces.switching(m, 6)
    assert len(trace.first) == 2 and len(trace.keys) == 6
    for one, other in pairwise((*trace.first, *trace.keys)):
        assert common(one, other) == len(m.base) + common(Ask(m.spare), Ask(m.spare[TAIL_TOKENS:]))


def test_no_prompt_comes_twice() -> None:
    """mlx_lm.server dies of one that it has in its cache as a whole."""
    m = Material(tuple(range(1000)), tuple(range(5000, 8000)), made(1000).line, CONTROLS)
    prompts = [ask.prompt for trace in all_traces(m) for ask in (*trace.first, *trace.keys)]
    assert len(prompts) == len(set(prompts))
