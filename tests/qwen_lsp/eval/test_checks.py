"""A repository's own tests as judges: which are run, and what they can and can not say of an answer."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from qwen_lsp.errors import NotDone
from qwen_lsp.eval.checks import OwnTests, check_for, copied, is_test, names_around, narrowed, touching
from qwen_lsp.eval.holes import Hole
from qwen_lsp.settings import Settings
from qwen_lsp.verify.trust import trust
from qwen_lsp.verify.verdict import Check
from tests.qwen_lsp.eval.packages import PACKAGE
from tests.qwen_lsp.index.trees import write

CART = PACKAGE["src/shop/cart.py"]
ANSWER = "sum(prices) * 12 + len(os.sep)"
RUN = f"PYTHONPATH=src {sys.executable} -m pytest -q -p no:cacheprovider -p no:asyncio"


def hole(answer: str = ANSWER) -> Hole:
    at = CART.index(answer)
    text = CART[:at] + CART[at + len(answer) :]
    return Hole("h", "line", "", 0, "src/shop/cart.py", text, at, answer, ())


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "home"))
    return write(tmp_path / "shop", dict(PACKAGE))


@pytest.mark.parametrize(
    "path", ["tests/a.py", "test_a.py", "a/b_test.go", "src/a.test.ts", "a.spec.js", "spec/a_spec.rb", "src/ATest.java"]
)
def test_tests_are_told_by_their_place(path: str) -> None:
    assert is_test(path) and not is_test(path.replace("test", "x").replace("spec", "y").replace("Test", "x"))


def test_those_that_touch_the_place_are_run() -> None:
    tests = {"tests/test_cart.py": "", "tests/test_b.py": "total_of(1)", "tests/test_c.py": "total_of totals"}
    tests |= {"tests/test_d.py": "totals", "tests/conftest.py": "total_of"}
    assert touching("src/shop/cart.py", {"total_of"}, tests) == (
        "tests/test_cart.py",
        "tests/test_b.py",
        "tests/test_c.py",
    )
    assert touching("src/x.py", (), tests) == ()
    assert (
        narrowed(Check("python -m pytest -q"), "a.py", ["tests/a b.py"]).command == "python -m pytest -q 'tests/a b.py'"
    )
    assert narrowed(Check("go test ./..."), "cmd/a.go", ["cmd/a_test.go"]).command == "go test ./cmd"
    assert narrowed(Check("npm run test"), "a.ts", ["a.test.ts"]).command == "npm run test"
    assert names_around(hole()) == {"total_of"}


async def test_an_answer_passes_or_not_and_what_tells_nothing_is_not_said(root: Path) -> None:
    with copied(root, root) as shadow:
        own = OwnTests(shadow, Check(RUN))
        assert await own.hold(hole(), ANSWER) is True
        assert await own.hold(hole(), "len(os.sep) + 12 * sum(prices)") is True, "another text that does the same"
        assert await own.hold(hole(), "sum(prices)") is False
        assert await own.hold(hole(), "") is False
        assert await own.hold(replace(hole(), answer="1 / 0"), "sum(prices)") is None, "the person's own text fails"
        assert await own.hold(hole('"a", "b"'), '"a", "b"') is True
        assert await own.hold(hole('"""A cart."""'), '"""A cart."""') is None, "they pass without it"
    assert (root / "src/shop/cart.py").read_text() == CART


async def test_a_test_that_failed_before_does_not_hide_the_others(root: Path) -> None:
    path = "src/shop/cart.py"
    with copied(root, root) as shadow:
        (shadow.tree / "tests/test_net.py").write_text("from shop.cart import *\n\n\ndef test_net():\n    assert 0\n")
        shadow.copied |= {"tests/test_net.py"}
        own = OwnTests(shadow, Check(RUN))
        assert await own.hold_with({path: CART + "# more\n"}, {"cart", "total_of"}) is True
        assert await own.hold_with({path: CART.replace("sum(prices)", "2")}, {"cart", "total_of"}) is False
        assert await own.hold_with({path: "raise SystemExit(3)\n"}, {"cart", "total_of"}) is False
        assert await own.hold_with({"README.md": "x\n"}, ()) is None, "no test touches it"


def test_only_in_trusted_folders_and_where_a_command_is_known(root: Path) -> None:
    with pytest.raises(NotDone, match="trust"):
        check_for(root, Settings(), RUN)
    trust(root)
    assert check_for(root, Settings(), RUN).command == RUN
    with pytest.raises(NotDone, match="no command is known"):
        check_for(root, Settings())
    (root / "pyproject.toml").write_text("[tool.pytest.ini_options]\n[tool.ruff]\n")
    assert "pytest" in check_for(root, Settings()).command


def test_commands_see_the_copy_at_the_repositorys_place_with_its_environments(root: Path, tmp_path: Path) -> None:
    checkout = write(tmp_path / "checkout", {"a.py": "x = 1\n", "vendor/kept.py": "y = 1\n"})
    for name in (".venv", "vendor"):
        (root / name).mkdir()
    with copied(root, checkout) as shadow:
        assert shadow.root == root.resolve() and shadow.shared == (".venv",)
        assert (shadow.tree / "a.py").exists() and not (shadow.tree / "src").exists()
