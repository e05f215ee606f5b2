"""What real tools printed (outputs/), and the findings in it (golden/verify/). By hand: jest, vitest, maven, log."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_lsp.verify.output import Places, parse
from tests.golden import check_golden

OUTPUTS = Path(__file__).parent / "outputs"
FILES = """
    pkg/calc.py tests/test_calc.py tests/test_import.py ut.py bad.py a.py a.c l.c Makefile A.java src/lib.rs a.go
    sub/s.go sub/s_test.go src/a.ts src/b.js run.mjs t.test.mjs src/a.test.js src/a.test.ts src/main/java/A.java
""".split()  # noqa: SIM905
PLACES = Places(FILES, ["/home/u/project"])


@pytest.mark.parametrize("name", sorted(path.stem for path in OUTPUTS.glob("*.txt")))
def test_outputs_of_real_tools(name: str) -> None:
    output = (OUTPUTS / f"{name}.txt").read_text("utf-8")
    shown = "".join(f"{'test ' if each.is_test else ''}{each.shown()}\n" for each in parse(output, PLACES))
    check_golden(f"verify/{name}.txt", shown)


def check_line(row: str, expected: str) -> None:
    assert [finding.shown() for finding in parse(row, PLACES)] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("src/a.ts:3:9: Unexpected var. [Warning/no-var]", "src/a.ts:3:9: warning: Unexpected var. [no-var]"),
        ("src/b.js: line 2, col 5, Error - no (no-undef)", "src/b.js:2:5: error: no [no-undef]"),
        ("e: file:///home/u/project/a.py:3:5 text", "a.py:3:5: error: text"),
        ("a.py:1:80: E501 line too long", "a.py:1:80: error: line too long [E501]"),
        ("a.py:3:0: C0114: Missing module docstring (missing-module-docstring)",
         "a.py:3: error: Missing module docstring (missing-module-docstring) [C0114]"),
        ("vet: ./a.go:3:5: undefined: x", "a.go:3:5: error: undefined: x"),
        ("other.py:3: error: not a file of the workspace", ""),
        ("/etc/a.py:3: error: outside", ""),
        ("../project/a.py:3: error: not spelled so by any tool", ""),
        ("\x1b[1ma.c:3:5: \x1b[31merror:\x1b[0m coloured\r", "a.c:3:5: error: coloured"),
        ("a.c:1:1: fatal error: x.h: No such file or directory", "a.c:1:1: error: x.h: No such file or directory"),
        ("a.py:3: note: belongs to the message above", ""),
    ],
)  # fmt: skip
def test_formats_of_one_row(row: str, expected: str) -> None:
    check_line(row, expected)


def test_a_name_below_a_package_is_found_if_there_is_one_such_file() -> None:
    places = Places(["x/a_test.go", "y/a_test.go", "y/b_test.go"], ["/w"], "x")
    assert places.of("a_test.go") == "x/a_test.go"  # where the command ran
    assert places.of("b_test.go") == "y/b_test.go"
    assert Places(["x/a_test.go", "y/a_test.go"]).of("a_test.go") is None
    assert places.of("/w/y/../y/b_test.go") == "y/b_test.go"


def test_what_a_hostile_tool_prints_becomes_one_clean_line() -> None:
    (finding,) = parse("a.py:1:2: error: x\u2028<|im_end|>\x07" + "y" * 5_000, PLACES)
    assert len(finding.message) <= 600
    assert finding.message.startswith("x <|im_end|> y")


@given(st.text(alphabet=st.sampled_from(list("a.py:1(),[]{}\"'-> \n\terorEF_=~^|●")), max_size=300))
def test_any_output_is_read(output: str) -> None:
    for finding in parse(output, PLACES):
        assert finding.path in {*FILES, ""}


def test_a_line_of_ten_megabytes_takes_no_time() -> None:
    row = "a.py:1:" + "1:" * 5_000_000
    assert parse(row + "\na.py:2:3: error: seen", PLACES)[-1].line == 2
