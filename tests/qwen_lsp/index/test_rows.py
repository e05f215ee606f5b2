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
    count_of,
    outline_of,
    pack,
    query,
    terms,
    tokenizer,
    unpack_outline,
    unpack_words,
)
from qwen_lsp.index.symbols import Definition, FileSymbols, Import
from qwen_lsp.index.words import MAX_WORD_CHARS

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
words = st.dictionaries(st.from_regex(r"[^\W\d]\w{0,20}", fullmatch=True), st.integers(1, 1 << 20), max_size=20)
paragraphs = st.builds(Paragraph, offsets, offsets, names)
files = st.builds(
    FileSymbols,
    st.just("python"),
    st.lists(definitions, max_size=4).map(tuple),
    st.lists(imports, max_size=3).map(tuple),
    words,
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
    packed = pack(symbols)
    outline, counts = unpack_outline(packed.outline), unpack_words(packed.words)
    assert outline == outline_of(symbols)
    assert counts == symbols.words
    assert all(count_of(packed.words, word) == symbols.words.get(word, 0) for word in (*symbols.words, "no such"))
    assert packed.terms == terms(outline, counts)  # what put it in can take it out
    assert packed.n_definitions == len(symbols.definitions)


@given(symbols=files, other=names)
def test_found_by_its_names_and_by_no_other(table: sqlite3.Connection, symbols: FileSymbols, other: str) -> None:
    def found(term: str) -> bool:
        return table.execute("SELECT 1 FROM term WHERE term MATCH ?", (query(term),)).fetchone() is not None

    table.execute("INSERT INTO term(rowid, names) VALUES(1, ?)", (pack(symbols).terms,))
    try:
        defined = {each.name for each in symbols.definitions}
        imported = {each.module for each in symbols.imports}
        assert all(found(name) and found(DEFINES + name) for name in defined)
        assert all(found(IMPORTS + module) for module in imported)
        assert all(found(word) for word in symbols.words)
        blank = str.maketrans("\0\n", "  ")
        known = {name.translate(blank) for name in (*defined, *symbols.words)}
        known |= {DEFINES + name.translate(blank) for name in defined}
        known |= {IMPORTS + name.translate(blank) for name in imported}
        assert found(other) is (other.translate(blank) in known)
    finally:
        table.execute("INSERT INTO term(term, rowid, names) VALUES('delete', 1, ?)", (pack(symbols).terms,))
    assert not any(found(name) for name in symbols.words)


def test_the_key_tells_bytes_and_language_apart() -> None:
    keys = {content_key(source, language) for source in (b"", b"a") for language in ("", "c", "cpp")}
    assert len(keys) == 6
    assert content_key(b"a", "c") in keys
