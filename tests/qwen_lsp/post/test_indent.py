"""Indentation as the file has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.post.indent import restyled, unit_of


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("", ""),
        ("x = 1\n", ""),
        ("def f():\n    if x:\n        return 1\n", "    "),
        ("a:\n  b:\n    c\n", "  "),
        ("func f() {\n\tif x {\n\t\treturn\n", "\t"),
        ("f(a,\n  b)\n", "  "),
        ("x = [\n     1,\n]\n", "    "),  # aligned: it does not tell
    ],
)
def test_the_unit_of_a_file(text: str, unit: str) -> None:
    assert unit_of(text) == unit


@pytest.mark.parametrize(
    ("answer", "unit", "expected"),
    [
        ("if x:\n        y\n    z", "\t", "if x:\n\t\ty\n\tz"),
        ("{\n  a\n    b\n}", "\t", "{\n\ta\n\t\tb\n}"),
        ("{\n\ta\n\t\tb", "  ", "{\n  a\n    b"),
        ("f(a,\n  b)", "    ", "f(a,\n  b)"),
        ("x\n\t  y", "\t", "x\n\t  y"),  # aligned behind a tab
        ("x\n\t    y", "\t", "x\n\t\ty"),
        ("one line", "\t", "one line"),
        ("x\n    y", "", "x\n    y"),
    ],
)
def test_an_answer_in_the_files_style(answer: str, unit: str, expected: str) -> None:
    assert restyled(answer, unit) == expected


@given(st.text("ab\n\t ", max_size=30), st.sampled_from(["", "\t", "  ", "    "]))
def test_only_white_space_at_the_start_of_lines_changes(answer: str, unit: str) -> None:
    found = restyled(answer, unit)
    assert [line.lstrip(" \t") for line in found.split("\n")] == [line.lstrip(" \t") for line in answer.split("\n")]
    assert restyled(found, unit) == found
