"""What is offered as an instruction, and the comment that asks, in every language's syntax."""

import pytest

from qwen_lsp.features.directive import directive_at
from qwen_lsp.features.wishes import Problem, place_of_tests, wishes
from qwen_lsp.index.languages import LANGUAGES
from qwen_lsp.text.document import opened

CODE = "import os\n\n\ndef add(a, b):\n    return a + b\n"


def titles(text: str, start: int, end: int, language_id: str = "python", *problems: Problem) -> list[str]:
    return [
        f"{each.kind}: {each.title}"
        for each in wishes(opened("file:///w/a", language_id, 1, text), start, end, problems)
    ]


def test_a_function_offers_what_can_be_done_with_it() -> None:
    at = CODE.index("return")
    assert titles(CODE, at, at) == [
        "refactor.rewrite: Qwen: document add",
        "refactor.rewrite: Qwen: add types to add",
        "source: Qwen: explain add",
        "source: Qwen: write tests for add",
    ]
    assert titles(CODE, 0, 0) == []


def test_a_selection_and_diagnostics_offer_theirs() -> None:
    problem = Problem(0, 9, "`os` imported\n but unused " + "x" * 100)
    found = wishes(opened("file:///w/a", "python", 1, CODE), 0, 9, [problem])
    assert [(each.kind, each.start, each.end, each.across) for each in found] == [
        ("quickfix", 0, 9, False),
        ("refactor.rewrite", 0, 9, False),
        ("source", 0, 9, False),
        ("refactor.extract", 0, 9, False),
    ]
    assert found[0].title.startswith("Qwen: fix “`os` imported but unused x") and "\n" not in found[0].instruction


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each.line_comment], ids=lambda each: each.name)
def test_a_comment_asks_in_every_language(language: object) -> None:
    name, mark = language.name, language.line_comment  # type: ignore[attr-defined]
    text = f"a\n  {mark} qwen: split this class\r\nb\n"
    found = directive_at(name, text, 5, 5)
    assert found is not None and found.instruction == "split this class"
    assert text[: found.start] + text[found.end :] == "a\nb\n"


@pytest.mark.parametrize("language", [each for each in LANGUAGES if each.block_comment], ids=lambda each: each.name)
def test_a_block_comment_on_one_line_asks_too(language: object) -> None:
    name, (begin, end) = language.name, language.block_comment  # type: ignore[attr-defined]
    text = f"a\n\t{begin} qwen: split this {end}\nb\n"
    found = directive_at(name, text, 5, 5)
    assert found is not None and found.instruction == "split this"
    assert text[: found.start] + text[found.end :] == "a\nb\n"


@pytest.mark.parametrize(
    ("language_id", "line", "says"),
    [
        ("html", "<!-- qwen: use a list -->", "use a list"),
        ("css", "/* QWEN:  sort these */", "sort these"),
        ("python", "## qwen: x: y", "x: y"),
        ("python", "#qwen:now", "now"),
        ("python", "x = 1  # qwen: no", None),
        ("python", "# qwen: ", None),
        ("python", "# about qwen: no", None),
        ("json", "# qwen: no", None),
        ("unheard of", "# qwen: no", None),
    ],
)
def test_only_a_line_of_its_own_asks(language_id: str, line: str, says: str | None) -> None:
    found = directive_at(language_id, line, 0, 0)
    assert (found.instruction if found else None) == says


def test_the_directive_is_about_what_stands_under_it_and_may_change_other_files() -> None:
    text = "# qwen: rename it\nclass A:\n    pass\n"
    (wish, *_) = wishes(opened("file:///w/a.py", "python", 1, text), 0, 0)
    assert (wish.title, wish.across, wish.cut) == ("Qwen: rename it", True, (0, 18))
    assert text[wish.start : wish.end] == "class A:"


@pytest.mark.parametrize(
    ("path", "language_id", "tests"),
    [
        ("pkg/cart.py", "python", "tests/test_cart.py"),
        ("pkg/cart.go", "go", "pkg/cart_test.go"),
        ("src/cart.tsx", "typescriptreact", "src/cart.test.tsx"),
        ("src/main/java/a/Cart.java", "java", "src/test/java/a/CartTest.java"),
    ],
)
def test_tests_go_where_the_language_has_them(path: str, language_id: str, tests: str) -> None:
    assert place_of_tests(path, language_id) == tests
