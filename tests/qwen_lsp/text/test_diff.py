"""Differences: they make the other text, leave equal lines alone, and move along with what others changed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.text.diff import changes, rebased, split, stretches
from qwen_lsp.text.edits import EditSet, FileEdit

LINES = st.lists(st.sampled_from(["a\n", "b\n", "\n", "c\r\n", "d\r", "é🙂\n", "e"]), max_size=12).map("".join)
URI = "file:///a"


def edit_set(before: str, after: str, version: int = 1) -> EditSet:
    return EditSet(tuple(FileEdit(URI, version, *change) for change in changes(before, after)))


@given(LINES, LINES)
def test_changes_make_the_other_text(before: str, after: str) -> None:
    assert edit_set(before, after).apply(URI, before) == after


@given(LINES, LINES)
def test_equal_lines_stand_between_stretches(before: str, after: str) -> None:
    old, new = split(before), split(after)
    found = list(stretches(old, new))
    for (_, last, _, end), (first, _, begin, _) in pairwise(found):
        assert first - last == begin - end > 0
        assert old[last:first] == new[end:begin]


def test_each_place_is_an_edit_of_its_own() -> None:
    before = "".join(f"line {n}\n" for n in range(5_000))
    after = before.replace("line 7\n", "line seven\n").replace("line 4000\n", "").replace("line 20\n", "new\nline 20\n")
    assert [text for _, _, text in changes(before, after)] == ["seven", "new\n", ""]


def test_blank_lines_do_not_make_it_slow() -> None:
    before = "".join(f"x{n % 7}\n\n" for n in range(10_000))
    after = before.replace("x3", "y3")
    assert edit_set(before, after).apply(URI, before) == after


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("0\na\nb\nc\n", "0\na\nB\nc\n"),
        ("a\nb\nc\nd\n", "a\nB\nc\nd\n"),
        ("a\nb\nc\n", "a\nB\nc\n"),
        ("a\nx\nc\n", None),
        ("a\nbb\nc\n", None),
        ("", None),
    ],
)
def test_edits_move_along_with_what_was_typed_elsewhere(now: str, expected: str | None) -> None:
    before = "a\nb\nc\n"
    moved = rebased(edit_set(before, "a\nB\nc\n").edits, before, now, 9)
    assert (EditSet(moved).apply(URI, now) if moved is not None else None) == expected
    assert moved is None or {edit.version for edit in moved} == {9}


@given(LINES, LINES, st.sampled_from(["zz\n", ""]))
def test_moved_edits_leave_what_was_typed(before: str, after: str, typed: str) -> None:
    """What is typed before a first line that stays, stays."""
    before, after = "first\n" + before, "first\n" + after
    edits = edit_set(before, after)
    moved = rebased(edits.edits, before, typed + before, 2)
    assert moved is not None and EditSet(moved).apply(URI, typed + before) == typed + after
