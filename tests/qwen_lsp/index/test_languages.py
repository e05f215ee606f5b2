"""Which language a file is in, and that no two rows claim the same."""

from collections import Counter

import pytest

from qwen_lsp.index.grammars import definitions_query, parse, references_query
from qwen_lsp.index.language import Language
from qwen_lsp.index.languages import LANGUAGES, language_named, language_of


@pytest.mark.parametrize(
    ("path", "first_line", "name"),
    [
        ("src/main.rs", "", "rust"),
        ("A.PY", "", "python"),
        ("x.d.ts", "", "typescript"),
        ("view.tsx", "", "typescriptreact"),
        ("include/list.h", "", "c"),
        ("Rakefile", "", "ruby"),
        ("Cargo.lock", "", "toml"),
        ("bin/run", "#!/bin/sh", "shellscript"),
        ("bin/run", "#!/usr/bin/env python3", "python"),
        ("bin/run", "#! /usr/local/bin/python3.12 -u", "python"),
        ("bin/run", "#!/usr/bin/env -S LANG=C node --flag", "javascript"),
        ("bin/run", "#!/usr/bin/tclsh", None),
        ("notes.txt", "#!/bin/sh", None),
        ("Makefile", "", None),
        ("", "", None),
    ],
)
def test_language_of(path: str, first_line: str, name: str | None) -> None:
    found = language_of(path, first_line)
    assert (found.name if found is not None else None) == name


@pytest.mark.parametrize("language_id", ["python", "jsx", "c-sharp", "bash", "jsonc"])
def test_ids_of_editors(language_id: str) -> None:
    assert language_named(language_id) is not None
    assert language_named(language_id.upper()) is None


def test_no_two_rows_claim_the_same() -> None:
    for claims in (
        [name for row in LANGUAGES for name in (row.name, *row.aliases)],
        [suffix for row in LANGUAGES for suffix in row.suffixes],
        [name for row in LANGUAGES for name in row.file_names],
        [name for row in LANGUAGES for name in row.interpreters],
    ):
        assert [claim for claim, times in Counter(claims).items() if times > 1] == []


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda language: language.name)
def test_every_row_has_its_grammar(language: Language) -> None:
    """Every wheel is there, its queries compile, and the row's node types exist in it."""
    tree = parse(language.name, b"")
    assert tree is not None
    assert definitions_query(language).pattern_count > 0
    assert not language.identifiers or references_query(language).pattern_count == 1
    for kind in language.functions:
        assert tree.language.id_for_node_kind(kind, True) is not None
