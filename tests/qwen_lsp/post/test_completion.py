"""What of an answer is shown, case by case, and the laws over all answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_lsp.post.completion import MAX_BLOCK_LINES, Kind, enough, finish, kind_at, place, unfenced


def check_completion(text: str, *, model_says: str, inserts: str, kind: Kind | None = None) -> None:
    """The answer inserts `inserts` at `$0`; and reading stops no later than needed for that."""
    before, after = text.split("$0")
    around = place(before, after, kind=kind)
    assert finish(around, model_says).text == inserts
    read = next((model_says[:n] for n in range(len(model_says)) if enough(around, model_says[:n])), model_says)
    assert finish(around, read).text == inserts, "reading stopped too early"


def check_nothing(text: str, *, model_says: str, reason: str) -> None:
    before, after = text.split("$0")
    trimmed = finish(place(before, after), model_says)
    assert (trimmed.text, trimmed.reason) == ("", reason)


@pytest.mark.parametrize(
    ("text", "model_says", "inserts"),
    [
        ("total = add(1, $0)", "2)", "2"),
        ("total = add(1, $0)", "2)\nprint(total)", "2"),
        ("total = add(f(1, $0)", "2))", "2)"),
        ("total = add(1, $0)  # sum", "2)  # sum of both", "2"),
        ("f([$0])", "1, 2])", "1, 2"),
        ("x = foo($0)", "a).bar(b)", "a"),
        ("x = foo($0)", "bar(a), b", "bar(a), b"),
        ('name = "$0"', 'Ada"', "Ada"),
        ('name = "$0"', 'Ada", age=3', "Ada"),
        ('name = "$0"', r"say \"hi\"", r"say \"hi\""),
        ("if $0 == 2:", "foo == 2:\n    pass", "foo"),
        ("for x in $0, y:", "xs, y", "xs"),
        ("fo$0o = 1", "o_bar", "o_bar"),  # never cut within a word
    ],
)
def test_what_stands_behind_the_cursor_is_not_said_again(text: str, model_says: str, inserts: str) -> None:
    check_completion(text, model_says=model_says, inserts=inserts)


@pytest.mark.parametrize(
    ("text", "model_says", "inserts"),
    [
        ("x = $0\n", "1  \ny = 2\n", "1"),
        ("def f(x):$0\n", "\n    y = x\n    return y\n\ndef g():\n", "\n    y = x\n    return y"),
        ("def f(x):\n    $0\n", "y = x\n    return y\n\ndef g():\n", "y = x\n    return y"),
        ("def f(x):\n    if x:\n        $0\n", "a()\n        b()\n    return 1\n", "a()\n        b()"),
        ("def f(x):\n    $0\n", "y = x\n\n    z = y\n", "y = x"),  # one paragraph
        ("function f() {$0\n", "\n  return 1;\n}\nf();\n", "\n  return 1;\n}"),
        ("function f() {$0\n}\n", "\n  return 1;\n}\nf();\n", "\n  return 1;"),  # its brace is there already
        ("f($0\n", "\n  a,\n  b,\n)\ng()\n", "\n  a,\n  b,\n)"),
        ("$0\n", "def f():\n    return 1\n\n\ndef g():\n", "def f():\n    return 1"),
        ("$0\n", "import a\nimport b\n\nx = 1\n", "import a\nimport b"),
        ("$0\n", "try:\n    a()\nexcept E:\n    b()\nc()\n", "try:\n    a()\nexcept E:\n    b()"),
        ("def f(x):\n\t$0\n", "y = x\n\treturn y\n\ndef g\n", "y = x\n\treturn y"),
        ("a()\n$0\nz()\n", "b()\nc()\nz()\n", "b()\nc()"),
    ],
)
def test_a_block_ends_where_its_indentation_ends(text: str, model_says: str, inserts: str) -> None:
    check_completion(text, model_says=model_says, inserts=inserts)


def test_a_block_has_a_limit() -> None:
    lines = [f"a{n}()" for n in range(99)]
    check_completion(
        "def f():\n    $0", model_says="\n    ".join(lines), inserts="\n    ".join(lines[:MAX_BLOCK_LINES])
    )


@pytest.mark.parametrize(
    ("text", "model_says", "reason"),
    [
        ("x = 1\n$0\ny = 2\n", "y = 2\n", "the suggestion repeats the line below"),
        ("x = 1\n$0\n", "x = 1\n", "the suggestion repeats the line above"),
        ("x = 1\nx$0\n", " = 1\n", "the suggestion repeats the line above"),
        ("x = $0\n", "\ny = 1", "the model has nothing to add here"),
        ("x = $0)", ")", "the model has nothing to add here"),
        ("x = $0\n", "", "the model has nothing to add here"),
        ("x = $0\n", "<|fim_pad|>y", "the model has nothing to add here"),
    ],
)
def test_nothing_with_a_reason(text: str, model_says: str, reason: str) -> None:
    check_nothing(text, model_says=model_says, reason=reason)


@pytest.mark.parametrize("leak", ["<|fim_middle|>", "<|endoftext|>", "<|im_end|>", "\x1b[31m", "\0", "\ufffd"])
def test_leaks_end_the_text(leak: str) -> None:
    check_completion("x = $0\n", model_says=f"1 + 2{leak} more", inserts="1 + 2")


BITS = ["a", "b1", " ", "    ", "\t", "\n", "(", ")", "{", "}", '"', ":", ", ", "return ", "é", "<|im_end|>"]
TEXTS = st.lists(st.sampled_from(BITS), max_size=16).map("".join)


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_laws(before: str, after: str, answer: str) -> None:
    around = place(before, after)
    trimmed = finish(around, answer)
    text = trimmed.text
    assert bool(text) != bool(trimmed.reason)
    assert text == text.rstrip() and "<|im_end|>" not in text
    assert answer.startswith(text), "nothing is invented"
    assert around.block or "\n" not in text
    assert text.count("\n") < around.max_lines
    lines = (around.line + text).split("\n")
    if text and around.below and not around.rest.strip():
        assert around.below.rstrip() not in (line.rstrip() for line in lines[1:])
        assert lines[0].strip() != around.below.strip() or not any(c.isalnum() for c in lines[0])


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_reading_on_changes_nothing_once_it_is_enough(before: str, after: str, answer: str, more: str) -> None:
    around = place(before, after)
    if enough(around, answer):
        assert finish(around, answer + more) == finish(around, answer)


@pytest.mark.parametrize(
    ("model_says", "inserts"),
    [
        ("y = 1\n    z = 2\n", "y = 1"),
        ("y = [\n        1,\n    ]\n    z = 2\n", "y = [\n        1,\n    ]"),
        ("if y:\n        z()\n\n        w()\n    v()\n", "if y:\n        z()\n\n        w()"),
        ("if y:\n        z()\n    else:\n        w()\n    v()\n", "if y:\n        z()\n    else:\n        w()"),
        ("# why\n    y = 1\n    z = 2\n", "# why\n    y = 1"),
        ("@cached\n    def g():\n        return 1\n    h()\n", "@cached\n    def g():\n        return 1"),
        ("y = 1 + \\\n    2\n    z = 3\n", "y = 1 + \\\n    2"),
        ("y = 1\n\n    z = 2\n", "y = 1"),
        ("return y\n\n\ndef g():\n", "return y"),
    ],
)
def test_where_code_goes_on_one_statement_is_enough(model_says: str, inserts: str) -> None:
    check_completion("def f():\n    $0\n    last()\n", model_says=model_says, inserts=inserts, kind="statement")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x = $0\n", "line"),
        ("f($0)\n", "line"),
        ("def f():$0\n", "block"),
        ("def f():$0\n    return 1\n", "line"),  # the body is there
        ("def f():\n    $0\n", "block"),
        ("def f():\n    $0\n\n\ndef g():\n    pass\n", "block"),
        ("def f():\n    $0\n    return 1\n", "statement"),
        ("import a\n$0\nimport b\n", "statement"),
        ("d = {\n    'a': $0\n}\n", "line"),
        ("x: $0\n", "line"),
        ("f = lambda x:$0\n", "block"),
        ("function f() {\n  $0\n}\n", "block"),
        ("if (a) {\n  $0\n} else {\n}\n", "block"),
        ("f($0\n", "block"),
    ],
)
def test_how_much_is_wanted(text: str, kind: str) -> None:
    before, after = text.split("$0")
    assert kind_at("javascript" if "function" in text or "(a)" in text else "python", before, after) == kind


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("```python\nx = 1\n```\nThat sets x.", "x = 1"),
        ("\n```\nx = 1\n``", "x = 1\n``"),  # it still grows
        ("```pyth", ""),
        ("```", ""),
        ("x = 1\n```\n", "x = 1\n```\n"),
        ("`x`", "`x`"),
    ],
)
def test_a_markdown_block_is_taken_off(answer: str, code: str) -> None:
    assert unfenced(answer) == code


@pytest.mark.parametrize(
    ("model_says", "inserts"),
    [
        ("a, " * 20, "a,"),
        ("go to the next one of the next one of the next one of the next one", "go to the next one of"),
        ("[0, 0, 0]", "[0, 0, 0]"),
        ("-" * 60, "-" * 60),  # a ruler
        ("f(x)f(x)f(x)f(x)f(x)f(x)f(x)", "f(x)"),
    ],
)
def test_a_model_that_goes_round_in_circles_is_stopped(model_says: str, inserts: str) -> None:
    check_completion("x = $0\n", model_says=model_says, inserts=inserts, kind="line")
