"""Edits as values: what replaces what, in which version of which file, all or nothing.

Offsets count code points of the text of that version. Knows no protocol and no file; it never looks whether a
file exists.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
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
class Create:
    """A file that was not there."""

    uri: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rename:
    """A file that gets another name; its edits count under the old one."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class EditSet:
    """What belongs together: edits, then renames, then creates, then deletes. Building one with a conflict raises.

    `digests`: of the files that no editor has open, what their texts must still be.
    """

    edits: tuple[FileEdit, ...] = ()
    renames: tuple[Rename, ...] = ()
    creates: tuple[Create, ...] = ()
    deletes: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "edits", tuple(sorted(self.edits, key=lambda e: (e.uri, e.start, e.end))))
        object.__setattr__(self, "renames", _in_order(self.renames))
        object.__setattr__(self, "creates", tuple(sorted(self.creates, key=lambda each: each.uri)))
        object.__setattr__(self, "deletes", tuple(sorted(self.deletes)))
        _check_edits(self.edits)
        _check_files(self)

    @property
    def versions(self) -> Mapping[str, int | None]:
        """Each file that is edited, and the version of it that the edits count in."""
        return {edit.uri: edit.version for edit in self.edits}

    @property
    def touched(self) -> tuple[str, ...]:
        """Every file that is not afterwards what it was, under its old name where it has one; each once."""
        renamed = [rename.old for rename in self.renames]
        return tuple(dict.fromkeys((*self.versions, *renamed, *(each.uri for each in self.creates), *self.deletes)))

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


def _check_edits(edits: tuple[FileEdit, ...]) -> None:
    for edit in edits:
        if not 0 <= edit.start <= edit.end:
            raise EditConflict(f"an edit of {edit.uri} ends before it begins")
    for one, other in pairwise(edits):
        if one.uri != other.uri:
            continue
        if one.version != other.version:
            raise EditConflict(f"edits name two versions of {one.uri}")
        # Two edits that begin at one place have no order that every editor agrees on.
        if other.start < one.end or other.start == one.start:
            raise EditConflict(f"edits of {one.uri} overlap")


def _check_files(edits: EditSet) -> None:
    """No file is made twice, or made where one is; none is changed and deleted."""
    old = [rename.old for rename in edits.renames]
    made = [*(rename.new for rename in edits.renames), *(each.uri for each in edits.creates)]
    gone = [*old, *edits.deletes]
    for names in (made, gone):
        if len(set(names)) != len(names):
            raise EditConflict("a file is made or taken away twice")
    freed = set(old)
    for uri in made:
        if (uri in edits.versions and uri not in freed) or uri in edits.deletes:
            raise EditConflict(f"{uri} is made where a file is")
    if any(uri in edits.versions for uri in edits.deletes):
        raise EditConflict("a file is edited and deleted")


def _in_order(renames: tuple[Rename, ...]) -> tuple[Rename, ...]:
    """A name is given up before it is taken. Raises where names go round."""
    left = sorted(renames, key=lambda each: each.old)
    ordered: list[Rename] = []
    while left:
        held = {rename.old for rename in left}
        free = next((rename for rename in left if rename.new not in held), None)
        if free is None:
            raise EditConflict("renames go round")
        left.remove(free)
        ordered.append(free)
    return tuple(ordered)


def digest(text: str) -> str:
    """A name for just this text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


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
