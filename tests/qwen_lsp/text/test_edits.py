"""EditSet: disjoint, applied as one; the smallest difference; what was typed through."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.errors import EditConflict
from qwen_lsp.text.document import Cursor, Document
from qwen_lsp.text.edits import Create, EditSet, FileEdit, Rename, smallest_edit, typed_since

TEXTS = st.text(alphabet="ab\r\n🙂", max_size=12)


def edit(start: int, end: int, text: str = "-", version: int | None = 1, uri: str = "file:///a") -> FileEdit:
    return FileEdit(uri, version, start, end, text)


def test_edits_of_several_files_count_in_the_text_before_them() -> None:
    edits = EditSet((edit(4, 5, "E"), edit(0, 0, "<"), edit(0, 1, "x", uri="file:///b"), edit(2, 4, "")))
    assert edits.apply("file:///a", "abcdefg") == "<abEfg"
    assert edits.apply("file:///b", "abc") == "xbc"
    assert edits.apply("file:///c", "abc") == "abc"
    assert edits.versions == {"file:///a": 1, "file:///b": 1}


@pytest.mark.parametrize(
    "edits",
    [
        (edit(0, 3), edit(2, 4)),
        (edit(1, 1), edit(1, 1)),
        (edit(1, 1), edit(1, 2)),
        (edit(0, 1), edit(2, 3, version=2)),
        (edit(3, 2),),
        (edit(-1, 2),),
    ],
)
def test_conflicts_are_refused(edits: tuple[FileEdit, ...]) -> None:
    with pytest.raises(EditConflict):
        EditSet(edits)


def test_an_edit_outside_the_text_is_refused() -> None:
    with pytest.raises(EditConflict):
        EditSet((edit(0, 9),)).apply("file:///a", "abc")


def test_the_text_of_an_edit_is_not_in_its_repr() -> None:
    assert "secret" not in repr(EditSet((edit(0, 1, "secret"),)))


@given(TEXTS, TEXTS)
def test_the_smallest_edit_makes_the_new_text_and_splits_no_line_end(before: str, after: str) -> None:
    found = smallest_edit(before, after)
    if found is None:
        assert before == after
        return
    start, end, text = found
    assert before[:start] + text + before[end:] == after
    for place in (start, end):
        assert before[place - 1 : place + 1] != "\r\n" or place == 0
    for place in (start, start + len(text)):
        assert after[place - 1 : place + 1] != "\r\n" or place == 0


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("abc", "abXc", (2, 2, "X")),
        ("aa", "aaa", (2, 2, "a")),
        ("a\r\nb", "a\nb", (1, 3, "\n")),
        ("a\rb", "a\r\nb", (1, 2, "\r\n")),
        ("one\ntwo\nthree", "one\n2\nthree", (4, 7, "2")),
    ],
)
def test_smallest_edits(before: str, after: str, expected: tuple[int, int, str]) -> None:
    assert smallest_edit(before, after) == expected


@pytest.mark.parametrize(
    ("now", "typed"), [("ab|cd", "|"), ("abcd", ""), ("ab", None), ("Xabcd", None), ("abcdX", None), ("abxxcd", "xx")]
)
def test_typed_since(now: str, typed: str | None) -> None:
    cursor = Cursor(Document("file:///a", "text", 1, "abcd"), 2)
    assert typed_since(cursor, Document("file:///a", "text", 2, now)) == typed


def test_files_are_renamed_in_an_order_that_works() -> None:
    edits = EditSet(renames=(Rename("a", "b"), Rename("b", "c")), creates=(Create("d", "x"),), deletes=("e",))
    assert edits.renames == (Rename("b", "c"), Rename("a", "b"))
    assert edits.touched == ("b", "a", "d", "e")


@pytest.mark.parametrize(
    "parts",
    [
        {"renames": (Rename("a", "b"), Rename("b", "a"))},
        {"renames": (Rename("a", "c"), Rename("b", "c"))},
        {"renames": (Rename("a", "b"), Rename("a", "c"))},
        {"renames": (Rename("b", "file:///a"),), "edits": (edit(0, 1),)},
        {"creates": (Create("file:///a", ""),), "edits": (edit(0, 1),)},
        {"creates": (Create("a", ""), Create("a", "b"))},
        {"creates": (Create("a", ""),), "deletes": ("a",)},
        {"deletes": ("file:///a",), "edits": (edit(0, 1),)},
        {"deletes": ("a", "a")},
    ],
)
def test_files_that_are_made_or_taken_away_twice_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(EditConflict):
        EditSet(**parts)


def test_no_text_is_in_a_log_of_a_created_file() -> None:
    assert "secret" not in repr(EditSet(creates=(Create("a", "secret"),)))
