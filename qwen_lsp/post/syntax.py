"""The gate: does the file with the suggestion parse no worse than without?

A half-typed file has errors already, so they are counted, not forbidden. Knows nothing of prompts and cursors.
"""

from tree_sitter import Node, Point, Tree

from qwen_lsp.post.grammars import encode, parse

# A bigger file would stall the event loop for longer than a keystroke may take.
GATE_CHARS = 400_000


def sound_part(language_id: str, text: str, start: int, end: int, new_text: str) -> str:
    """The longest run of whole lines of `new_text` that may replace text[start:end]; empty where none may."""
    if len(text) > GATE_CHARS:
        return new_text
    base = encode(text)
    tree = parse(language_id, base)
    if tree is None:
        return new_text
    allowed = n_faults(tree.root_node)
    first, last = len(encode(text[:start])), len(encode(text[:end]))
    part = new_text
    while part.strip():
        if _faults_with(language_id, tree, base, (first, last), encode(part)) <= allowed:
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


def _faults_with(language_id: str, tree: Tree, base: bytes, span: tuple[int, int], insert: bytes) -> int:
    start, end = span
    edited = tree.copy()
    new = base[:start] + insert + base[end:]
    edited.edit(
        start, end, start + len(insert), _point(base, start), _point(base, end), _point(new, start + len(insert))
    )
    found = parse(language_id, new, edited)
    return n_faults(found.root_node) if found is not None else 0


def _point(data: bytes, offset: int) -> Point:
    return Point(data.count(b"\n", 0, offset), offset - (data.rfind(b"\n", 0, offset) + 1))
