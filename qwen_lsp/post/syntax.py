"""The gate: does the file with the suggestion parse no worse than without?

A half-typed file has errors already, so they are counted, not forbidden. Knows nothing of prompts and cursors.
"""

from tree_sitter import Node

from qwen_lsp.index.buffers import parsed, replaced
from qwen_lsp.index.grammars import encode

# A bigger file would stall the event loop for longer than a keystroke may take.
GATE_CHARS = 400_000


def sound_part(language_id: str, text: str, start: int, end: int, new_text: str) -> str:
    """The longest run of whole lines of `new_text` that may replace text[start:end]; empty where none may."""
    if len(text) > GATE_CHARS:
        return new_text
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
