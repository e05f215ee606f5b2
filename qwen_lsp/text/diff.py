"""The smallest differences of two texts: one replacement per place that changed, no line touched that is the same.

Lines are aligned by those that both texts have once, and closely only in between. Any line ends. Pure; bounded work:
a long stretch with nothing to align by is one replacement.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

from qwen_lsp.text.edits import FileEdit, smallest_edit
from qwen_lsp.text.lines import line_starts

MAX_PAIRS = 250_000  # lines times lines: what is compared closely, some 0.1 s at worst

type Change = tuple[int, int, str]  # start, end, new text
type _Stretch = tuple[int, int, int, int]  # old lines from, to; new lines from, to


def split(text: str) -> list[str]:
    """Lines with their ends; a text that ends with one has no empty line after it."""
    starts = line_starts(text)
    lines = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return lines if lines[-1] else lines[:-1]


def changes(before: str, after: str) -> tuple[Change, ...]:
    """What turns `before` into `after`, ascending and apart."""
    if before == after:
        return ()
    old, new = split(before), split(after)
    starts = [0]
    for line in old:
        starts.append(starts[-1] + len(line))
    found: list[Change] = []
    for first, last, begin, end in stretches(old, new):
        edit = smallest_edit("".join(old[first:last]), "".join(new[begin:end]))
        if edit is not None:
            found.append((starts[first] + edit[0], starts[first] + edit[1], edit[2]))
    return tuple(found)


def stretches(old: Sequence[str], new: Sequence[str]) -> Iterator[_Stretch]:
    """Where lines differ, ascending, with equal lines between."""
    waiting: list[_Stretch] = [(0, len(old), 0, len(new))]
    while waiting:
        first, last, begin, end = waiting.pop()
        while first < last and begin < end and old[first] == new[begin]:
            first, begin = first + 1, begin + 1
        while first < last and begin < end and old[last - 1] == new[end - 1]:
            last, end = last - 1, end - 1
        if (first, begin) == (last, end):
            continue
        if first == last or begin == end:
            yield first, last, begin, end
            continue
        anchors = _anchors(old, new, (first, last, begin, end))
        if anchors:
            borders = [(first - 1, begin - 1), *anchors, (last, end)]
            inner = [(i + 1, k, j + 1, m) for (i, j), (k, m) in pairwise(borders)]
            waiting += reversed(inner)
        elif (last - first) * (end - begin) <= MAX_PAIRS:
            codes = SequenceMatcher(None, old[first:last], new[begin:end], autojunk=False).get_opcodes()
            yield from ((first + i, first + j, begin + k, begin + m) for tag, i, j, k, m in codes if tag != "equal")
        else:
            yield first, last, begin, end


def _anchors(old: Sequence[str], new: Sequence[str], within: _Stretch) -> list[tuple[int, int]]:
    """Lines that stand once on both sides, as many as can be had in one order."""
    first, last, begin, end = within
    n_old, n_new = Counter(old[first:last]), Counter(new[begin:end])
    place = {new[j]: j for j in range(begin, end) if n_new[new[j]] == 1}
    pairs = [(i, place[old[i]]) for i in range(first, last) if n_old[old[i]] == 1 and old[i] in place]
    ends: list[int] = []  # of the best run of each length, the smallest place that it ends at
    last_of: list[int] = []
    before: list[int | None] = []
    for number, (_, j) in enumerate(pairs):
        length = bisect_left(ends, j)
        ends[length : length + 1] = [j]
        last_of[length : length + 1] = [number]
        before.append(last_of[length - 1] if length else None)
    run: list[tuple[int, int]] = []
    number_or_none = last_of[-1] if last_of else None
    while number_or_none is not None:
        run.append(pairs[number_or_none])
        number_or_none = before[number_or_none]
    return run[::-1]


def rebased(edits: Sequence[FileEdit], before: str, now: str, version: int | None) -> tuple[FileEdit, ...] | None:
    """Edits of `before` as edits of `now`; None where both changed one place, or places that touch."""
    theirs = changes(before, now)
    moved = []
    for edit in edits:
        shift = 0
        for start, end, text in theirs:
            if end < edit.start:
                shift += len(text) - (end - start)
            elif start <= edit.end:
                return None
        moved.append(FileEdit(edit.uri, version, edit.start + shift, edit.end + shift, edit.new_text))
    return tuple(moved)
