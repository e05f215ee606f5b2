"""Reading queries. That what is read finds what it should is in `test_begins.py`."""

import pytest

from qwen_lsp.index.patterns import Item, Shape, read


def test_a_node_with_fields_alternatives_and_anchors() -> None:
    (pattern,) = read('(a !c b: [(x) @one "y"]? @two . (_) @three .) @four ; said about it')
    one, two = Shape("x", True, ("one", "two")), Shape("y", False, ("two",))
    items = (Item((one, two), "b", False, "?"), Item((Shape("", True, ("three",)),), "", True, ""))
    assert pattern.shapes == (Shape("a", True, ("four",), items, ("c",), True),)
    assert pattern.captures() == ("four", "one", "two", "three")


def test_alternatives_at_the_top_and_what_must_hold_for_texts() -> None:
    first, second = read('([(a) (b)] @x) ((a (_) @x) (#any-of? @x "p" "q\\"") (#match? @x "^r+"))')
    assert [shape.kind for shape in first.shapes] == ["a", "b"]
    (any_of, matches) = second.tests
    assert any_of[0] == matches[0] == "x"
    assert [any_of[1](text) for text in (b"p", b'q"', b"r")] == [True, True, False]
    assert [matches[1](text) for text in (b"rr.", b"q")] == [True, False]


@pytest.mark.parametrize("source", ["(a", "(a))", "(a (#no? @x))", '((a) @x (#not-eq? @x "b"))', "[(a)", "(a)* @x"])
def test_what_is_no_query_or_says_more_than_is_read(source: str) -> None:
    with pytest.raises(ValueError, match="query"):
        read(source)
