"""`queries/*.scm` read: patterns in tree-sitter's query language, as values. Pure; knows no grammar and no tree.

Read is the part of the language that our queries use: nodes with their kinds, fields, captures and alternatives, `_`,
anchors, fields that must not be there, `?` and `+`, and the predicates `#eq?`, `#any-of?` and `#match?`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

_TOKEN = re.compile(r'\s+|;[^\n]*|("(?:[^"\\]|\\.)*"|@[\w.]+|#[\w-]+\?|\w+:?|.)')

type Test = Callable[[bytes], bool]


@dataclass(frozen=True, slots=True)
class Shape:
    """One node. `kind` is empty for any. `ends`: no named child follows the last of `items`."""

    kind: str
    is_named: bool
    captures: tuple[str, ...] = ()
    items: tuple["Item", ...] = ()
    without: tuple[str, ...] = ()  # fields
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A child of one of these shapes. `follows`: no named child stands between it and what is before it."""

    shapes: tuple[Shape, ...]
    field: str
    follows: bool
    quantifier: str  # `?`, `+` or nothing


@dataclass(frozen=True, slots=True)
class Pattern:
    """`tests`: what must hold for the texts of captures."""

    shapes: tuple[Shape, ...]
    tests: tuple[tuple[str, Test], ...]

    def captures(self) -> tuple[str, ...]:
        """Each once, in the order of the pattern's text."""
        return tuple(dict.fromkeys(name for shape in self.shapes for name in _captures(shape)))


def read(source: str) -> tuple[Pattern, ...]:
    """All patterns of a query. Raises ValueError where it is none, or says more than is read here."""
    reader = _Reader([token for token in _TOKEN.findall(source) if token])
    patterns = []
    while reader.next:
        patterns.append(reader.pattern())
    return tuple(patterns)


def _captures(shape: Shape) -> Iterator[str]:
    yield from shape.captures
    for item in shape.items:
        for each in item.shapes:
            yield from _captures(each)


class _Reader:
    """`next` is the token that comes, empty at the end."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self.next = tokens[0] if tokens else ""

    def _take(self, wanted: str = "") -> str:
        token = self.next
        if wanted not in ("", token) or not token:
            raise ValueError(f"{wanted or 'more'} was expected in a query, not {token or 'its end'}")
        self._at += 1
        self.next = self._tokens[self._at] if self._at < len(self._tokens) else ""
        return token

    def pattern(self) -> Pattern:
        if self._tokens[self._at : self._at + 2] not in (["(", "("], ["(", "["]):
            return Pattern(self._shapes()[0], ())
        self._take("(")
        shapes, _ = self._shapes()
        tests: list[tuple[str, Test]] = []
        while self.next != ")":
            tests.append(self._predicate())
        self._take(")")
        return Pattern(shapes, tuple(tests))

    def _predicate(self) -> tuple[str, Test]:
        self._take("(")
        name, capture, values = self._take(), self._take().removeprefix("@"), []
        while self.next != ")":
            values.append(_text(self._take()))
        self._take(")")
        if name == "#match?":
            return capture, _matches(values[0])
        if name not in ("#eq?", "#any-of?"):
            raise ValueError(f"a query with {name}")
        return capture, frozenset(value.encode() for value in values).__contains__

    def _shapes(self) -> tuple[tuple[Shape, ...], str]:
        """One node, or one of several, with the quantifier behind it."""
        shapes: tuple[Shape, ...] = ()
        if self.next == "[":
            self._take()
            while self.next != "]":
                shapes += self._shapes()[0]
            self._take()
        elif self.next == "(":
            shapes = (self._node(),)
        else:
            token = self._take()
            shapes = (Shape("" if token == "_" else _text(token), is_named=False),)
        quantifier = self._take() if self.next in ("?", "+") else ""
        captures: tuple[str, ...] = ()
        while self.next.startswith("@"):
            captures += (self._take().removeprefix("@"),)
        return tuple(replace(shape, captures=shape.captures + captures) for shape in shapes), quantifier

    def _node(self) -> Shape:
        self._take("(")
        kind = self._take()
        items: list[Item] = []
        without: list[str] = []
        field, follows = "", False
        while self.next != ")":
            if self.next == ".":
                self._take()
                follows = True
            elif self.next == "!":
                self._take()
                without.append(self._take())
            elif self.next.endswith(":"):
                field = self._take()[:-1]
            else:
                shapes, quantifier = self._shapes()
                items.append(Item(shapes, field, follows, quantifier))
                field, follows = "", False
        self._take(")")
        return Shape("" if kind == "_" else kind, True, (), tuple(items), tuple(without), follows)


def _text(token: str) -> str:
    if not token.startswith('"'):
        raise ValueError(f"{token} in a query")
    return re.sub(r"\\(.)", r"\1", token[1:-1])


def _matches(expression: str) -> Test:
    search = re.compile(expression.encode()).search
    return lambda text: search(text) is not None
