"""Edits as values: what replaces what, in which version of which file, all or nothing.

Offsets count code points of the text of that version. Knows no protocol and no file; it never looks whether a
file exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from qwen_lsp.errors import EditConflict
from qwen_lsp.text.common import common_head, common_tail
from qwen_lsp.text.document import Cursor, Document


@dataclass(frozen=True, slots=True)
class FileEdit:
    """`new_text` replaces `start` to `end` in the file's text. `version` None: the file is not open."""

    uri: str
    version: int | None
    start: int
    end: int
    new_text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EditSet:
    """Edits that belong together, in ascending order within each file. Building one with a conflict raises."""

    edits: tuple[FileEdit, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "edits", tuple(sorted(self.edits, key=lambda e: (e.uri, e.start, e.end))))
        for edit in self.edits:
            if not 0 <= edit.start <= edit.end:
                raise EditConflict(f"an edit of {edit.uri} ends before it begins")
        for one, other in pairwise(self.edits):
            if one.uri != other.uri:
                continue
            if one.version != other.version:
                raise EditConflict(f"edits name two versions of {one.uri}")
            # Two edits that begin at one place have no order that every editor agrees on.
            if other.start < one.end or other.start == one.start:
                raise EditConflict(f"edits of {one.uri} overlap")

    @property
    def versions(self) -> Mapping[str, int | None]:
        """Each file that is edited, and the version of it that the edits count in."""
        return {edit.uri: edit.version for edit in self.edits}

    def of(self, uri: str) -> tuple[FileEdit, ...]:
        """The edits of one file."""
        return tuple(edit for edit in self.edits if edit.uri == uri)

    def apply(self, uri: str, text: str) -> str:
        """The file's text after the edits."""
        pieces: list[str] = []
        done = 0
        for edit in self.of(uri):
            if edit.end > len(text):
                raise EditConflict(f"an edit lies outside {uri}")
            pieces += (text[done : edit.start], edit.new_text)
            done = edit.end
        return "".join((*pieces, text[done:]))


def smallest_edit(before: str, after: str) -> tuple[int, int, str] | None:
    """(start, end, new text) of the one smallest replacement that makes `after`; None where both are equal.

    It never begins or ends between the CR and the LF of one line end.
    """
    if before == after:
        return None
    head = common_head(before, after)
    if head and before[head - 1] == "\r" and "\n" in (before[head : head + 1], after[head : head + 1]):
        head -= 1
    tail = common_tail(before, after, min(len(before), len(after)) - head)
    while tail and before[-tail] == "\n" and _after_cr(before, after, tail):
        tail -= 1
    return head, len(before) - tail, after[head : len(after) - tail]


def _after_cr(before: str, after: str, tail: int) -> bool:
    return any(text[len(text) - tail - 1 : len(text) - tail] == "\r" for text in (before, after))


def typed_since(cursor: Cursor, now: Document) -> str | None:
    """What was typed at the cursor since its document was current, if that is all that happened to the text."""
    before, offset = cursor.document.text, cursor.offset
    n_typed = len(now.text) - len(before)
    if n_typed < 0 or not now.text.startswith(before[:offset]) or not now.text.endswith(before[offset:]):
        return None
    return now.text[offset : offset + n_typed]
