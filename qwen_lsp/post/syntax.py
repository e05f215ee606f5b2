"""The tree around a hole: what the hole stands in, and the gate: does the file with a suggestion parse no worse?

A half-typed file has errors already, so they are counted, not forbidden. Only the function or class around the hole is
parsed, where there is one. Lines do not tell for certain where that ends: where it has faults, and the file without it
is not whole, or not to be cut there, all of the file is asked. Knows nothing of prompts and models.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from tree_sitter import Node

from qwen_lsp.index.buffers import Parsed, parsed, parsed_after, replaced
from qwen_lsp.index.grammars import encode
from qwen_lsp.post.region import Region, region

# A bigger file would stall the event loop for longer than a keystroke may take.
GATE_CHARS = 400_000
SLOW_CHARS = 1_000  # of a part with faults: parsing it takes up to a few milliseconds, without them a tenth
_STAND_IN = "def _(): pass"  # for a function: one that is a class's only one, or has decorators, leaves a gap

Inside = Literal["code", "comment", "string"]


@dataclass(frozen=True, slots=True)
class Around:
    """The parsed region of a hole, which lies between the bytes `first` and `last` of it, `indent` less deep.

    `file`: all of the file, where that has to be asked about a region with faults; None where the region will do.
    `verdicts`: what `sound` said of texts.
    """

    base: Parsed
    first: int
    last: int
    indent: str = ""
    file: "Callable[[], Around | None]" = lambda: None
    verdicts: dict[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_slow(self) -> bool:
        """Whether judging a text takes so long that it is worth doing ahead of need."""
        return len(self.base.data) > SLOW_CHARS and self.base.tree.root_node.has_error

    def whole(self) -> "Around":
        """Itself, or all of the file where it has faults that the file may not have."""
        return (self.file() if self.base.tree.root_node.has_error else None) or self


@dataclass(slots=True)
class LastParsed:
    """What was parsed last: the next key's is nearly the same, and what it touched is all that is parsed.

    `rest`: the file without the region, which typing in that does not change.
    """

    region: Parsed | None = None
    rest: Parsed | None = None
    file: Parsed | None = None


def around(language_id: str, text: str, start: int, end: int, last: LastParsed | None = None) -> Around | None:
    """What stands around text[start:end]; None where nothing can be told: without a grammar, or in a huge file."""
    if len(text) > GATE_CHARS:
        return None
    last = last or LastParsed()
    part = region(language_id, text, start, end)
    if (part.start, part.end) == (0, len(text)):
        return _in_file(language_id, text, start, end, last)
    before = _dedented(text, part.start, start, part)
    old, after = text[start:end], _dedented(text, end, part.end, part)
    if before + old + after != _dedented(text, part.start, part.end, part):  # it begins or ends in an indent
        return _in_file(language_id, text, start, end, last)
    last.region = parsed_after(last.region, language_id, encode(before + old + after))
    if last.region is None:
        return None
    first = len(encode(before))

    def file() -> Around | None:
        apart = _is_apart(language_id, text, part, last)
        return None if apart else _in_file(language_id, text, start, end, last)

    return Around(last.region, first, first + len(encode(old)), part.indent, cache(file))


def _is_apart(language_id: str, text: str, part: Region, last: LastParsed) -> bool:
    """Whether the faults of the region are its own: without it the file has none, and falls in two where it stood.

    A half-typed file of 50 kB takes 30 ms at each key; this is parsed once. A language in which functions can stand
    within others has one put where the region was.
    """
    stand_in = f"{part.indent}{_STAND_IN}\n" if language_id == "python" else ""
    front = encode(text[: part.start])
    last.rest = parsed_after(last.rest, language_id, front + encode(stand_in + text[part.end :]))
    if last.rest is None or last.rest.tree.root_node.has_error:
        return False
    root, at = last.rest.tree.root_node, len(front)
    if stand_in:
        first = at + len(encode(part.indent))
        node = root.descendant_for_byte_range(first, first + len(_STAND_IN))
        return node is not None and node.type == "function_definition" and node.start_byte == first
    return 0 in (at, len(last.rest.data) - at) or root.descendant_for_byte_range(at - 1, at + 1) == root


def _in_file(language_id: str, text: str, start: int, end: int, last: LastParsed) -> Around | None:
    last.file = parsed_after(last.file, language_id, encode(text))
    if last.file is None:
        return None
    first = len(encode(text[:start]))
    return Around(last.file, first, first + len(encode(text[start:end])))


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
    """The same, for a hole whose surroundings are parsed already. A text is judged once."""
    if hole is None:
        return new_text
    if new_text not in hole.verdicts:
        hole.verdicts[new_text] = _sound(hole.whole(), new_text)
    return hole.verdicts[new_text]


def _sound(hole: Around, new_text: str) -> str:
    part = new_text.replace("\n" + hole.indent, "\n") if hole.indent else new_text
    allowed = n_faults(hole.base.tree.root_node)
    n_lines = part.count("\n") + 1
    while part.strip():
        if n_faults(replaced(hole.base, hole.first, hole.last, encode(part)).tree.root_node) <= allowed:
            return new_text[: _end_of_line(new_text, part.count("\n") + 1, n_lines)]
        part = part[: part.rfind("\n")].rstrip() if "\n" in part else ""
    return ""


def prepared(hole: Callable[[], Around | None]) -> None:
    """Parse what `sound` will ask for, in good time."""
    found = hole()
    if found is not None:
        found.whole()


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
