"""What one file defines, imports and mentions: `(bytes, language) -> FileSymbols`. Pure, and never fails on any bytes.

Offsets are code points of `source.decode("utf-8", "replace")`, half-open. Nothing in here knows scopes or types: a name
is a name. What a file mentions is looked up by its words (`words.py`); `references`, exactly the identifiers of the
tree, are for checking the files that have the word: of all files they would cost more than half of a parse again.

Definitions are looked for down to `DEPTH` levels of the tree: deeper ones are local to something local. On samples
of Python and TypeScript that misses 2 to 5 % of them and halves the cost of the query.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from qwen_lsp.index.grammars import Parse, encode, parse
from qwen_lsp.index.language import Language
from qwen_lsp.index.matches import HOLDS_LOCALS, LOCALS, Draft, Found, Kind, Span, found_in, identifiers_in
from qwen_lsp.index.paragraphs import Paragraph, paragraphs_of
from qwen_lsp.index.words import words_of
from qwen_lsp.text.secrets import masked_bytes

EXTRACTOR_VERSION = 5  # rises with every change of the rows that come out, also through a query
SIGNATURE_CHARS = 200
SIGNATURE_SOURCE_CHARS = 2_000  # white space and comments fold into fewer; a JSON value of a megabyte is not folded

_HOLDS_METHODS = {"class", "interface", "enum", "extension"}
_MEMBERS: dict[Kind, Kind] = {"function": "method", "variable": "field"}
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]+")
_CONTINUATION_BYTES = bytes(range(0x80, 0xC0))


class Definition(NamedTuple):
    """One symbol from `start` to `end`; its body begins at `body_start` and ends at `end`. A tuple: quick to make.

    Decorators and attributes are part of it where they stand inside of it in the grammar (not in Rust).
    container: the name of what it belongs to, from around it or from its own text (Go's receiver, C++'s `A::f`).
    parent: index of the definition around it, smaller than its own; None at the top.
    A C prototype is a definition without body: a header has nothing else, so look-ups prefer those with one.
    """

    name: str
    kind: Kind
    container: str
    name_start: int
    start: int
    end: int
    body_start: int | None
    signature: str
    parent: int | None


class Import(NamedTuple):
    """`names`: what it brings in by name; empty for the module itself or all of it."""

    module: str
    names: tuple[str, ...]
    start: int


@dataclass(frozen=True, slots=True)
class FileSymbols:
    """Definitions and imports in text order.

    `language` is empty where no grammar could read the file: it has paragraphs then, and nothing else has.
    """

    language: str
    definitions: tuple[Definition, ...]
    imports: tuple[Import, ...]
    has_errors: bool
    paragraphs: tuple[Paragraph, ...] = ()


@dataclass(frozen=True, slots=True)
class BufferSymbols:
    """An open buffer's symbols, and its words."""

    symbols: FileSymbols
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Shown:
    """A text without credentials. Where it had any, and in their encoding, its bytes differ from the file's."""

    text: str = field(repr=False)
    data: bytes = field(repr=False)


class Matched(NamedTuple):
    """What the query found in a text, in bytes; nothing where there is no tree for it."""

    file: Shown
    language: str
    found: Found | None
    has_errors: bool


class Reference(NamedTuple):
    """An identifier that is used; a definition's own name is none."""

    name: str
    start: int


def extract(source: bytes, language: Language | None, parse: Parse = parse) -> FileSymbols:
    """What the file holds. Without a language, or where `parse` gives no tree for it, paragraphs."""
    return symbols_of(shown(source), language, parse)


def of_buffer(source: bytes, language: Language | None, parse: Parse = parse) -> BufferSymbols:
    """The same of an open buffer."""
    text = shown(source)
    return BufferSymbols(symbols_of(text, language, parse), words_of(text.data))


def symbols_of(file: Shown, language: Language | None, parse: Parse = parse) -> FileSymbols:
    """The same, of a text that has lost its credentials."""
    return symbols_in(matched(file, language, parse))


def matched(file: Shown, language: Language | None, parse: Parse = parse) -> Matched:
    """The first half: all that needs the tree, which is forgotten."""
    tree = parse(language.name, file.data) if language is not None else None
    if language is None or tree is None:
        return Matched(file, "", None, False)
    return Matched(file, language.name, found_in(tree.root_node, language), tree.root_node.has_error)


def symbols_in(of: Matched) -> FileSymbols:
    """The second half."""
    text, data = of.file.text, of.file.data
    if of.found is None:
        return FileSymbols("", (), (), False, paragraphs_of(text))
    found = _in_text(of.found, data)
    return FileSymbols(of.language, _definitions(text, found), _imports(text, found), of.has_errors)


def references(source: bytes, language: Language, names: Collection[str] | None = None) -> tuple[Reference, ...]:
    """The identifiers of the text, in its order; only those in `names` where given. Nothing without a grammar."""
    file = shown(source)
    text, data = file.text, file.data
    tree = parse(language.name, data)
    if tree is None or not language.identifiers:
        return ()
    spans = sorted(identifiers_in(tree.root_node, language))
    if names is not None:
        wanted = {encode(name) for name in names}
        spans = [span for span in spans if data[slice(*span)] in wanted]
    at = _code_points(data, chain.from_iterable(spans))
    found = _in_text(found_in(tree.root_node, language), data)
    own = {definition.name_start for definition in _definitions(text, found)}
    return tuple(Reference(text[at(start) : at(end)], at(start)) for start, end in spans if at(start) not in own)


def shown(source: bytes) -> Shown:
    """The text as it may be shown."""
    try:
        text = source.decode()
    except UnicodeDecodeError:
        text = source.decode("utf-8", "replace")
        source = text.encode()
    data = masked_bytes(source)
    return Shown(text if data is source else data.decode(), data)


class _Around(NamedTuple):
    """A definition that holds the place. `is_local`: it is a function, or in one."""

    start: int
    end: int
    number: int
    kind: Kind
    is_local: bool


def _in_text(found: Found, data: bytes) -> Found:
    """In code points."""
    return found if data.isascii() else found.moved(_code_points(data, found.offsets()))


def _code_points(data: bytes, offsets: Iterable[int]) -> Callable[[int], int]:
    """Byte offset -> code point offset, for these offsets; the text is walked once."""
    if data.isascii():
        return int
    found: dict[int, int] = {}
    before = count = 0
    for offset in sorted(set(offsets)):
        count += len(data[before:offset].translate(None, _CONTINUATION_BYTES))
        found[offset], before = count, offset
    return found.__getitem__


def _definitions(text: str, found: Found) -> tuple[Definition, ...]:
    """In text order, the wider one first; what only the inside of a function can see is left out."""
    decorators = sorted(found.decorators)
    kept: list[Definition] = []
    seen: set[tuple[object, ...]] = set()
    around: list[_Around] = []
    for start, minus_end, _, draft in _placed(found):
        end = -minus_end
        while around and (end > around[-1].end or (start, end) == around[-1][:2]):
            around.pop()
        if around and around[-1].is_local and _is_local(draft):
            continue
        name_start, name = _name(text, *draft.name)
        place = _place(name, draft.kind, around) if name else None  # id=" " names nothing
        if place is None:
            continue
        kind, parent = place
        body = draft.body
        again = (name, parent) if kind == "field" else (name, body) if body is not None else (name_start,)
        if again in seen:
            continue  # self.name = ... once more; `typedef struct name {...} name`
        seen.add(again)
        own = None if draft.container is None else text[slice(*draft.container)]
        container = own if own is not None else kept[parent].name if parent is not None else ""
        signature = _signature(text, start, end if body is None else body, decorators)
        if body is not None or kind in _HOLDS_METHODS:
            is_local = kind in HOLDS_LOCALS or (bool(around) and around[-1].is_local)
            around.append(_Around(start, end, len(kept), kind, is_local))
        if text[end - 1].isspace():
            end = start + len(text[start:end].rstrip())
        kept.append(Definition(name, kind, container, name_start, start, end, body, signature, parent))
    return tuple(kept)


def _placed(found: Found) -> list[tuple[int, int, int, Draft]]:
    """Where it begins, less where it ends, where its name begins."""
    if not found.wrappers:
        return sorted((draft.span[0], -draft.span[1], start, draft) for start, draft in found.drafts.items())
    spans = ((_wrapped(found.wrappers, draft.span), draft) for draft in found.drafts.values())
    return sorted((start, -end, draft.name[0], draft) for (start, end), draft in spans)


def _wrapped(wrappers: dict[Span, Span], span: Span) -> Span:
    while span in wrappers:
        span = wrappers[span]
    return span


def _is_local(draft: Draft) -> bool:
    """Whether nothing outside can see it where it stands in a function: a variable, or a prototype."""
    return draft.kind in LOCALS or (draft.kind == "function" and draft.body is None)


def _place(name: str, kind: Kind, around: list[_Around]) -> tuple[Kind, int | None] | None:
    """What the definition is where it stands, and its parent; None where it belongs to nothing that is kept."""
    parent = outer = None
    if around:
        _, _, parent, outer, _ = around[-1]
        if kind == "field" and outer in HOLDS_LOCALS:  # self.name = ... in a method
            return next((("field", each.number) for each in reversed(around) if each.kind in _HOLDS_METHODS), None)
    if kind == "variable" and _CONSTANT.fullmatch(name):
        kind = "constant"
    elif outer in _HOLDS_METHODS:
        kind = _MEMBERS.get(kind, kind)
    return kind, parent


def _name(text: str, start: int, end: int) -> tuple[int, str]:
    """A name without the quotes or the colon of a literal, on one line; CSS selectors are long and have several."""
    name = text[start:end]
    if name.isidentifier():
        return start, name
    if name[0] in "\"'" or (name[0] == ":" and name[1:].isidentifier()):
        start, name = start + 1, name[1:].rstrip(name[0])
    start += len(name) - len(name.lstrip())
    return start, " ".join(name[:SIGNATURE_SOURCE_CHARS].split())[:SIGNATURE_CHARS]


def _signature(text: str, start: int, end: int, decorators: list[Span]) -> str:
    """On one line and cut, without the decorators that stand in it."""
    if not decorators:
        return " ".join(text[start : min(end, start + SIGNATURE_SOURCE_CHARS)].split())[:SIGNATURE_CHARS]
    pieces, length = [], 0
    for index in range(bisect_left(decorators, (start, start)), len(decorators)):
        first, last = decorators[index]
        if first >= end or length > SIGNATURE_SOURCE_CHARS:
            break
        pieces.append(text[start:first])
        length += first - start
        start = max(start, last)
    pieces.append(text[start : min(end, start + SIGNATURE_SOURCE_CHARS)])
    return " ".join("".join(pieces).split())[:SIGNATURE_CHARS]


def _imports(text: str, found: Found) -> tuple[Import, ...]:
    return tuple(
        Import(text[slice(*module)].strip("\"'`<> "), tuple(text[slice(*name)] for name in sorted(set(names))), start)
        for ((start, _), module), names in sorted(found.imports.items())
    )
