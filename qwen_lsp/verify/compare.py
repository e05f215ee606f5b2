"""Which findings are new. Pure: what was said before and after, and how the edits moved the lines.

A message that only moved is not new: with its line, with a function that went to another file, or with a test that
fails now for another reason. The same message twice where it stood once is new once.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from qwen_lsp.text.common import common_head, common_tail
from qwen_lsp.text.lines import LineTable
from qwen_lsp.verify.verdict import Changes, Finding

ALIGNED_LINES = (
    3_000  # difflib takes a second for more; then what lies between the first and last change counts as changed
)
# Numbers that change when lines move or a clock runs, and tell nothing.
_VOLATILE = re.compile(r"\b(lines?|L|column|col) \d+|:\d+(?::\d+)?\b|\b0x[0-9a-fA-F]+|\b\d+(?:\.\d+)? ?m?s\b")


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the lines of one file went. Lines count from 1."""

    before: LineTable
    after: LineTable
    blocks: tuple[tuple[int, int, int], ...]  # lines `a` to `a + n` stand now at `b` to `b + n`; from 0

    def line(self, line: int) -> int | None:
        """Where the line is now; None: it was changed or removed."""
        at = line - 1
        return next((b + at - a + 1 for a, b, n in self.blocks if a <= at < a + n), None)

    def is_changed(self, line: int) -> bool:
        """Whether the line of today is new or changed."""
        return not any(b <= line - 1 < b + n for _, b, n in self.blocks)


def moved(before: str, after: str) -> Moved:
    """The alignment of two texts, line by line."""
    one, other = LineTable.of(before), LineTable.of(after)
    head = one.line_at(common_head(before, after))
    tail = common_tail(before, after, min(len(before), len(after)))
    n_tail = one.count - 1 - one.line_at(len(before) - tail)
    n_tail = min(n_tail, one.count - head, other.count - head)
    blocks = [(0, 0, head)]
    middle = (one.count - head - n_tail, other.count - head - n_tail)
    if max(middle) <= ALIGNED_LINES:
        a = [one.line(head + number) for number in range(middle[0])]
        b = [other.line(head + number) for number in range(middle[1])]
        found = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
        blocks += [(head + block.a, head + block.b, block.size) for block in found if block.size]
    blocks.append((one.count - n_tail, other.count - n_tail, n_tail))
    return Moved(one, other, tuple(block for block in blocks if block[2]))


def alignments(before: Changes, after: Changes) -> Mapping[str, Moved]:
    """For each edited file, from its text before and after; a file that is not there is empty."""
    return {path: moved(before.get(path) or "", text or "") for path, text in after.items()}


def new_findings(
    before: Iterable[Finding], after: Iterable[Finding], files: Mapping[str, Moved]
) -> tuple[Finding, ...]:
    """The findings of `after` that `before` does not account for, in their order."""
    left_before, left_after = list(before), list(after)
    # From the surest to the boldest; each pairs what the ones before it left.
    for key_before, key_after in _keys(files):
        left_before, left_after = _unpaired(left_before, left_after, key_before, key_after)
    return tuple(left_after)


type _Key = tuple[object, ...] | None


def _keys(
    files: Mapping[str, Moved],
) -> Sequence[tuple[Callable[[Finding], _Key], Callable[[Finding], _Key]]]:
    def test(finding: Finding) -> _Key:
        return (finding.check, finding.rule) if finding.is_test else None

    def said(finding: Finding) -> tuple[object, ...]:
        return finding.check, finding.severity, finding.rule, _VOLATILE.sub("#", finding.message)

    def then(finding: Finding) -> _Key:
        file = files.get(finding.path)
        line = finding.line if file is None or not finding.line else file.line(finding.line)
        return None if finding.is_test or line is None else (*said(finding), finding.path, line)

    def now(finding: Finding) -> _Key:
        return None if finding.is_test else (*said(finding), finding.path, finding.line)

    def changed_then(finding: Finding) -> _Key:
        file = files.get(finding.path)
        is_changed = file is not None and finding.line and file.line(finding.line) is None
        return (*said(finding), finding.path) if is_changed and not finding.is_test else None

    def changed_now(finding: Finding) -> _Key:
        file = files.get(finding.path)
        is_changed = file is not None and finding.line and file.is_changed(finding.line)
        return (*said(finding), finding.path) if is_changed and not finding.is_test else None

    def source_then(finding: Finding) -> _Key:
        file = files.get(finding.path)
        return (*said(finding), _source(file.before, finding)) if file and changed_then(finding) else None

    def source_now(finding: Finding) -> _Key:
        file = files.get(finding.path)
        return (*said(finding), _source(file.after, finding)) if file and changed_now(finding) else None

    return ((test, test), (then, now), (source_then, source_now), (changed_then, changed_now))


def _source(lines: LineTable, finding: Finding) -> str:
    return lines.line(finding.line - 1).strip() if finding.line <= lines.count else ""


def _unpaired(
    before: Sequence[Finding],
    after: Sequence[Finding],
    key_before: Callable[[Finding], _Key],
    key_after: Callable[[Finding], _Key],
) -> tuple[list[Finding], list[Finding]]:
    """Both without the pairs whose keys are equal; what has no key stays."""
    waiting: dict[object, list[Finding]] = {}
    keyless: list[Finding] = []
    for finding in before:
        key = key_before(finding)
        if key is None:
            keyless.append(finding)
        else:
            waiting.setdefault(key, []).append(finding)
    left: list[Finding] = []
    for finding in after:
        key = key_after(finding)
        if key is not None and waiting.get(key):
            waiting[key].pop(0)
        else:
            left.append(finding)
    return [*keyless, *(finding for many in waiting.values() for finding in many)], left
