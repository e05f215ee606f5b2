"""Trees of open buffers: a change parses what it touched, the rest is shared with the tree before. Values only.

Knows no editor. Offsets are bytes of `data`; `reparsed` finds for itself what changed, so that no caller has to count
in bytes. A big source is handed to the parser in slices: it keeps the interpreter to itself until it asks for the next.
"""

from dataclasses import dataclass, field

from tree_sitter import Point, Tree

from qwen_lsp.index.grammars import encode, parse
from qwen_lsp.text.common import common_head, common_tail


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text and its tree. The text is left out of `repr`, so that no log can hold it."""

    language_id: str
    data: bytes = field(repr=False)
    tree: Tree = field(repr=False, compare=False)


def parsed(language_id: str, text: str) -> Parsed | None:
    """The tree of a buffer that was opened; None without a grammar."""
    data = encode(text)
    tree = parse(language_id, data)
    return Parsed(language_id, data, tree) if tree is not None else None


def reparsed(old: Parsed, text: str) -> Parsed:
    """The tree after any changes: what lies between the first and the last difference is parsed again."""
    data = encode(text)
    if data == old.data:
        return old
    start = common_head(old.data, data)
    shorter = min(len(old.data), len(data))
    tail = common_tail(old.data, data, shorter - start)
    return replaced(old, start, len(old.data) - tail, data[start : len(data) - tail])


def replaced(old: Parsed, start: int, end: int, insert: bytes) -> Parsed:
    """The tree after `insert` took the place of the bytes from `start` to `end`."""
    data = old.data[:start] + insert + old.data[end:]
    stop = start + len(insert)
    edited = old.tree.copy()
    edited.edit(start, end, stop, _point(old.data, start), _point(old.data, end), _point(data, stop))
    tree = parse(old.language_id, data, edited)
    assert tree is not None, old.language_id  # it had a grammar when it was opened
    return Parsed(old.language_id, data, tree)


def _point(data: bytes, offset: int) -> Point:
    return Point(data.count(b"\n", 0, offset), offset - (data.rfind(b"\n", 0, offset) + 1))
