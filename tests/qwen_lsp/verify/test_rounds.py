"""A failing check is mended in round two: a real pytest in the copy, a scripted model, and the loop between them."""

import sys
from pathlib import Path

from qwen_lsp.features.refactor.report import report
from qwen_lsp.features.refactor.run import refactor
from qwen_lsp.features.refactor.values import Asked, Plan, Refactored
from qwen_lsp.features.refactor.workspace import workspace
from qwen_lsp.settings import Settings
from qwen_lsp.verify.rounds import checking
from qwen_lsp.verify.shadow import cache_folder
from qwen_lsp.verify.trust import trust
from tests.qwen_lsp.features.refactor.saying import Saying, block
from tests.qwen_lsp.index.trees import write
from tests.qwen_lsp.verify.test_shadow import unchanged

PRICE = "def price(n):\n    return 2 * n\n"
TESTS = """from price import price


def test_price():
    assert price(3) == 6


def test_old():
    assert price(0) == 1
"""
WRONG = block("price.py", "def price(n):\n    return 2 * n\n", "def price(n):\n    return n + n + n\n")
MENDED = block("price.py", "    return n + n + n\n", "    return n + n\n")
PYTEST = f"{sys.executable} -W ignore -m pytest -q -p no:cacheprovider -p no:asyncio"


async def test_a_failing_test_is_mended_in_round_two(root: Path) -> None:
    write(root, {"price.py": PRICE, "test_price.py": TESTS})
    asked = Asked("say it by addition", plan=Plan({"price.py": ()}))
    engine = Saying([([], WRONG), (["assert 9 == 6"], MENDED)])
    told: list[str] = []
    with unchanged(root):
        async with checking(root, Settings(refactor_checks=(PYTEST,)), {}, told.append) as verify:
            done = await refactor(asked, workspace(root, {}), engine, verify, told.append)
    assert isinstance(done, Refactored)
    assert done.texts == {"price.py": "def price(n):\n    return n + n\n"}
    assert done.n_rounds == 2
    assert done.findings == ()  # test_old failed before, and is nobody's fault here
    assert (done.passed, done.failing) == ((), (PYTEST,))
    assert f"- fails as before, with nothing new: {PYTEST}" in report("Say it", done)
    assert "test_price.py::test_price" in engine.heard[1]
    assert "test_old" not in engine.heard[1]
    assert f"before the edits: {PYTEST}" in told
    assert "mending 1 new finding (round 1)" in told
    assert list(cache_folder().iterdir()) == []


async def test_what_can_not_be_mended_is_shown_and_rounds_are_bounded(root: Path) -> None:
    write(root, {"price.py": PRICE, "test_price.py": TESTS})
    asked = Asked("say it by addition", plan=Plan({"price.py": ()}), rounds=1)
    worse = block("price.py", "    return n + n + n\n", "    return n + 1\n")
    engine = Saying([([], WRONG), ([], worse), ([], MENDED)])
    async with checking(root, Settings(refactor_checks=(PYTEST,)), {}, lambda _: None) as verify:
        done = await refactor(asked, workspace(root, {}), engine, verify)
    assert isinstance(done, Refactored)
    assert len(engine.heard) == 2
    assert done.passed == ()
    assert "assert 4 == 6" in done.findings[0]
    assert "1 new finding of checks" in done.risks


async def test_without_trust_nothing_runs_and_the_change_says_so(root: Path) -> None:
    write(root, {"price.py": PRICE})
    trust(root, False)
    asked = Asked("say it by addition", plan=Plan({"price.py": ()}))
    async with checking(root, Settings(refactor_checks=("touch ran",)), {}, lambda _: None) as verify:
        done = await refactor(asked, workspace(root, {}), Saying([([], WRONG)]), verify)
    assert isinstance(done, Refactored)
    assert "trust" in done.unchecked
