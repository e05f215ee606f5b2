"""The tree around a hole: what the hole stands in, and the gate: does the file with a suggestion parse no worse?

A half-typed file has errors already, so they are counted, not forbidden. Only the function or class around the hole is
parsed, where there is one. Knows nothing of prompts and models.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tree_sitter import Node

from qwen_lsp.index.buffers import Parsed, parsed, parsed_after, replaced
from qwen_lsp.index.grammars import encode
from qwen_lsp.post.region import Region, region

# A bigger file would stall the event loop for longer than a keystroke may take.
GATE_CHARS = 400_000


Inside = Literal["code", "comment", "string"]


@dataclass(frozen=True, slots=True)
class Around:
    """The parsed region of a hole, which lies between the bytes `first` and `last` of it, `indent` less deep."""

    base: Parsed
    first: int
    last: int
    indent: str


@dataclass(slots=True)
class LastRegion:
    """The region that was parsed last: the next key's is nearly the same, and what it touched is all that is parsed."""

    kept: Parsed | None = None

    def parse(self, language_id: str, text: str) -> Parsed | None:
        """As `parsed`."""
        self.kept = parsed_after(self.kept, language_id, encode(text))
        return self.kept


def around(
    language_id: str, text: str, start: int, end: int, parse: Callable[[str, str], Parsed | None] = parsed
) -> Around | None:
    """What stands around text[start:end]; None where nothing can be told: without a grammar, or in a huge file."""
    if len(text) > GATE_CHARS:
        return None
    whole = region(language_id, text, start, end)
    before = _dedented(text, whole.start, start, whole)
    old, after = text[start:end], _dedented(text, end, whole.end, whole)
    base = parse(language_id, before + old + after)
    if base is None:
        return None
    first = len(encode(before))
    return Around(base, first, first + len(encode(old)), whole.indent)


def inside(hole: Around | None) -> Inside:
    """What the hole begins in. A comment that goes on to the line's end is still one there."""
    if hole is None or hole.first == 0:
        return "code"
    node = hole.base.tree.root_node.descendant_for_byte_range(hole.first - 1, hole.first - 1)
    while node is not None:
        if "comment" in node.type:
            open_ended = not hole.base.data[node.start_byte : node.end_byte].rstrip().endswith((b"*/", b"-->"))
            return "comment" if hole.first < node.end_byte or open_ended else "code"
        if node.type in ("interpolation", "template_substitution"):
            return "code"
        if "string" in node.type and node.start_byte < hole.first < node.end_byte:
            return "string"
        node = node.parent
    return "code"


def sound_part(language_id: str, text: str, start: int, end: int, new_text: str) -> str:
    """The longest run of whole lines of `new_text` that may replace text[start:end]; empty where none may."""
    return sound(around(language_id, text, start, end), new_text)


def sound(hole: Around | None, new_text: str) -> str:
    """The same, for a hole whose surroundings are parsed already."""
    if hole is None:
        return new_text
    part = new_text.replace("\n" + hole.indent, "\n") if hole.indent else new_text
    allowed = n_faults(hole.base.tree.root_node)
    n_lines = part.count("\n") + 1
    while part.strip():
        if n_faults(replaced(hole.base, hole.first, hole.last, encode(part)).tree.root_node) <= allowed:
            return new_text[: _end_of_line(new_text, part.count("\n") + 1, n_lines)]
        part = part[: part.rfind("\n")].rstrip() if "\n" in part else ""
    return ""


def _end_of_line(text: str, n_kept: int, n_lines: int) -> int:
    """Where the first `n_kept` of so many lines end, without white space where some are left out."""
    if n_kept == n_lines:
        return len(text)
    end = -1
    for _ in range(n_kept):
        end = text.find("\n", end + 1)
    return len(text[:end].rstrip())


def _dedented(text: str, start: int, end: int, whole: Region) -> str:
    """A part of the region as if that were not indented."""
    part = text[start:end]
    if not whole.indent:
        return part
    if start == whole.start:
        part = part.removeprefix(whole.indent)
    return part.replace("\n" + whole.indent, "\n")


def n_faults(root: Node) -> int:
    """How many ERROR and MISSING nodes there are; healthy branches are not entered."""
    found = 0
    waiting = [root]
    while waiting:
        node = waiting.pop()
        found += node.is_error or node.is_missing
        if node.has_error:
            waiting += node.children
    return found


def faults(language_id: str, text: str) -> int:
    """How many there are in a text; none without a grammar."""
    found = parsed(language_id, text)
    return n_faults(found.tree.root_node) if found is not None else 0
