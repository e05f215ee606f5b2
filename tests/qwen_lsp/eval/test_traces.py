"""Typing drawn from changes: it ends where the commit ended, the same way each time."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.eval.history import Change
from qwen_lsp.eval.traces import MOST_TYPED, Stroke, strokes

LINES = st.lists(st.sampled_from(["a = 1\n", "    return b\n", "\n", "\tx\n", "é🙂\n", "no end"]), max_size=12)
TEXTS = LINES.map("".join)


def replayed(changes: list[Change], trace: list[Stroke]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for stroke in trace:
        if stroke.kind == "open":
            texts[stroke.path] = stroke.text
        elif stroke.kind != "jump":
            texts[stroke.path] = stroke.applied(texts[stroke.path])
    return texts


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS, TEXTS, st.integers(0, 9))
def test_the_files_end_as_the_commit_left_them(a: str, b: str, c: str, d: str, seed: int) -> None:
    changes = [Change("a.py", a, b), Change("b.py", c, d)]
    trace = list(strokes(changes, seed))
    after = replayed(changes, trace)
    assert after == {change.path: change.after for change in changes if change.before != change.after}
    assert trace == list(strokes(changes, seed))
    assert all(stroke.pause_s > 0 and 0 <= stroke.start <= stroke.end for stroke in trace)


def test_a_line_end_brings_the_indentation_and_slips_are_taken_back() -> None:
    after = "def f():\n    return first_of(everything_that_was_typed_before)\n" * 8
    trace = list(strokes([Change("a.py", "", after)], 3))
    kinds = [stroke.kind for stroke in trace]
    assert kinds[:2] == ["open", "jump"] and "back" in kinds
    assert "\n    " in {stroke.text for stroke in trace if stroke.kind == "key"}
    slips = [one for one, two in pairwise(trace) if two.kind == "back"]
    assert all(len(slip.text) == 1 and slip.text.isalpha() for slip in slips)


def test_what_is_too_long_to_be_typed_is_pasted() -> None:
    trace = list(strokes([Change("a.py", "", "x = 1\n" * MOST_TYPED)], 0))
    assert [stroke.kind for stroke in trace] == ["open", "paste"]
