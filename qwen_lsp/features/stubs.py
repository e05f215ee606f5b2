"""Functions that were named but not written: where their bodies are. Pure; no model, no editor."""

import re
from dataclasses import dataclass
from functools import lru_cache

from tree_sitter import Node, Tree

from qwen_lsp.index.grammars import encode, parse
from qwen_lsp.index.languages import language_named
from qwen_lsp.post.region import region

# What stands in a body that nobody has written yet.
_STUB = re.compile(
    r"pass|\.\.\.|raise NotImplementedError(?:\(.*\))?|(?:todo|unimplemented)!\(.*\);?"
    r"|throw new \w*(?:Error|Exception)\(.*\);?|panic\(.*(?:implement|todo).*\)",
    re.DOTALL | re.IGNORECASE,
)
SCAN_CHARS = 400_000  # parsing more would be felt when an editor asks for actions


@dataclass(frozen=True, slots=True)
class Stub:
    """A function's name and the range that its body shall fill, in offsets."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function's name and all of it, in offsets."""

    name: str
    start: int
    end: int


def function_at(language_id: str, text: str, start: int, end: int) -> Function | None:
    """The innermost function that holds the range."""
    found = _function(language_id, text, start, end)
    name = _name(found.node) if found is not None else None
    if found is None or name is None:
        return None
    return Function(name, found.offset(found.node.start_byte), found.offset(found.node.end_byte))


def stub_at(language_id: str, text: str, start: int, end: int) -> Stub | None:
    """The innermost function that holds the range, if its body is a stub."""
    found = _function(language_id, text, start, end)
    body = found.node.child_by_field_name("body") if found is not None else None
    if found is None or body is None:
        return None
    hole = _indented_hole(body) if language_id == "python" else _braced_hole(body, found.data)
    name = _name(found.node)
    if hole is None or name is None:
        return None
    return Stub(name, found.offset(hole[0]), found.offset(hole[1]))


@dataclass(frozen=True, slots=True)
class _Found:
    """A function in the part of the text that was parsed; that begins at `base`."""

    node: Node
    data: bytes
    base: int

    def offset(self, n_bytes: int) -> int:
        return self.base + len(self.data[:n_bytes].decode())


def _place(text: str, start: int, end: int) -> tuple[int, int]:
    """What a bare cursor means: in a line's indentation its first character, behind the last one that one."""
    if text[start:end].strip():
        return start, end
    before = text[max(text.rfind("\n", 0, start), text.rfind("\r", 0, start)) + 1 : start]
    if before.strip():
        behind = text[start : start + 1] in ("", "\r", "\n") and not before[-1].isspace()
        return (start - 1, start - 1) if behind else (start, end)
    first = start
    while text[first : first + 1] in (" ", "\t"):
        first += 1
    return (start, end) if text[first : first + 1] in ("", "\r", "\n") else (first, first)


def _function(language_id: str, text: str, start: int, end: int) -> _Found | None:
    """Parses what stands around the place only: editors ask at each move of the cursor."""
    language = language_named(language_id)
    if language is None or not language.functions or len(text) > SCAN_CHARS:
        return None
    start, end = _place(text, start, end)
    part = region(language_id, text, start, end)
    base = part.start + len(part.indent)
    data = encode(text[base : part.end])
    tree = _tree(language_id, data)
    if tree is None:
        return None
    first, last = (len(encode(text[base : max(base, at)])) for at in (start, end))
    node = tree.root_node.descendant_for_byte_range(first, last)
    while node is not None and node.type not in language.functions:
        node = node.parent
    return None if node is None else _Found(node, data, base)


@lru_cache(maxsize=2)
def _tree(language_id: str, data: bytes) -> Tree | None:
    """Editors ask at each move of the cursor, and mostly about the text of before."""
    return parse(language_id, data)


def _name(function: Node) -> str | None:
    """The function's own name; in C it hides in nested declarators."""
    node: Node | None = function
    while node is not None:
        named = node.child_by_field_name("name")
        if named is not None:
            return _text(named)
        node = node.child_by_field_name("declarator")
        if node is not None and node.type in ("identifier", "field_identifier"):
            return _text(node)
    return None


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


def _indented_hole(body: Node) -> tuple[int, int] | None:
    """Python: the one stub statement; a docstring before it stays."""
    statements = [child for child in body.named_children if child.type != "comment"]
    if len(statements) > 1 and _text(statements[0]).lstrip("rRuU").startswith(("'", '"')):
        statements = statements[1:]
    if len(statements) != 1 or not _STUB.fullmatch(_text(statements[0]).strip()):
        return None
    return statements[0].start_byte, statements[0].end_byte


def _braced_hole(body: Node, data: bytes) -> tuple[int, int] | None:
    """Between the braces; the white space before the closing one stays."""
    start, end = body.start_byte + 1, body.end_byte - 1
    if data[body.start_byte : start] != b"{" or data[end : body.end_byte] != b"}":
        return None
    statements = [child for child in body.named_children if "comment" not in child.type]
    if len(statements) > 1 or (statements and not _STUB.fullmatch(_text(statements[0]).strip())):
        return None
    inside = data[start:end]
    return start, start + len(inside.rstrip()) if b"\n" in inside else end
