"""What the store keeps of a file: there and back, and found again by whole names only."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.index.paragraphs import Paragraph
from qwen_lsp.index.rows import (
    DEFINES,
    IMPORTS,
    content_key,
    pack,
    query,
    tokenizer,
    unpack_outline,
)
from qwen_lsp.index.symbols import Definition, FileSymbols, Import
from qwen_lsp.index.words import MAX_WORD_CHARS, words_of

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=MAX_WORD_CHARS)
offsets = st.integers(0, 1 << 24)
definitions = st.builds(
    Definition,
    names,
    st.just("function"),
    st.just("") | names,
    offsets,
    offsets,
    offsets,
    st.none() | offsets,
    names,
    st.none() | offsets,
)
imports = st.builds(Import, names, st.lists(names, max_size=3).map(tuple), offsets)
texts = st.lists(st.from_regex(r"\w{1,20}", fullmatch=True), max_size=20).map(" ".join)
paragraphs = st.builds(Paragraph, offsets, offsets, names)
files = st.builds(
    FileSymbols,
    st.just("python"),
    st.lists(definitions, max_size=4).map(tuple),
    st.lists(imports, max_size=3).map(tuple),
    st.booleans(),
    st.lists(paragraphs, max_size=3).map(tuple),
)


@pytest.fixture(scope="module")
def table() -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(":memory:")
    db.execute(f"CREATE VIRTUAL TABLE term USING fts5(names, content='', detail=none, tokenize='{tokenizer()}')")
    yield db
    db.close()


@given(files)
def test_there_and_back(symbols: FileSymbols) -> None:
    packed = pack(symbols, b"")
    assert unpack_outline(packed.outline) == symbols
    assert packed.n_definitions == len(symbols.definitions)


@given(symbols=files, text=texts, other=names)
def test_found_by_its_names_and_by_no_other(
    table: sqlite3.Connection, symbols: FileSymbols, text: str, other: str
) -> None:
    def found(term: str) -> bool:
        return table.execute("SELECT 1 FROM term WHERE term MATCH ?", (query(term),)).fetchone() is not None

    defined = {each.name for each in symbols.definitions}
    text = " ".join((text, *defined))  # a name is read off the text
    words = words_of(text.encode())
    terms = pack(symbols, text.encode()).terms
    table.execute("INSERT INTO term(rowid, names) VALUES(1, ?)", (terms,))
    try:
        imported = {each.module for each in symbols.imports}
        assert all(found(name) and found(DEFINES + name) for name in defined)
        assert all(found(IMPORTS + module) for module in imported)
        assert all(found(word) for word in words)
        blank = str.maketrans("\0\n", "  ")
        known = {name.translate(blank) for name in (*defined, *words)}
        known |= {DEFINES + name.translate(blank) for name in defined}
        known |= {IMPORTS + name.translate(blank) for name in imported}
        assert found(other) is (other.translate(blank) in known)
    finally:
        table.execute("INSERT INTO term(term, rowid, names) VALUES('delete', 1, ?)", (terms,))
    assert not any(found(name) for name in words)


def test_the_key_tells_bytes_and_language_apart() -> None:
    keys = {content_key(source, language) for source in (b"", b"a") for language in ("", "c", "cpp")}
    assert len(keys) == 6
    assert content_key(b"a", "c") in keys
