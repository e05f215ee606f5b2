"""The gate: does the file with the suggestion parse no worse than without?

A half-typed file has errors already, so they are counted, not forbidden. Knows nothing of prompts and cursors.
"""

from tree_sitter import Node

from qwen_lsp.index.buffers import parsed, replaced
from qwen_lsp.index.grammars import encode
from qwen_lsp.post.region import Region, region

# A bigger file would stall the event loop for longer than a keystroke may take.
GATE_CHARS = 400_000


def sound_part(language_id: str, text: str, start: int, end: int, new_text: str) -> str:
    """The longest run of whole lines of `new_text` that may replace text[start:end]; empty where none may.

    Judged in the function or class around it, where there is one.
    """
    if len(text) > GATE_CHARS:
        return new_text
    around = region(language_id, text, start, end)
    before, after = _dedented(text, around.start, start, around), _dedented(text, end, around.end, around)
    replaced_text, shown = text[start:end], new_text.replace("\n" + around.indent, "\n") if around.indent else new_text
    sound = _sound(language_id, before, replaced_text, after, shown)
    return new_text if sound == shown else new_text[: _same_lines(new_text, sound)]


def _sound(language_id: str, before: str, old: str, after: str, new_text: str) -> str:
    text, start, end = before + old + after, len(before), len(before) + len(old)
    base = parsed(language_id, text)
    if base is None:
        return new_text
    allowed = n_faults(base.tree.root_node)
    first, last = len(encode(text[:start])), len(encode(text[:end]))
    part = new_text
    while part.strip():
        if n_faults(replaced(base, first, last, encode(part)).tree.root_node) <= allowed:
            return part
        part = part[: part.rfind("\n")].rstrip() if "\n" in part else ""
    return ""


def _dedented(text: str, start: int, end: int, around: Region) -> str:
    """A part of the region as if that were not indented."""
    part = text[start:end]
    if not around.indent:
        return part
    if start == around.start:
        part = part.removeprefix(around.indent)
    return part.replace("\n" + around.indent, "\n")


def _same_lines(text: str, kept: str) -> int:
    """Where the lines of `text` end that `kept` has as well."""
    if not kept:
        return 0
    end = -1
    for _ in range(kept.count("\n") + 1):
        end = text.find("\n", end + 1)
    return len(text[:end].rstrip())


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
