"""The gate: what is inserted never makes the file parse worse."""

import random
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.index.buffers import parsed
from qwen_lsp.index.grammars import encode, parse
from qwen_lsp.post.region import SMALL_CHARS, region
from qwen_lsp.post.syntax import GATE_CHARS, LastParsed, around, inside, n_faults, sound_part


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


FILLER = {
    "c": "int f{n}(int value)\n{{\n\tif (value > 0) {{\n\t\treturn 1;\n\t}}\n\treturn 0;\n}}\n\n",
    "python": "def f{n}(value):\n    if value:\n        return [value]\n    return {{}}\n\n\n",
    "go": "func f{n}(value int) int {{\n\tif value > 0 {{\n\t\treturn 1\n\t}}\n\treturn 0\n}}\n\n",
    "javascript": "res.f{n} = function f{n}(value) {{\n  return [value, `${{value}}`];\n}};\n\n",
}


def in_a_long_file(language: str, text: str) -> str:
    filler = "".join(FILLER[language].format(n=n) for n in range(200))
    head = "package a\n\n" if language == "go" else ""
    return head + filler + text + filler


@pytest.mark.parametrize(
    ("language", "text", "model_says", "passes"),
    [
        ("python", "class A:\n    def f(self):\n        x = y$0\n\n    def g(self):\n        pass\n", "[1", ""),
        ("python", "class A:\n    def f(self):\n        $0\n", "if x:\n            y = (1\n", "if x:"),
        ("python", "class A:\n    def f(self):\n        $0\n", "x = 1\n        y = (1", "x = 1"),
        ("python", "class A:\n    def f(self):\n        $0\n", "x = 1\n        y = 1", "x = 1\n        y = 1"),
        ("go", "func g() int {\n\treturn $0\n}\n\n", "1)", ""),
        ("go", "func g() int {\n\treturn $0\n}\n\n", "1", "1"),
        (
            "javascript",
            "res.g = function (a) {\n  $0\n};\n",
            "if (a) {\n    return 1;\n  }",
            "if (a) {\n    return 1;\n  }",
        ),
    ],
)
def test_in_a_long_file_the_function_around_it_is_judged(
    language: str, text: str, model_says: str, passes: str
) -> None:
    check_gate(language, in_a_long_file(language, text), model_says=model_says, passes=passes)


@pytest.mark.parametrize(
    ("language", "text", "model_says"),
    [
        ("python", "@cached$0\ndef f():\n    pass\n\n\n", "\nwhile x:"),
        ("python", "def f(): ...\n@overload$0\n@other\ndef f(a):\n    pass\n\n\n", "\nx = 1"),
        ("python", "@cases(\n    [1, 2],$0\n)\ndef f():\n    pass\n\n\n", "\n    while x:"),
        ("javascript", "function f() {\n  g(x)$0;\n  return `\n{\n${x}`;\n}\n\n", ")"),
        ("go", "func f() {\n\ta := 1$0\n\tb := `\nyaml\n`\n\tg(a, b)\n}\n\n", " +"),
        ("go", "func f() {\n\ta := g(1$0)\nwalk:\n\tfor {\n\t\th(a)\n\t}\n}\n\n", "`"),
    ],
)
def test_a_region_is_not_cut_where_its_lines_stand_less_deep(language: str, text: str, model_says: str) -> None:
    """Under decorators, in strings over several lines, at labels: a cut has faults of its own, so more would pass."""
    before, after = in_a_long_file(language, text).split("$0")
    hole = around(language, before + after, len(before), len(before))
    assert hole is not None
    assert n_faults(hole.base.tree.root_node) == 0
    check_gate(language, before + "$0" + after, model_says=model_says, passes="")


@pytest.mark.parametrize(
    ("language", "text", "model_says"),
    [
        ("go", "func f() {\nwalk: // on\n\tfor {\n\t\tg()\n\t\t$0\n\t}\n}\n\n", "}"),
        ("c", "int f(void)\n{\n\tint a = 1;\n\t$0\n\treturn a;\n}\n\n", "if (a) {"),
        ("python", "TABLE = {\n1: 2,$0\n3: 4,\n}\n\n\n", "\nreturn x"),
    ],
)
def test_a_region_that_is_no_whole_thing_is_not_believed(language: str, text: str, model_says: str) -> None:
    """Where faults are left with the suggestion, all of the file is asked."""
    before, after = in_a_long_file(language, text).split("$0")
    part = region(language, before + after, len(before), len(before))
    assert len(before + after) > part.end - part.start, "or this tests nothing"
    check_gate(language, before + "$0" + after, model_says=model_says, passes="")


@pytest.mark.parametrize(
    ("language", "text", "model_says", "passes"),
    [
        ("python", "import a\nimport $0\n", "b", "b"),
        ("python", "import a\nimport b$0\n", "(b", ""),
        ("python", "import a\nfrom b import (\n    c,$0\n)\n", " d", " d"),
        ("python", "import a\nfrom b import (\n    c,$0\n)\n", ")", ""),
        ("python", "x = 1\n@wraps($0x)\ndef g():\n    return 1\n\n\n", "f)(", "f)("),
        ("python", "x = 1\n@wraps(x)$0\ndef g():\n    return 1\n\n\n", "\ny = 1", ""),
        ("go", "// Abort ends\n// all$0 of it.\n", " */", " */"),
        ("go", "var a = 1\nvar b = $0\n\n", "f(a", ""),
        ("javascript", "go();\napp.use(function () {\n  go($0);\n});\n\n", "1", "1"),
        ("javascript", "go();\napp.use(function () {\n  go($0);\n});\n\n", "{", ""),
    ],
)
def test_between_the_functions_of_a_long_file_what_stands_there_is_judged(
    language: str, text: str, model_says: str, passes: str
) -> None:
    before, after = in_a_long_file(language, text).split("$0")
    found = region(language, before + after, len(before), len(before))
    assert found.end - found.start < 300
    check_gate(language, before + "$0" + after, model_says=model_says, passes=passes)


def test_behind_a_long_class_its_methods_are_not_parsed() -> None:
    text = "class A:\n" + "    def f(self):\n        return 2\n\n" * 400 + "\nA_LIST = [\n    A,\n]\nx = 1\n\n\n"
    at = text.index("x = 1") + 5
    found = region("python", text, at, at)
    assert text[found.start : found.end] == "A_LIST = [\n    A,\n]\nx = 1\n\n\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('x = 1\nUSAGE = """\nno code$0 here\n"""\n\n\n', "string"),
        ('def g():\n    return """\nat the margin\n"""\n\n\nx = 1\ny = 2$0\n\n\n', "code"),
    ],
)
def test_where_lines_in_quotes_look_like_code_the_file_is_judged(text: str, expected: str) -> None:
    filler = "".join(FILLER["python"].format(n=n) for n in range(200))
    before, after = text.split("$0")
    whole, at = filler + before + after + filler, len(filler + before)
    assert inside(around("python", whole, at, at)) == expected


@pytest.mark.parametrize(
    ("language", "text", "part"),
    [
        ("javascript", "res.g = function g(a)\n{\n  go($0);\n};\n\n", "res.g = function g(a)\n{\n  go();\n};\n\n"),
        ("c", "struct b\n{\n\tint a$0;\n};\n\n", "struct b\n{\n\tint a;\n};\n\n"),
        ("python", "if x:\n    def f():\n        go($0)\nelse:\n    f = g\n\n\n", "    def f():\n        go()\n"),
    ],
)
def test_where_a_function_ends(language: str, text: str, part: str) -> None:
    before, after = in_a_long_file(language, text).split("$0")
    found = region(language, before + after, len(before), len(before))
    assert (before + after)[found.start : found.end] == part


@pytest.mark.parametrize(
    ("language", "text", "is_apart"),
    [
        ("python", "class A:\n    @property\n    def f(self):\n        go($0\n\n\n", True),
        ("python", "def f():\n    def g():\n        go($0\n    return g\n\n\n", True),
        ("go", "func g() {\n\tgo($0\n}\n\n", True),
        ("javascript", "res.g = function (a) {\n  go($0\n};\n\n", True),
        ("c", "struct b {\n\tint $0a b;\n};\n\n", True),
        ("python", 'TEXT = """\ndef f():\n    go($0\n"""\n\n\n', False),  # what looks like a function is a string
        ("c", "/*\nstruct b {\n\tint $0a b;\n};\n*/\n", False),
        ("go", "var a = 1)\n\nfunc g() {\n\tgo($0\n}\n\n", False),  # something else has faults, too
    ],
)
def test_where_a_half_typed_function_stands_apart_the_file_is_not_parsed(
    language: str, text: str, is_apart: bool
) -> None:
    before, after = in_a_long_file(language, text).split("$0")
    last = LastParsed()
    hole = around(language, before + after, len(before), len(before), last)
    assert hole is not None and hole.base.tree.root_node.has_error
    assert (hole.whole() is hole) == (last.file is None) == is_apart


def test_the_rest_of_a_file_is_parsed_once_while_a_function_is_typed() -> None:
    before, after = in_a_long_file("go", "func g() {\n\t$0\n}\n\n").split("$0")
    last, seen = LastParsed(), []
    for typed in ("go(", "go(a", "go(a,"):
        hole = around("go", before + typed + after, len(before + typed), len(before + typed), last)
        assert hole is not None and hole.whole() is hole
        seen.append(last.rest)
    assert seen[0] is seen[1] is seen[2]


def test_a_cursor_within_an_indent_is_judged_by_all_of_the_file() -> None:
    text = in_a_long_file("python", "class A:\n    def f(self):\n        x = 1\n        y = 2\n\n\n")
    for column, answer, passed in ((0, "        z = 3\n", "        z = 3\n"), (2, "      z = 3\n", "      z = 3\n")):
        at = text.index("        y = 2") + column
        hole = around("python", text, at, at)
        assert hole is not None and not hole.base.tree.root_node.has_error
        assert sound_part("python", text, at, at, answer) == passed


def test_in_a_file_without_faults_no_part_is_asked_that_has_some() -> None:
    """At any place of files of the standard library: else what adds a fault might pass."""
    chance = random.Random(2)
    texts = [path.read_text("utf-8") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))]
    files = chance.sample([text for text in texts if SMALL_CHARS < len(text) < 60_000], 12)
    for text in files:
        last = LastParsed()
        for at in chance.sample(range(len(text)), 60):
            hole = around("python", text, at, at, last)
            assert hole is not None
            assert not hole.whole().base.tree.root_node.has_error, at


def test_files_of_the_standard_library_stay_whole_whatever_is_put_in() -> None:
    """Lines from elsewhere, a few at a time, at and within lines; a long file is judged by a part of it."""
    chance, n_shown = random.Random(1), 0
    texts = [path.read_text("utf-8") for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))]
    files = chance.sample([text for text in texts if SMALL_CHARS < len(text) < 60_000], 10)
    assert not any(map(_faults, files))
    lines = [line.strip() for text in files for line in text.split("\n") if line.strip()]
    for text in files:
        for _ in range(12):
            at = chance.randrange(len(text))
            end = at + chance.choice([0, len(text[at:].split("\n", 1)[0])])
            answer = chance.choice(["", "\n"]) + "\n    ".join(chance.sample(lines, chance.randrange(1, 4)))
            if passed := sound_part("python", text, at, end, answer):
                n_shown += 1
                assert not _faults(text[:at] + passed + text[end:]), (at, passed)
    assert n_shown > 20


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(FILLER)), st.integers(0, 30_000), st.data())
def test_a_region_is_whole_lines_around_the_place(language: str, at: int, data: st.DataObject) -> None:
    text = "".join(FILLER[language].format(n=n) for n in range(200))
    at = min(at, len(text))
    found = region(language, text, at, at)
    assert 0 <= found.start <= at <= found.end <= len(text)
    for border in (found.start, found.end):
        assert border in (0, len(text)) or text[border - 1] == "\n"
    lines = text[found.start : found.end].split("\n")
    assert all(line.startswith(found.indent) or not line.strip() for line in lines)


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", "x = 1  # so$0\ny\n", "comment"),
        ("python", "# so$0", "comment"),
        ("python", "# so\n$0x\n", "code"),
        ("python", "x = 'so$0 far'\n", "string"),
        ("python", "x = 'so far'$0\n", "code"),
        ("python", "x = f'{so$0}'\n", "code"),
        ("python", 'def f():\n    """What$0 it does."""\n', "string"),
        ("javascript", "/* so$0 */ f()\n", "comment"),
        ("javascript", "/* so */$0 f()\n", "code"),
        ("javascript", "f(`a ${b$0} c`)\n", "code"),
        ("go", "package a // so$0\n", "comment"),
        ("rust", 'fn f() { g("so$0") }\n', "string"),
        ("brainfuck", "# so$0\n", "code"),
        ("python", "$0", "code"),
    ],
)
def test_what_the_cursor_is_in(language: str, text: str, expected: str) -> None:
    before, after = text.split("$0")
    assert inside(around(language, before + after, len(before), len(before))) == expected


@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.sampled_from(["", "x", "(", ")", "\n    ", "def f():\n", '"', "# ", "= 1\n"]))
    )
)
def test_the_region_of_the_key_before_changes_no_verdict(edits: list[tuple[int, str]]) -> None:
    """Parsed on from any other text, a text has faults where it has some by itself."""
    last, text = LastParsed(), "class A:\n    def g(self):\n        return [self]\n"
    for at, insert in edits:
        at %= len(text) + 1
        text = text[:at] + insert + text[at + (not insert) :]
        hole, fresh = around("python", text, at, at, last), parsed("python", text)
        assert hole is not None and fresh is not None
        assert (n_faults(hole.base.tree.root_node) > 0) == (n_faults(fresh.tree.root_node) > 0)
