"""Trees of open buffers: a change parses what it touched, the rest is shared with the tree before.

Knows no editor. Offsets are bytes of `data`; `reread` finds for itself what changed, so that no caller has to count
in bytes. A big source is handed to the parser in slices: it keeps the interpreter to itself until it asks for the next.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field

from tree_sitter import Point, Tree

from qwen_lsp.index.grammars import encode, parse
from qwen_lsp.text.common import common_head, common_tail

KEPT_BYTES = 4_000_000  # of text whose trees `Trees` keeps; they take fifteen times as much


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text and its tree. The text is left out of `repr`, so that no log can hold it."""

    language_id: str
    data: bytes = field(repr=False)
    tree: Tree = field(repr=False, compare=False)


def parsed(language_id: str, text: str) -> Parsed | None:
    """The tree of a buffer that was opened; None without a grammar."""
    return parsed_data(language_id, encode(text))


def parsed_data(language_id: str, data: bytes) -> Parsed | None:
    """The same of its bytes."""
    tree = parse(language_id, data)
    return Parsed(language_id, data, tree) if tree is not None else None


def reread(old: Parsed, data: bytes) -> Parsed:
    """The tree after any changes: what lies between the first and the last difference is parsed again."""
    if data == old.data:
        return old
    start = common_head(old.data, data)
    shorter = min(len(old.data), len(data))
    tail = common_tail(old.data, data, shorter - start)
    return replaced(old, start, len(old.data) - tail, data[start : len(data) - tail])


def parsed_after(old: Parsed | None, language_id: str, data: bytes) -> Parsed | None:
    """The tree of `data`, going on from a text that was parsed before, if there is one in the language."""
    return reread(old, data) if old is not None and old.language_id == language_id else parsed_data(language_id, data)


def replaced(old: Parsed, start: int, end: int, insert: bytes) -> Parsed:
    """The tree after `insert` took the place of the bytes from `start` to `end`."""
    data = old.data[:start] + insert + old.data[end:]
    stop = start + len(insert)
    edited = old.tree.copy()
    edited.edit(start, end, stop, _point(old.data, start), _point(old.data, end), _point(data, stop))
    tree = parse(old.language_id, data, edited)
    assert tree is not None, old.language_id  # it had a grammar when it was opened
    return Parsed(old.language_id, data, tree)


@dataclass(slots=True)
class Trees:
    """The trees of the buffers that were parsed last, the latest one last, by whatever tells buffers apart."""

    kept: dict[Hashable, Parsed] = field(default_factory=dict)

    def parse(self, key: Hashable, language_id: str, data: bytes) -> Tree | None:
        """The tree of what the buffer holds now; None without a grammar."""
        new = parsed_after(self.kept.pop(key, None), language_id, data)
        if new is None:
            return None
        self.kept[key] = new
        while len(self.kept) > 1 and sum(len(each.data) for each in self.kept.values()) > KEPT_BYTES:
            del self.kept[next(iter(self.kept))]
        return new.tree


def _point(data: bytes, offset: int) -> Point:
    return Point(data.count(b"\n", 0, offset), offset - (data.rfind(b"\n", 0, offset) + 1))
