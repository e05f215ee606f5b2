"""The difference of two texts as small hunks of whole lines. Pure.

Lines end by LF; only the last one may lack it. Cheap where little changed, however long the text: what both texts
begin and end with is skipped by comparing strings, and only the lines between are aligned.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from qwen_lsp.text.common import common_head, common_tail

KEPT = 8  # differences: what was pasted is compared at rest, by the next key, and by those that follow until it is told
MAX_ALIGNED = 400  # lines on either side; aligning is quadratic, and a larger change is a rewrite


@dataclass(frozen=True, slots=True)
class Hunk:
    """`old` lines were replaced by `new` ones, at lines that count from 0: `line` before the change, `at` after it."""

    line: int
    at: int
    old: tuple[str, ...]
    new: tuple[str, ...]


@lru_cache(maxsize=KEPT)
def hunks(before: str, after: str) -> tuple[Hunk, ...]:
    """What turns `before` into `after`, in ascending order."""
    around = span(before, after)
    if around is None or max(len(around.old), len(around.new)) > MAX_ALIGNED:
        return () if around is None else (around,)
    first, old, new = around.line, around.old, around.new
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple(Hunk(first + i, first + k, old[i:j], new[k:m]) for tag, i, j, k, m in codes if tag != "equal")


@lru_cache(maxsize=KEPT)
def span(before: str, after: str) -> Hunk | None:
    """The lines from the first that differ to the last, as one hunk; None where none do."""
    if before == after:
        return None
    head = before.rfind("\n", 0, common_head(before, after)) + 1
    tail = common_tail(before, after, min(len(before), len(after)) - head)
    tail = _whole_lines_of_tail(before, after, tail)
    old, new = lines(before[head : len(before) - tail]), lines(after[head : len(after) - tail])
    first = before.count("\n", 0, head)
    return Hunk(first, first, old, new)


def patched(text: str, changes: Iterable[Hunk]) -> str:
    """`text` after some of the hunks that begin at it; where one is left out, the lines stay as they are."""
    rows = list(lines(text))
    for change in sorted(changes, key=lambda change: change.line, reverse=True):
        rows[change.line : change.line + len(change.old)] = change.new
    return "".join(rows)


def lines(text: str) -> tuple[str, ...]:
    """The lines of `text` with their ends; a form feed ends none."""
    rows = text.split("\n")
    last = rows.pop()
    return (*(row + "\n" for row in rows), *((last,) if last else ()))


def _whole_lines_of_tail(before: str, after: str, tail: int) -> int:
    """The part of a common tail that begins where a line begins, in both texts."""
    if tail == len(before) == len(after):
        return tail
    start = len(before) - tail
    newline = before.find("\n", start)
    if tail and all(at == 0 or text[at - 1] == "\n" for text, at in ((before, start), (after, len(after) - tail))):
        return tail
    return len(before) - newline - 1 if newline >= 0 else 0
