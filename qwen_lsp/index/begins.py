"""Patterns made ready for a grammar: what is done at a node to find all the matches that begin there.

A pattern becomes chains of steps, one for each way through its alternatives. A step finds a child, puts it into a slot
and goes on with the rest of the chain, once for every child that fits; the last one tells of the match. Chains that
begin alike share their first steps.

Tree-sitter's own engine finds the same matches (`test_begins.py` holds the two against each other), but it compiles
patterns against the whole grammar, which takes 16 ms for JavaScript, 50 for TypeScript and 300 for Swift, and its way
through a tree leaves nothing out. Two things are taken more narrowly here: a field is its first child, and each of them
only where the pattern says `+`; and patterns of fields alone do not look at their order.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

from tree_sitter import Language

from qwen_lsp.index.patterns import Item, Pattern, Shape
from qwen_lsp.index.steps import (
    ANY,
    NAMED,
    ROOT,
    Chain,
    Child,
    Each,
    Ended,
    Field,
    First,
    Go,
    Maybe,
    Step,
    Tested,
    Told,
    Without,
    merged,
)

type Tell = Callable[[Mapping[str, int]], Go]  # from the slots of a chain's captures


class Begin(NamedTuple):
    """What is done at a node of some kind: `go`, with so many slots, of which two are filled."""

    n_slots: int
    go: Go


def begins(
    patterns: Iterable[tuple[Pattern, Tell]], grammar: Language, text_of: Callable[[Any], bytes]
) -> dict[int, Begin]:
    """By kinds of nodes. `text_of` who is told is the text of the tree."""
    makers: dict[int, _Maker] = {}
    for pattern, tell in patterns:
        for shape in pattern.shapes:
            kind = _kind_of(shape, grammar)
            makers.setdefault(kind, _Maker(grammar)).add(pattern, shape, tell, text_of)
    return {kind: Begin(2 + len(maker.slots), merged(maker.chains)) for kind, maker in makers.items()}


def root_kinds(pattern: Pattern, grammar: Language) -> set[int]:
    return {_kind_of(shape, grammar) for shape in pattern.shapes}


def _kind_of(shape: Shape, grammar: Language) -> int:
    if not shape.kind:
        return NAMED if shape.is_named else ANY
    found = grammar.id_for_node_kind(shape.kind, shape.is_named)
    if found is None:
        raise ValueError(f"the grammar has no {shape.kind}")
    return found


class _Maker:
    """The chains that begin at one kind, and their slots by where in the pattern they stand."""

    def __init__(self, grammar: Language) -> None:
        self._grammar = grammar
        self.slots: dict[tuple[object, ...], int] = {}
        self.chains: list[Chain] = []

    def add(self, pattern: Pattern, shape: Shape, tell: Tell, text_of: Callable[[Any], bytes]) -> None:
        for steps, captures in self._ways(shape, ROOT):
            tests = (Tested(captures[name], test, text_of) for name, test in pattern.tests if name in captures)
            self.chains.append((*steps, *tests, Told(tell(captures))))

    def _slot(self, *place: object) -> int:
        return self.slots.setdefault(place, 2 + len(self.slots))

    def _ways(self, shape: Shape, place: int) -> Iterator[tuple[Chain, dict[str, int]]]:
        """The steps from a node of the shape in the slot `place`, and where its captures stand, for each way."""
        in_order = shape.ends or any(item.follows or not item.field for item in shape.items)
        before: list[Step] = [Without(place, self._field(name)) for name in shape.without]
        last = self._slot("last", place) if in_order else 0
        if in_order:
            before.append(First(last))
        after = (Ended(place, last),) if shape.ends else ()
        # Names tell least and stand first: fields are asked from the last one on.
        in_turn = list(enumerate(shape.items)) if in_order else reversed(list(enumerate(shape.items)))
        for items in product(*(self._steps(item, place, last, number) for number, item in in_turn)):
            captures = dict.fromkeys(shape.captures, place)
            for _, inner in items:
                captures |= inner
            yield (*before, *(step for steps, _ in items for step in steps), *after), captures

    def _steps(self, item: Item, place: int, last: int, number: int) -> list[tuple[Chain, dict[str, int]]]:
        ways: list[tuple[Chain, dict[str, int]]] = []
        for shape in item.shapes:
            kind = _kind_of(shape, self._grammar)
            step: Step
            if last:
                at = self._slot("child", place, number, kind)
                step = Child(place, last, at, kind, item.field, item.follows, item.quantifier == "?")
            else:
                field = self._field(item.field)
                at = self._slot(item.quantifier, place, field)
                step = (Each if item.quantifier == "+" else Maybe if item.quantifier else Field)(place, field, at, kind)
            ways += [((step, *steps), captures) for steps, captures in self._ways(shape, at)]
        return ways

    def _field(self, name: str) -> int:
        found = self._grammar.field_id_for_name(name)
        if found is None:
            raise ValueError(f"the grammar has no field {name}")
        return found
