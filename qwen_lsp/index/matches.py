"""What a language's query finds in a tree: definitions before they are placed among each other, and imports.

The captures that `queries/*.scm` may use: a kind of definition for all of it, with `name`, `body` and `container` (what
its own text says it belongs to); `wrapped` in `wrapper` (an export, a template: part of what it holds); `decorator`
(left out of signatures); `import` with `module` and `imported`, which may also stand alone and belongs to the `import`
around it then: one match for each name is cheaper than all of the statement anew. Where two patterns see one name, the
first one counts. Inside of a pattern `_` stands for a node that its fields tell already: what a node with a name may
hold is worked out when the query is compiled, which was a third of that in JavaScript and Ruby.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from typing import Literal, NamedTuple, cast, get_args

from tree_sitter import Node, QueryCursor

from qwen_lsp.index.grammars import definitions_query, references_query
from qwen_lsp.index.language import Language

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

LOOSE_TOKENS = 10_000  # 0.1 s; the worst real file that was seen has 3,600
HOLDS_LOCALS: frozenset[Kind] = frozenset(("function", "method"))
LOCALS: frozenset[Kind] = frozenset(("variable", "constant"))
_ROLES: frozenset[str] = frozenset((*get_args(Kind), "import", "wrapper", "decorator")) - {"paragraph"}

type Role = Kind | Literal["import", "imported", "wrapper", "decorator"]
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


def found_in(root: Node, language: Language) -> Found:
    found = Found()
    if _is_rubble(root):
        return found
    roles = _roles(language)
    cursor = QueryCursor(definitions_query(language))
    cursor.set_max_start_depth(language.depth)
    inside: Span = (0, 0)  # a function's body, whose match comes before those in there
    alone: list[Span] = []
    for pattern, match in cursor.matches(root):
        role = roles.get(pattern) or _role(roles, pattern, match)
        if role == "import":
            statement, module = match["import"][0].byte_range, match["module"][0].byte_range
            names = found.imports.setdefault((statement, module), [])
            names.extend(node.byte_range for node in match.get("imported", ()))
        elif role == "imported":
            alone.append(match["imported"][0].byte_range)
        elif role == "wrapper":
            found.wrappers[match["wrapped"][0].byte_range] = match["wrapper"][0].byte_range
        elif role == "decorator":
            found.decorators.append(match["decorator"][0].byte_range)
        else:
            start = match["name"][0].start_byte
            if role in LOCALS and inside[0] <= start < inside[1]:
                continue  # nothing outside of the function sees it
            _add_definition(found.drafts, pattern, role, match)
            if role in HOLDS_LOCALS and "body" in match and start >= inside[1]:
                inside = match["body"][0].byte_range
    _bring(found.imports, alone)
    return found


@cache
def _roles(_: Language) -> dict[int, Role]:
    """What each pattern of the language's query is for, as far as one was met."""
    return {}


def _role(roles: dict[int, Role], pattern: int, match: dict[str, list[Node]]) -> Role:
    """The capture that says it: names beside an `import` are its own."""
    found = next((key for key in match if key in _ROLES), "imported")
    role = roles[pattern] = cast(Role, found)
    return role


def _is_rubble(root: Node) -> bool:
    """Whether the parser gave up and left heaps of loose tokens: a query takes quadratic time over them."""
    if not root.has_error or root.descendant_count < LOOSE_TOKENS:
        return False
    heaps = [root, *(child for child in root.children if child.is_error)]
    return any(heap.child_count - heap.named_child_count > LOOSE_TOKENS for heap in heaps)


def _add_definition(drafts: dict[int, Draft], pattern: int, kind: Kind, match: dict[str, list[Node]]) -> None:
    start, end = name = match["name"][0].byte_range
    known = drafts.get(start)
    if known is not None and known.pattern <= pattern:
        return  # a better pattern spoke first
    if start == end:
        return  # a missing name that the parser made up
    body, container = match.get("body"), match.get("container")
    drafts[start] = Draft(
        pattern,
        kind,
        name,
        match[kind][0].byte_range,
        None if body is None else body[0].start_byte,
        None if container is None else container[0].byte_range,
    )


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
