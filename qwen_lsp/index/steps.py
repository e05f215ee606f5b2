"""The steps from one node of a pattern to the next, and chains of them that share what they begin with.

What a chain has found stands in slots, which each step gets and hands on.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from tree_sitter import Node

from qwen_lsp.index.patterns import Test

NAMED, ANY = -1, -2  # in place of a kind
TOLD, ROOT = 0, 1  # slots: who is told, and the node where it begins

type Slots = list[Any]
type Go = Callable[[Slots], None]
type Chain = tuple["Step", ...]


def merged(chains: Sequence[Chain]) -> Go:
    """All of these chains; what several begin with is done once."""
    groups: dict[object, list[Chain]] = {}
    for chain in chains:
        groups.setdefault(chain[0].key(), []).append(chain)
    made = [group[0][0].made(group) for group in groups.values()]
    if len(made) == 1:
        return made[0]

    def go(slots: Slots) -> None:
        for each in made:
            each(slots)

    return go


class Step:
    """One step. `made`: this step and what follows it in each of the chains, which all begin with its `key`."""

    def key(self) -> object:
        return self

    def made(self, chains: Sequence[Chain]) -> Go:
        return self.before(merged([chain[1:] for chain in chains]))

    def before(self, then: Go) -> Go:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Told(Step):
    go: Go

    def made(self, chains: Sequence[Chain]) -> Go:
        return self.go


@dataclass(frozen=True, slots=True)
class Tested(Step):
    slot: int
    test: Test
    text_of: Callable[[Any], bytes]

    def before(self, then: Go) -> Go:
        def go(slots: Slots) -> None:
            node = slots[self.slot]
            if self.test(self.text_of(slots[TOLD])[node.start_byte : node.end_byte]):
                then(slots)

        return go


@dataclass(frozen=True, slots=True)
class Without(Step):
    place: int
    field: int

    def before(self, then: Go) -> Go:
        def go(slots: Slots) -> None:
            if slots[self.place].child_by_field_id(self.field) is None:
                then(slots)

        return go


@dataclass(frozen=True, slots=True)
class Field(Step):
    """The first child with the field."""

    place: int
    field: int
    at: int
    kind: int

    def key(self) -> object:
        return self.place, self.field, self.at

    def made(self, chains: Sequence[Chain]) -> Go:
        by_kind: dict[int, list[Chain]] = {}
        for chain in chains:
            step = chain[0]
            assert isinstance(step, Field)
            by_kind.setdefault(step.kind, []).append(chain[1:])
        of_any = by_kind.pop(ANY, [])
        of_named = by_kind.pop(NAMED, []) + of_any
        choice = {kind: merged(each + of_named) for kind, each in by_kind.items()}
        named = merged(of_named) if of_named else None
        others = merged(of_any) if of_any else None
        place, field, at = self.place, self.field, self.at

        def go(slots: Slots) -> None:
            child = slots[place].child_by_field_id(field)
            if child is not None:
                then = choice.get(child.kind_id)
                if then is None:
                    then = named if child.is_named else others
                if then is not None:
                    slots[at] = child
                    then(slots)

        return go


@dataclass(frozen=True, slots=True)
class Maybe(Step):
    place: int
    field: int
    at: int
    kind: int

    def before(self, then: Go) -> Go:
        def go(slots: Slots) -> None:
            child = slots[self.place].child_by_field_id(self.field)
            slots[self.at] = child if child is not None and _fits(child, self.kind) else None
            then(slots)

        return go


@dataclass(frozen=True, slots=True)
class Each(Step):
    place: int
    field: int
    at: int
    kind: int

    def before(self, then: Go) -> Go:
        def go(slots: Slots) -> None:
            for child in slots[self.place].children_by_field_id(self.field):
                if _fits(child, self.kind):
                    each = slots.copy()
                    each[self.at] = child
                    then(each)

        return go


@dataclass(frozen=True, slots=True)
class First(Step):
    """Before the first child: in the slot `last` is which one was found last."""

    last: int

    def before(self, then: Go) -> Go:
        def go(slots: Slots) -> None:
            slots[self.last] = -1
            then(slots)

        return go


@dataclass(frozen=True, slots=True)
class Child(Step):
    """A child behind the last one; with `follows`, the first one that has a name, or one before it."""

    place: int
    last: int
    at: int
    kind: int
    field: str
    follows: bool
    is_optional: bool

    def before(self, then: Go) -> Go:
        place, last, at, kind, field, follows, is_optional = astuple(self)

        def go(slots: Slots) -> None:
            node, is_found = slots[place], False
            for number, child in enumerate(node.children):
                if number <= slots[last]:
                    continue
                fits = child.kind_id == kind if kind >= 0 else _fits(child, kind)
                if fits and (not field or node.field_name_for_child(number) == field):
                    each = slots.copy()
                    each[at], each[last] = child, number
                    is_found = True
                    then(each)
                if follows and child.is_named:
                    break
            if is_optional and not is_found:
                then(slots)

        return go


@dataclass(frozen=True, slots=True)
class Ended(Step):
    """No named child comes behind the last one."""

    place: int
    last: int

    def before(self, then: Go) -> Go:
        def go(slots: Slots) -> None:
            if not any(child.is_named for child in slots[self.place].children[slots[self.last] + 1 :]):
                then(slots)

        return go


def _fits(node: Node, kind: int) -> bool:
    if kind >= 0:
        return node.kind_id == kind
    return (kind == ANY or node.is_named) and not node.is_error
