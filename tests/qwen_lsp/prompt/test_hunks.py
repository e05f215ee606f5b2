"""The difference of two texts: its laws, and what it costs on long ones."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.prompt.hunks import MAX_ALIGNED, Hunk, hunks, lines, patched

TEXTS = st.lists(st.sampled_from(["a\n", "b\n", "\n", "c\n", "a", "\x0c\n", "é\n"]), max_size=12).map("".join)


@given(TEXTS, TEXTS)
def test_all_hunks_make_the_new_text(before: str, after: str) -> None:
    assert patched(before, hunks(before, after)) == after


@given(TEXTS, TEXTS)
def test_hunks_stand_where_they_say(before: str, after: str) -> None:
    for hunk in hunks(before, after):
        assert lines(before)[hunk.line : hunk.line + len(hunk.old)] == hunk.old
        assert lines(after)[hunk.at : hunk.at + len(hunk.new)] == hunk.new
        assert hunk.old != hunk.new


@given(TEXTS, TEXTS, st.data())
@settings(deadline=None)
def test_what_is_left_out_comes_back_as_the_difference(before: str, after: str, data: st.DataObject) -> None:
    found = hunks(before, after)
    taken = data.draw(st.lists(st.sampled_from(found), unique=True) if found else st.just([]))
    middle = patched(before, taken)
    assert patched(middle, hunks(middle, after)) == after


@given(TEXTS)
def test_lines_are_the_text(text: str) -> None:
    assert "".join(lines(text)) == text
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in lines(text)[:-1])


def test_what_was_compared_is_not_aligned_again() -> None:
    before = "".join(f"row {n}\n" for n in range(300))
    after = before.replace("row 7\n", "row\n").replace("row 290\n", "")
    hunks.cache_clear()
    found = hunks(before, after)
    for n in range(3):  # a few keys in another file meanwhile
        hunks(before, before + f"{n}\n")
    assert len(found) == 2 and hunks(before, after) is found
    assert (hunks.cache_info().misses, hunks.cache_info().hits) == (4, 1)


def test_a_line_put_in() -> None:
    assert hunks("a\nb\n", "a\nx\nb\n") == (Hunk(1, 1, (), ("x\n",)),)


def test_two_places() -> None:
    assert hunks("a\nb\nc\n", "A\nb\nC\nd\n") == (Hunk(0, 0, ("a\n",), ("A\n",)), Hunk(2, 2, ("c\n",), ("C\n", "d\n")))


def test_a_rewrite_is_one_hunk() -> None:
    before = "".join(f"{n}\n" for n in range(MAX_ALIGNED + 1))
    (hunk,) = hunks(before, before.replace("\n", "!\n"))
    assert len(hunk.old) == MAX_ALIGNED + 1


def test_a_key_in_a_long_text_aligns_one_line() -> None:
    text = "".join(f"line {n}\n" for n in range(200_000))
    middle = len(text) // 2
    begun = time.process_time()
    (hunk,) = hunks(text, text[:middle] + "x" + text[middle:])
    assert time.process_time() - begun < 0.5, "milliseconds, not a walk over 200,000 lines"
    assert len(hunk.old) == len(hunk.new) == 1
