"""What each language's query finds, and what holds for any bytes."""

from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qwen_lsp.index.grammars import parse_unless
from qwen_lsp.index.language import Language
from qwen_lsp.index.languages import LANGUAGES, language_named
from qwen_lsp.index.matches import LOOSE_TOKENS
from qwen_lsp.index.paragraphs import MOST_CHARS, Paragraph
from qwen_lsp.index.symbols import SIGNATURE_CHARS, FileSymbols, Reference, extract, references
from tests.golden import check_golden

GOLDEN = Path(__file__).parent / "golden"


def source_of(language: Language) -> bytes:
    (path,) = (GOLDEN / language.name).glob("source.*")  # a row without a source fails here
    return path.read_bytes()


def row(name: str) -> Language:
    language = language_named(name)
    assert language is not None
    return language


def render(text: str, symbols: FileSymbols, used: tuple[Reference, ...]) -> str:
    """One line per definition and import, one per name that is used; places are line:column, counted from 1."""

    def at(offset: int) -> str:
        before = text[:offset]
        return f"{before.count('\n') + 1}:{offset - before.rfind('\n')}"

    lines = ["has errors"] if symbols.has_errors else []
    depths: list[int] = []
    for d in symbols.definitions:
        depths.append(0 if d.parent is None else depths[d.parent] + 1)
        name = f"{d.container}.{d.name}" if d.container else d.name
        body = "" if d.body_start is None else f" body {at(d.body_start)}"
        lines.append(f"{'  ' * depths[-1]}{d.kind} {name} {at(d.start)}-{at(d.end)}{body} sig={d.signature}")
    lines += [f"import {i.module} ({', '.join(i.names)}) {at(i.start)}" for i in symbols.imports]
    by_name: dict[str, list[str]] = {}
    for reference in used:
        by_name.setdefault(reference.name, []).append(at(reference.start))
    lines += [f"uses {name} {' '.join(places)}" for name, places in by_name.items()]
    return "\n".join(lines) + "\n"


def check_laws(source: bytes, language: Language) -> FileSymbols:
    """What holds for the symbols of any bytes."""
    text = source.decode("utf-8", "replace")
    symbols = extract(source, language)
    starts = [d.start for d in symbols.definitions]
    assert starts == sorted(starts)
    for index, d in enumerate(symbols.definitions):
        assert 0 <= d.start <= d.name_start < d.end <= len(text)
        assert d.body_start is None or d.start <= d.body_start <= d.end
        assert d.name and "\n" not in d.name
        assert text.startswith(d.name.split()[0], d.name_start)
        assert len(d.signature) <= SIGNATURE_CHARS and "\n" not in d.signature
        if d.parent is not None:
            around = symbols.definitions[d.parent]
            assert d.parent < index and around.start <= d.start and d.end <= around.end
    used = references(source, language)
    assert all(text.startswith(reference.name, reference.start) for reference in used)
    assert not {reference.start for reference in used} & {d.name_start for d in symbols.definitions}
    assert all(before.start < after.start for before, after in pairwise(used))
    assert all(text.find(part, i.start) >= 0 for i in symbols.imports for part in (i.module, *i.names))
    return symbols


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_golden(language: Language) -> None:
    """UPDATE_GOLDEN=1 writes `symbols.txt` beside the source; a row without a source or a query fails."""
    source = source_of(language)
    found = render(source.decode(), check_laws(source, language), references(source, language))
    check_golden(str(GOLDEN / language.name / "symbols.txt"), found)


def test_no_source_without_a_row() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {language.name for language in LANGUAGES}


def test_a_file_without_grammar_is_paragraphs() -> None:
    text = "die Größe = 3 # 数量 x_1"
    paragraphs = (Paragraph(1, 1 + len(text), text),)
    assert extract(f"\n{text}\n".encode(), None) == FileSymbols("", (), (), False, paragraphs)


def test_credentials_are_in_no_paragraph() -> None:
    (paragraph,) = extract(b'token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"\n', None).paragraphs
    assert paragraph.first.startswith("token = ") and "abcdef" not in paragraph.first


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
@pytest.mark.parametrize("prefix", ["", "\ufeff", "// 📦 größe\n", "\f\n"], ids=["plain", "bom", "wide", "form feed"])
def test_offsets_move_with_what_stands_before(language: Language, prefix: str) -> None:
    """Where the prefix is a comment or nothing to the language, the symbols are the same, moved."""
    text = source_of(language).decode()
    definitions = check_laws((prefix + text).encode(), language).definitions
    for d in definitions:
        assert (prefix + text)[d.name_start :].startswith(d.name.split()[0])


@pytest.mark.parametrize("name", ["python", "javascript", "rust", "go", "java", "c", "csharp", "ruby", "php", "lua"])
def test_line_ends_do_not_matter(name: str) -> None:
    source = source_of(row(name))
    crlf = extract(source.replace(b"\n", b"\r\n"), row(name))

    def named(symbols: FileSymbols) -> list[tuple[str, str, str]]:
        return [(d.kind, d.name, d.signature) for d in symbols.definitions]

    assert named(crlf) == named(extract(source, row(name)))


def names(source: str, language: str = "python") -> list[str]:
    return [f"{d.kind} {d.name}" for d in extract(source.encode(), row(language)).definitions]


@pytest.mark.parametrize(
    ("language", "source", "finds"),
    [
        ("python", "def f(:\n    pass\n\ndef g():\n    return 1\n", "function g"),
        ("javascript", "function f() { if (\n}\nfunction g() {}\n", "function g"),
        ("c", 'extern "C" {\nint f(void);\n#endif\nstruct a { int b; };\n', "field b"),
        ("typescript", "interface A { x: }\nfunction g() {}\n", "function g"),
        ("rust", "fn f( {\n}\nfn g() {}\n", "function g"),
    ],
)
def test_broken_code_loses_little(language: str, source: str, finds: str) -> None:
    assert extract(source.encode(), row(language)).has_errors
    assert finds in names(source, language)


def test_locals_are_left_out() -> None:
    assert names("def f():\n    a = 1\n    def g():\n        pass\n    B = 2\n") == ["function f", "function g"]
    assert names("int f(void) { int a = 1; int g(int); return a; }\n", "c") == ["function f"]


def test_attributes_belong_to_the_class_and_count_once() -> None:
    found = extract(b"class A:\n    def f(self):\n        self.x = 1\n        self.x = 2\n", row("python")).definitions
    assert [(d.kind, d.name, d.container, d.parent) for d in found] == [
        ("class", "A", "", None),
        ("method", "f", "A", 0),
        ("field", "x", "A", 0),
    ]


def test_signatures_are_short_and_bare() -> None:
    found = extract(
        b"@a(\n  1)\ndef f(x,  # why\n      " + b"y, " * 200 + b"z):\n    pass\n", row("python")
    ).definitions
    assert found[0].signature.startswith("def f(x, # why y, y,")
    assert len(found[0].signature) == SIGNATURE_CHARS
    assert found[0].start == 0


def test_references_can_be_asked_by_name() -> None:
    source = "import os\nlimit = 1\ndef f(limit):\n    global größe\n    größe = limit  # limit\n".encode()
    found = references(source, row("python"), {"limit", "größe"})
    assert [(r.name, r.start) for r in found] == [("limit", 26), ("größe", 45), ("größe", 55), ("limit", 63)]


SOURCES = {language.name: source_of(language) for language in LANGUAGES}
SIGNS = [*"({[<\"'`\n\t\r\0\f", "\r\n", "\ufeff", "📦é", "${", "/*", "<<EOS\n", "    "]
WORDS = ["class A", "def f():", "function ", "#define X", "<?php", "const x = "]
PIECES = st.sampled_from([piece.encode() for piece in SIGNS + WORDS] + [b"\xff", b"\xed\xa0\x80"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LANGUAGES), st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=30).map(b"".join)))
@example(row("python"), b"\0" * 100)
@example(row("python"), "\ud800def f(): pass".encode("utf-8", "surrogatepass"))
@example(row("html"), b'<p id="\n first ">')
@example(row("html"), b'<p id=" ">')
def test_any_bytes(language: Language, source: bytes) -> None:
    check_laws(source, language)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(LANGUAGES), st.data())
def test_real_files_cut_and_spoiled(language: Language, data: st.DataObject) -> None:
    source = SOURCES[language.name]
    start = data.draw(st.integers(0, len(source)))
    end = data.draw(st.integers(start, len(source)))
    check_laws(source[:start] + data.draw(PIECES) + source[end:], language)


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_deep_nesting(language: Language) -> None:
    for opened in ("(", "{", "[", "a.", "<a>", "if ", "x = y + "):
        check_laws(opened.encode() * 1_000, language)


def test_heaps_of_loose_tokens_are_not_searched() -> None:
    """A query takes quadratic time over them: 100 kB of brackets were 7 s of CPU."""
    found = extract(b"a = 1\n" + b"(" * (2 * LOOSE_TOKENS), row("python"))
    assert found.definitions == () and found.has_errors


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_parsing_can_be_given_up(allowed: int) -> None:
    """It is asked every few steps; in a language where parsing is quick here, so that the test is."""
    asked = 0

    def give_up() -> bool:
        nonlocal asked
        asked += 1
        return asked > allowed

    found = extract(b"a\n" * 50_000, row("python"), partial(parse_unless, give_up))
    assert (found.language, found.definitions) == ("", ())
    assert found.paragraphs[0] == Paragraph(0, MOST_CHARS - 1, "a")
    assert asked == allowed + 1


def test_a_parse_that_is_not_given_up_is_the_same() -> None:
    source = source_of(row("python")) * 3
    assert extract(source, row("python"), partial(parse_unless, lambda: False)) == extract(source, row("python"))
