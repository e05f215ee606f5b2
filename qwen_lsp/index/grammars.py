"""Parsers and compiled queries, loaded when first asked for: all of them together would take a second.

The door to tree-sitter. Knows no editor and no file; positions in here are bytes of UTF-8.
"""

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from pathlib import Path

import tree_sitter
from tree_sitter import Parser, Point, Query, Tree

from qwen_lsp.index.language import Language
from qwen_lsp.index.languages import language_named

SLICE_BYTES = 4_096  # half a millisecond of parsing; smaller ones stall the others no less
ASKED_BYTES = 16_384  # two milliseconds, at the worst that was seen a tenth of a second
_QUERIES = Path(__file__).parent / "queries"

type Parse = Callable[[str, bytes], Tree | None]  # language and text; None without a grammar


def encode(text: str) -> bytes:
    """The bytes that trees count in; a lone surrogate becomes a question mark."""
    return text.encode("utf-8", "replace")


def parse(language_id: str, data: bytes, old: Tree | None = None) -> Tree | None:
    """The tree of `data`, reusing `old` (already edited) where given; None without a grammar.

    The parser keeps the interpreter's lock except while it asks for the next slice: there other threads get their turn.
    """
    parser = _parser(language_id)
    if parser is None:
        return None
    source = data if len(data) <= SLICE_BYTES else partial(_slice, data)
    return parser.parse(source) if old is None else parser.parse(source, old)


def parse_unless(give_up: Callable[[], bool], language_id: str, data: bytes) -> Tree | None:
    """The tree of `data`; None without a grammar, and once `give_up`, asked every so many bytes, says yes.

    Text in another language than its name says can take quadratic time: 40 kB of words in a .lua file take 2.5 s. The
    parser could be asked to ask more often; that costs more than half of its own time again.
    """
    parser = _parser(language_id)
    if parser is None:
        return None
    given_up = False

    def slice_unless(offset: int, _: Point) -> bytes:
        nonlocal given_up
        given_up = given_up or give_up()
        return b"" if given_up else data[offset : offset + ASKED_BYTES]

    tree = parser.parse(data if len(data) <= ASKED_BYTES else slice_unless)
    return None if given_up else tree


def _parser(language_id: str) -> Parser | None:
    language = language_named(language_id)
    grammar = _grammar(language) if language is not None else None
    return Parser(grammar) if grammar is not None else None


def _slice(data: bytes, offset: int, _: Point) -> bytes:
    return data[offset : offset + SLICE_BYTES]


@cache
def definitions_query(language: Language) -> Query:
    """What `queries/` says of the language: definitions and imports. Only where `parse` gives a tree."""
    return _compiled(language, "\n".join((_QUERIES / f"{name}.scm").read_text("utf-8") for name in language.queries))


@cache
def references_query(language: Language) -> Query:
    """Every identifier, captured as `reference`. Only where `parse` gives a tree and the row names identifiers."""
    return _compiled(language, f"[{' '.join(f'({kind})' for kind in language.identifiers)}] @reference")


def _compiled(language: Language, source: str) -> Query:
    grammar = _grammar(language)
    assert grammar is not None, language.name
    return Query(grammar, source)


@cache
def _grammar(language: Language) -> tree_sitter.Language | None:
    module, function = language.grammar
    try:
        load: Callable[[], object] = getattr(import_module(module), function)
    except ImportError:
        return None
    return tree_sitter.Language(load())
