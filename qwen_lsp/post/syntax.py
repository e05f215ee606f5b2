"""The tree around a hole: what the hole stands in, and the gate: does the file with a suggestion parse no worse?

A half-typed file has errors already, so they are counted, not forbidden. Only the function or class around the hole is
parsed, where there is one; all of the file where that has faults, since lines do not tell for certain where a function
ends. Knows nothing of prompts and models.
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from tree_sitter import Node

from qwen_lsp.index.buffers import Parsed, parsed, parsed_after, replaced
from qwen_lsp.index.grammars import encode
from qwen_lsp.post.region import Region, region

# A bigger file would stall the event loop for longer than a keystroke may take.
GATE_CHARS = 400_000
KEPT_PLACES = 4  # where cursors were: of keys, and of what is made ahead of them
_WORD_GOES_ON = re.compile(r"(?<=\w)\w*")

Inside = Literal["code", "comment", "string"]


@dataclass(frozen=True, slots=True)
class Around:
    """The parsed region of a hole, which lies between the bytes `first` and `last` of it, `indent` less deep.

    `file`: parses all of the file, where nothing changed since then at no cost; None where the region is all of it.
    """

    base: Parsed
    first: int
    last: int
    indent: str = ""
    file: "Callable[[], Around | None] | None" = None

    def whole(self) -> "Around | None":
        """Itself, or all of the file where it has faults: what is cut out of a file may have others than that has."""
        return self.file() if self.file is not None and self.base.tree.root_node.has_error else self


@dataclass(frozen=True, slots=True)
class Stood:
    """What a cursor stood in, and the text around it then."""

    language_id: str
    before: str = field(repr=False)
    after: str = field(repr=False)
    what: Inside


@dataclass(slots=True)
class LastParsed:
    """What was parsed last: the next key's is nearly the same, and what it touched is all that is parsed."""

    region: Parsed | None = None
    file: Parsed | None = None
    stood: deque[Stood] = field(default_factory=lambda: deque(maxlen=KEPT_PLACES))


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
    last.region = parsed_after(last.region, language_id, encode(before + old + after))
    if last.region is None:
        return None
    first = len(encode(before))
    file = partial(_in_file, language_id, text, start, end, last)
    return Around(last.region, first, first + len(encode(old)), part.indent, file)


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


def inside_at(language_id: str, text: str, at: int, last: LastParsed, hole: Callable[[], Around | None]) -> Inside:
    """What text[at] stands in. `hole` parses what is around it, and is not asked where only a word goes on.

    In a half-typed text parsing takes milliseconds, and can be done while the engine is waited for.
    """
    before, after = text[:at], text[at:]
    goes_on = (
        old.what
        for old in last.stood
        if (old.language_id, old.after) == (language_id, after)
        and before.startswith(old.before)
        and _WORD_GOES_ON.fullmatch(before, len(old.before))
    )
    what = next(goes_on, None) or inside(hole())
    last.stood.append(Stood(language_id, before, after, what))
    return what


def sound_part(language_id: str, text: str, start: int, end: int, new_text: str) -> str:
    """The longest run of whole lines of `new_text` that may replace text[start:end]; empty where none may."""
    return sound(around(language_id, text, start, end), new_text)


def sound(hole: Around | None, new_text: str) -> str:
    """The same, for a hole whose surroundings are parsed already."""
    hole = hole and hole.whole()
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
