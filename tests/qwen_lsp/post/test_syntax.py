"""The gate: what is inserted never makes the file parse worse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.index.grammars import encode, parse
from qwen_lsp.post.syntax import GATE_CHARS, n_faults, sound_part


def check_gate(language: str, text: str, *, model_says: str, passes: str) -> None:
    before, after = text.split("$0")
    assert sound_part(language, before + after, len(before), len(before), model_says) == passes


@pytest.mark.parametrize(
    ("language", "text", "model_says", "passes"),
    [
        ("python", "total = add(1, $0)\n", "2", "2"),
        ("python", "x = 1$0\n", ")", ""),
        ("python", "def f(x):\n    $0\n", "return x\n    y = (", "return x"),
        ("python", "if x$0", " > 1:", " > 1:"),  # half typed: an error before and after
        ("python", "é = '\U0001f600'; y = $0\n", "f(é)", "f(é)"),
        ("javascript", "function f() {\n  $0\n}\n", "return 1;\n  }}", "return 1;"),
        ("javascriptreact", "const a = $0;\n", "<p>hi</p>", "<p>hi</p>"),
        ("typescript", "let a: $0 = 1;\n", "number", "number"),
        ("typescript", "let a: number$0 = 1;\n", "]", ""),
        ("typescriptreact", "const a = $0;\n", "<p>hi</p>", "<p>hi</p>"),
        ("rust", "fn f() -> i32 {\n    $0\n}\n", "1 + 1", "1 + 1"),
        ("rust", "fn f() -> i32 {\n    $0\n}\n", "1 +", ""),
        ("go", "package a\n\nfunc f() int {\n\treturn $0\n}\n", "1", "1"),
        ("java", "class A {\n  int f() { return $0; }\n}\n", "1 + (2", ""),
        ("c", "int f(void) { return $0; }\n", "1", "1"),
        ("cpp", "auto f() { return $0; }\n", "std::vector<int>{1}", "std::vector<int>{1}"),
        ("brainfuck", "x $0", ")((", ")(("),  # no grammar, no opinion
    ],
)
def test_gate(language: str, text: str, model_says: str, passes: str) -> None:
    check_gate(language, text, model_says=model_says, passes=passes)


def test_a_selection_is_replaced() -> None:
    text = "def f():\n    return (1\n"  # was broken, may be mended
    start = text.index("return")
    assert sound_part("python", text, start, len(text) - 1, "return 1") == "return 1"


def test_huge_files_pass_unparsed() -> None:
    assert sound_part("python", "x = 1\n" * (GATE_CHARS // 5), 0, 0, ")") == ")"


BITS = ["x", " = ", "1", "\n", "    ", "(", ")", "def f():", "return ", '"', "é", "\ud800", "\r\n"]
TEXTS = st.lists(st.sampled_from(BITS), max_size=12).map("".join)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_never_more_faults(before: str, after: str, answer: str) -> None:
    """The incremental parse that the gate uses agrees with a fresh one."""
    passed = sound_part("python", before + after, len(before), len(before), answer)
    assert answer.startswith(passed)
    assert not passed or _faults(before + passed + after) <= _faults(before + after)


def _faults(text: str) -> int:
    tree = parse("python", encode(text))
    assert tree is not None
    return n_faults(tree.root_node)
