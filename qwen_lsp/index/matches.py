"""What a language's query finds in a tree: definitions before they are placed among each other, and imports.

The captures that `queries/*.scm` may use: a kind of definition for all of it, with `name`, `body` and `container` (what
its own text says it belongs to); `wrapped` in `wrapper` (an export, a template: part of what it holds); `decorator`
(left out of signatures); `import` with `module` and `imported`, which may also stand alone and belongs to the `import`
around it then: one match for each name is cheaper than all of the statement anew. Where two patterns see one name, the
first one counts.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import chain
from typing import Literal, NamedTuple, cast, get_args

from tree_sitter import Node, QueryCursor

from qwen_lsp.index.begins import Begin, begins, root_kinds
from qwen_lsp.index.grammars import grammar_of, patterns_of, references_query
from qwen_lsp.index.language import Language
from qwen_lsp.index.patterns import Pattern
from qwen_lsp.index.steps import ROOT, TOLD, Go, Slots

Kind = Literal[
    "function",
    "method",
    "class",
    "interface",
    "enum",
    "extension",  # adds to a type that stands elsewhere: Rust's impl, Swift's extension
    "type",
    "constant",
    "variable",
    "field",
    "module",
    "macro",
    "section",
    "key",
    "rule",
    "paragraph",  # of a text that no grammar reads: no query finds it
]

ERROR = 0xFFFF  # the kind of a node that the parser could not make sense of
LOOSE_TOKENS = 10_000  # the worst real file that was seen has 3,600
HOLDS_LOCALS: frozenset[Kind] = frozenset(("function", "method"))
LOCALS: frozenset[Kind] = frozenset(("variable", "constant"))
_ROLES: frozenset[str] = frozenset((*get_args(Kind), "import", "wrapper", "decorator")) - {"paragraph"}

type Span = tuple[int, int]  # bytes, until they were moved


class Draft(NamedTuple):
    """What one match of the query says of a definition. `pattern`: its place in the query, the first one counts."""

    pattern: int
    kind: Kind
    name: Span
    span: Span
    body: int | None
    container: Span | None

    def moved(self, at: Callable[[int], int]) -> "Draft":
        name, span = (at(self.name[0]), at(self.name[1])), (at(self.span[0]), at(self.span[1]))
        container = None if self.container is None else (at(self.container[0]), at(self.container[1]))
        return Draft(self.pattern, self.kind, name, span, None if self.body is None else at(self.body), container)


@dataclass(frozen=True, slots=True)
class Found:
    """All matches: definitions by where their names begin, imports by statement and module with the names they bring,
    what stands around a definition and belongs to it (its own span -> the wider one), and decorators."""

    drafts: dict[int, Draft] = field(default_factory=dict)
    imports: dict[tuple[Span, Span], list[Span]] = field(default_factory=dict)
    wrappers: dict[Span, Span] = field(default_factory=dict)
    decorators: list[Span] = field(default_factory=list)

    def offsets(self) -> Iterator[int]:
        yield from chain.from_iterable(chain.from_iterable(self.wrappers.items()))
        yield from chain.from_iterable(self.decorators)
        for draft in self.drafts.values():
            yield from (*draft.name, *draft.span, *(draft.container or ()))
            if draft.body is not None:
                yield draft.body
        for (statement, module), names in self.imports.items():
            yield from (*statement, *module, *chain.from_iterable(names))

    def moved(self, at: Callable[[int], int]) -> "Found":
        """The same with each offset as `at` has it."""

        def both(span: Span) -> Span:
            return at(span[0]), at(span[1])

        return Found(
            {at(start): draft.moved(at) for start, draft in self.drafts.items()},
            {(both(where), both(what)): list(map(both, names)) for (where, what), names in self.imports.items()},
            {both(inner): both(outer) for inner, outer in self.wrappers.items()},
            list(map(both, self.decorators)),
        )


def found_in(root: Node, language: Language, data: bytes) -> Found:
    """What the language's patterns find in the tree of `data`."""
    search = _Search(data)
    if not _is_rubble(root):
        rows = _rows(language)
        _look_at((root,), 1, rows, search)
        _look_at(root.children, language.depth, rows, search)
        _bring(search.found.imports, search.alone)
    return search.found


@dataclass(slots=True)
class _Search:
    """One search. `inside`: the body of the function that was found last and stands in no other."""

    data: bytes
    found: Found = field(default_factory=Found)
    alone: list[Span] = field(default_factory=list)
    inside: Span = (0, 0)


class _Row(NamedTuple):
    """What is done at nodes of one kind, and what inside of functions, where nothing outside sees a local."""

    begin: Begin | None = None
    inside: Begin | None = None
    is_open: bool = True


def _look_at(nodes: Sequence[Node], n_levels: int, rows: Mapping[int, _Row], search: _Search) -> None:
    """Look at these nodes, and at those below, so many levels in all."""
    for node in nodes:
        row = rows.get(node.kind_id)
        if row is None:
            continue
        begin, begin_inside, is_open = row
        if begin is not begin_inside and search.inside[0] <= node.start_byte < search.inside[1]:
            begin = begin_inside
        if begin is not None:
            slots: Slots = [None] * begin.n_slots
            slots[TOLD], slots[ROOT] = search, node
            begin.go(slots)
        if is_open and n_levels > 1:
            _look_at(node.children, n_levels - 1, rows, search)


@cache
def _rows(language: Language) -> Mapping[int, _Row]:
    """By kinds of nodes, all that may hold something too."""
    grammar = grammar_of(language)
    patterns = [(_role(pattern), pattern) for pattern in patterns_of(language)]
    told = [
        (role, (pattern, partial(_TELL.get(role, _definition), number, role)))
        for number, (role, pattern) in enumerate(patterns)
    ]
    everywhere = begins([each for _, each in told], grammar, _text_of)
    has_locals = {kind for role, pattern in patterns if role in LOCALS for kind in root_kinds(pattern, grammar)}
    inside = begins([each for role, each in told if role not in LOCALS], grammar, _text_of)
    closed = frozenset(_closed(language))
    named = filter(grammar.node_kind_is_named, range(grammar.node_kind_count))
    return {
        kind: _Row(begin, inside.get(kind) if kind in has_locals else begin, kind not in closed)
        for kind in (*named, ERROR)
        if (begin := everywhere.get(kind)) is not None or kind not in closed
    }


def _role(pattern: Pattern) -> str:
    """The capture that says what it is for: names beside an `import` are its own."""
    return next((name for name in pattern.captures() if name in _ROLES), "imported")


def _text_of(search: _Search) -> bytes:
    return search.data


def _closed(language: Language) -> Iterator[int]:
    grammar = grammar_of(language)
    for kind in range(grammar.node_kind_count):
        if grammar.node_kind_for_id(kind) in (*language.closed, *language.identifiers):
            yield kind
            yield from grammar.subtypes(kind) if grammar.node_kind_is_supertype(kind) else ()


def _definition(pattern: int, kind: str, at: Mapping[str, int]) -> Go:
    name_at, whole_at, body_at, container_at = at["name"], at[kind], at.get("body"), at.get("container")
    holds_locals = kind in HOLDS_LOCALS

    def tell(slots: Slots) -> None:
        search = slots[TOLD]
        start, end = name = slots[name_at].byte_range
        body = None if body_at is None else slots[body_at]
        if holds_locals and body is not None and start >= search.inside[1]:
            search.inside = body.byte_range
        drafts = search.found.drafts
        known = drafts.get(start)
        if (known is not None and known.pattern <= pattern) or start == end:
            return  # a better pattern spoke first, or the parser made up a missing name
        container = None if container_at is None else slots[container_at]
        drafts[start] = Draft(
            pattern,
            cast(Kind, kind),
            name,
            slots[whole_at].byte_range,
            None if body is None else body.start_byte,
            None if container is None else container.byte_range,
        )

    return tell


def _import(_: int, __: str, at: Mapping[str, int]) -> Go:
    statement_at, module_at, imported_at = at["import"], at["module"], at.get("imported")

    def tell(slots: Slots) -> None:
        key = slots[statement_at].byte_range, slots[module_at].byte_range
        names = slots[TOLD].found.imports.setdefault(key, [])
        if imported_at is not None and slots[imported_at] is not None:
            names.append(slots[imported_at].byte_range)

    return tell


def _imported(_: int, __: str, at: Mapping[str, int]) -> Go:
    imported_at = at["imported"]
    return lambda slots: slots[TOLD].alone.append(slots[imported_at].byte_range)


def _wrapper(_: int, __: str, at: Mapping[str, int]) -> Go:
    wrapped_at, wrapper_at = at["wrapped"], at["wrapper"]

    def tell(slots: Slots) -> None:
        slots[TOLD].found.wrappers[slots[wrapped_at].byte_range] = slots[wrapper_at].byte_range

    return tell


def _decorator(_: int, __: str, at: Mapping[str, int]) -> Go:
    decorator_at = at["decorator"]
    return lambda slots: slots[TOLD].found.decorators.append(slots[decorator_at].byte_range)


_TELL = {"import": _import, "imported": _imported, "wrapper": _wrapper, "decorator": _decorator}


def _is_rubble(root: Node) -> bool:
    """Whether the parser gave up and left heaps of loose tokens: what stands in there is chance."""
    if not root.has_error or root.descendant_count < LOOSE_TOKENS:
        return False
    heaps = [root, *(child for child in root.children if child.is_error)]
    return any(heap.child_count - heap.named_child_count > LOOSE_TOKENS for heap in heaps)


def _bring(imports: dict[tuple[Span, Span], list[Span]], alone: Iterable[Span]) -> None:
    """Give the names that stand alone to the import around each."""
    statements = sorted(imports)
    for name in alone:
        at = bisect_right(statements, (name, name)) - 1
        if at >= 0 and name[1] <= statements[at][0][1]:
            imports[statements[at]].append(name)


def identifiers_in(root: Node, language: Language) -> Iterator[Span]:
    """Where the identifiers stand, in no order. The row must name some."""
    for node in QueryCursor(references_query(language)).captures(root).get("reference", ()):
        yield node.byte_range
