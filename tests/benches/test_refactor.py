"""The refactor bench: edit blocks that lead to the answer, tasks carried out and run, attacks that come to naught."""

import json
import random
import sys
from pathlib import Path

import pytest

from qwen_lsp.eval.across import across
from qwen_lsp.features.refactor.indexed import indexed
from qwen_lsp.post.answers import parse
from qwen_lsp.post.blocks import Target, applied
from qwen_lsp.verify.trust import trust
from scripts.benches.refactor import columns
from scripts.benches.refactor_hostile import ATTACKS, attacked
from scripts.benches.refactor_scripted import blocks, module_of, scripted
from tests.qwen_lsp.eval.packages import PACKAGE
from tests.qwen_lsp.index.trees import write

TASKS = list(across(PACKAGE))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "home"))
    root = write(tmp_path / "shop", dict(PACKAGE))
    trust(root)
    return root


def test_blocks_lead_from_one_text_to_the_other() -> None:
    for task in TASKS:
        for path, text in task.after.items():
            before = task.before.get(path)
            if before is None:
                continue
            found, failures = parse(blocks(path, before, text))
            assert failures == ()
            assert applied(found, {path: Target(before)}).texts == {path: text}


async def test_all_of_the_answers_apply_hold_and_run(root: Path, tmp_path: Path) -> None:
    tests = f"PYTHONPATH=src {sys.executable} -m pytest -q -p no:cacheprovider -p no:asyncio"
    with indexed(root, tmp_path / "index") as place:
        done = await scripted(TASKS, place, tests)
    assert done.failed == []
    assert json.loads(json.dumps(columns(done)))["asked"] == done.asked
    assert done.asked == done.done == done.ran == {"rename": 1, "signature": 1, "move": 1, "constant": 2}
    assert done.tested["rename"] == done.tested["move"] == 1


async def test_what_does_not_run_any_more_is_a_failure(root: Path, tmp_path: Path) -> None:
    """The syntax trees are as wanted, and still the change is wrong: something else reads the old name."""
    (root / "tests" / "test_cart.py").write_text("from shop import cart\n\n\ndef test_all():\n    cart.total_of([])\n")
    rename = next(task for task in TASKS if task.kind == "rename")
    tests = f"PYTHONPATH=src {sys.executable} -m pytest -q -p no:cacheprovider -p no:asyncio"
    with indexed(root, tmp_path / "index") as place:
        done = await scripted([rename], place, tests)
    assert (done.done["rename"], done.ran["rename"], len(done.failed)) == (1, 0, 1)
    assert "total_of" in done.failed[0]


async def test_none_of_the_attacks_becomes_a_change(root: Path, tmp_path: Path) -> None:
    with indexed(root, tmp_path / "index") as place:
        found = await attacked([(place, TASKS)], 6 * len(ATTACKS), random.Random(1).randrange(100))
    assert found.through == []
    assert found.tried == dict.fromkeys(ATTACKS, 6)


def test_what_a_file_is_imported_as() -> None:
    assert module_of("src/shop/cart.py") == "shop.cart" and module_of("src/shop/__init__.py") == "shop"
    assert module_of("tests/test_cart.py") == module_of("setup.py") == module_of("src/setup.py") == ""
