"""A buffer's tree after any change is the tree of the new text, and says where its parts are in it."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tree_sitter import Node

from qwen_lsp.index.buffers import Parsed, parsed, replaced, reread
from qwen_lsp.index.grammars import SLICE_BYTES, encode, parse
from qwen_lsp.index.languages import LANGUAGES

GOLDEN = Path(__file__).parent / "golden"
SOURCES = {row.name: next((GOLDEN / row.name).glob("source.*")).read_text("utf-8") for row in LANGUAGES}


def shape(node: Node) -> Iterator[tuple[object, ...]]:
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node.type, node.byte_range, node.start_point, node.end_point, node.is_missing
        waiting += node.children


def opened(language_id: str, text: str) -> Parsed:
    buffer = parsed(language_id, text)
    assert buffer is not None
    return buffer


def check_same_as_fresh(buffer: Parsed, text: str) -> None:
    """Error recovery may take another way when it starts from an old tree; a text without errors has one tree."""
    fresh = parse(buffer.language_id, buffer.data)
    assert fresh is not None
    assert buffer.data == text.encode("utf-8", "replace")
    if fresh.root_node.has_error:
        assert buffer.tree.root_node.has_error
    else:
        assert list(shape(buffer.tree.root_node)) == list(shape(fresh.root_node))


def test_without_a_grammar_there_is_no_tree() -> None:
    assert parsed("brainfuck", "+") is None


@pytest.mark.parametrize("name", SOURCES)
def test_typing_a_file(name: str) -> None:
    """From the empty buffer to the whole file, some characters at a time."""
    text, rng = SOURCES[name], random.Random(name)
    buffer, typed = opened(name, ""), 0
    while typed < len(text):
        typed = min(typed + rng.randint(1, 60), len(text))
        buffer = reread(buffer, encode(text[:typed]))
    check_same_as_fresh(buffer, text)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(SOURCES)), st.data())
def test_any_changes_and_back(name: str, data: st.DataObject) -> None:
    """Two changes at once, as several cursors make them, and undone: the tree is the fresh one."""
    text = SOURCES[name]
    places = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=4, max_size=4)))
    pieces = st.sampled_from(["", "x", "(", "}", '"', "\n", "\r\n", "📦", "é = 1\n", "    ", "/*"])
    first, second = data.draw(pieces), data.draw(pieces)
    new = text[: places[0]] + first + text[places[1] : places[2]] + second + text[places[3] :]
    changed = reread(opened(name, text), encode(new))
    check_same_as_fresh(changed, new)
    check_same_as_fresh(reread(changed, encode(text)), text)


def test_the_buffer_before_stays_as_it_was() -> None:
    before = opened("python", "a = 1\n")
    replaced(before, 0, 1, b"long_name")
    check_same_as_fresh(before, "a = 1\n")
    assert reread(before, encode("a = 1\n")) is before


def test_a_source_in_slices_has_the_same_tree() -> None:
    text = "def größe(x):\n    return '📦', x\n\n\n" * (SLICE_BYTES // 20)
    buffer = reread(opened("python", text[:-40]), encode(text))
    root = buffer.tree.root_node
    assert root.child_count == SLICE_BYTES // 20 and not root.has_error
    assert {child.text for child in root.children} == {"def größe(x):\n    return '📦', x".encode()}
    check_same_as_fresh(buffer, text)
