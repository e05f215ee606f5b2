"""Held against tree-sitter's own query engine: the same patterns find the same nodes."""

from collections.abc import Iterable, Mapping
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tree_sitter import Node, Query, QueryCursor

from qwen_lsp.index.begins import begins
from qwen_lsp.index.grammars import grammar_of, parse, patterns_of, query_text
from qwen_lsp.index.language import Language
from qwen_lsp.index.languages import LANGUAGES, language_named
from qwen_lsp.index.patterns import Pattern, read
from qwen_lsp.index.steps import ROOT, TOLD, Go, Slots
from tests.qwen_lsp.index.test_symbols import source_of

# The dots in a path of Scala's are of the path's field: tree-sitter's anchors do not hold there, and its engine finds
# no import at all.
FOUND_BY_US_ONLY = {"scala": "import"}

type Match = tuple[int, frozenset[tuple[str, tuple[int, int]]]]


def of_tree_sitter(root: Node, query: Query) -> set[Match]:
    """Each name that a capture with `+` gathers is a match of its own."""
    return {
        (pattern, frozenset((name, node.byte_range) for name, nodes in match.items() for node in nodes))
        for pattern, match in QueryCursor(query).matches(root)
    }


def ours(root: Node, language: Language, patterns: Iterable[Pattern], data: bytes) -> set[Match]:
    found: set[Match] = set()

    def tell(number: int, at: Mapping[str, int]) -> Go:
        def told(slots: Slots) -> None:
            nodes = ((name, slots[slot]) for name, slot in at.items())
            found.add((number, frozenset((name, node.byte_range) for name, node in nodes if node is not None)))

        return told

    told = [(pattern, partial(tell, number)) for number, pattern in enumerate(patterns)]
    table = begins(told, grammar_of(language), lambda text: text)
    todo = [root]
    for node in todo:
        todo += node.children
        if (begin := table.get(node.kind_id)) is not None:
            slots: Slots = [None] * begin.n_slots
            slots[TOLD], slots[ROOT] = data, node
            begin.go(slots)
    return found


def check_equal(source: bytes, language: Language) -> None:
    tree = parse(language.name, source)
    assert tree is not None
    theirs = of_tree_sitter(tree.root_node, _query(language))
    found = ours(tree.root_node, language, patterns_of(language), source)
    known = FOUND_BY_US_ONLY.get(language.name)
    assert {match for match in found - theirs if known not in dict(match[1])} == set()
    assert theirs - found == set()


def _query(language: Language, kept: dict[str, Query] = {}) -> Query:  # noqa: B006  # some take half a second
    if language.name not in kept:
        kept[language.name] = Query(grammar_of(language), query_text(language))
    return kept[language.name]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_golden_sources(language: Language) -> None:
    check_equal(source_of(language), language)


@pytest.mark.parametrize("name", ["python", "javascript", "go", "java", "kotlin"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_broken_sources(name: str, data: st.DataObject) -> None:
    """Cut somewhere, and with a piece of it said twice."""
    language = language_named(name)
    assert language is not None
    source = source_of(language)
    at, to = (data.draw(st.integers(0, len(source))) for _ in range(2))
    check_equal(source[:at] + source[to:], language)


PYTHON = b"""import a, b as c, d
class A(B, metaclass=C):
    x = y = 1

    def f(self, z):
        self.p, self.q = z, 2
        return z
"""


@pytest.mark.parametrize(
    ("query", "n_matches"),
    [
        ("(class_definition name: (_) @name body: (block . (_) @first)) @class", 1),
        ("(class_definition name: (_) @name body: (block (_) @each .)) @class", 1),
        ("(argument_list (_) @one . (_) @next) @all", 1),
        ("(argument_list (_) @one) @all", 2),
        ("(import_statement name: [(dotted_name) @module (aliased_import name: (_) @module)]+) @import", 3),
        ("(function_definition name: (_) @name return_type: (_)? @type) @function", 1),
        ("(function_definition !return_type name: (_) @name) @function", 1),
        ("(class_definition !body) @class", 0),
        ('(function_definition "def" @word) @function', 1),
        ("(parameters _ @any) @all", 5),
        ('((attribute object: (identifier) @self attribute: (_) @name) (#eq? @self "self"))', 2),
        ('((assignment left: (identifier) @name) (#match? @name "^[xz]$"))', 1),
        ('((identifier) @name (#any-of? @name "z" "q"))', 4),
    ],
)
def test_one_query(query: str, n_matches: int) -> None:
    language = language_named("python")
    assert language is not None
    tree = parse("python", PYTHON)
    assert tree is not None
    found = ours(tree.root_node, language, read(query), PYTHON)
    assert found == of_tree_sitter(tree.root_node, Query(grammar_of(language), query))
    assert len(found) == n_matches


def test_a_field_stands_for_its_first_child_without_plus() -> None:
    """The one difference: tree-sitter finds three."""
    language = language_named("python")
    assert language is not None
    tree = parse("python", PYTHON)
    assert tree is not None
    found = ours(tree.root_node, language, read("(import_statement name: (_) @module)"), PYTHON)
    assert [dict(captures)["module"] for _, captures in found] == [(7, 8)]


def test_what_begins_alike_is_done_once() -> None:
    language = language_named("python")
    assert language is not None
    patterns = read("(assignment left: (identifier) @a) (assignment left: (attribute) @b) (assignment left: (_) @c)")
    asked: list[int] = []

    class Counted:
        """A node that counts what is asked of it."""

        def __init__(self, node: Node) -> None:
            self.node = node

        def child_by_field_id(self, field: int) -> Node | None:
            asked.append(field)
            return self.node.child_by_field_id(field)

    tree = parse("python", b"x = 1\n")
    assert tree is not None
    node = tree.root_node.children[0].children[0]
    told: list[str] = []
    table = begins(
        [(pattern, lambda at: lambda slots: told.extend(at)) for pattern in patterns],
        grammar_of(language),
        lambda text: text,
    )
    begin = table[node.kind_id]
    begin.go([b"", Counted(node), *[None] * (begin.n_slots - 2)])
    assert told == ["a", "c"]
    assert len(asked) == 1
