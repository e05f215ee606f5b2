"""Answers judged by the repository's own tests, in the tree that their hole was cut from."""

from dataclasses import replace
from pathlib import Path

import pytest

from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.judged import judge
from qwen_lsp.eval.results import Results
from qwen_lsp.verify.verdict import Check
from tests.qwen_lsp.eval.answers import answer
from tests.qwen_lsp.eval.packages import PACKAGE
from tests.qwen_lsp.eval.repositories import repository
from tests.qwen_lsp.eval.test_checks import ANSWER, RUN, hole


async def test_what_the_tests_say_is_added_to_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWEN_LSP_HOME", str(tmp_path / "home"))
    past = Repository(repository(tmp_path / "shop", [dict(PACKAGE), {"tests/test_cart.py": None}]))
    (commit,) = past.commits()
    judged, silent = replace(hole(), parent=commit.parent), replace(hole('"""A cart."""'), id="s", parent=commit.parent)
    about = {"repository": "shop"}
    with Results(tmp_path / "out", about) as results:
        for name, said in (("one", ANSWER), ("two", "sum(prices)"), ("three", "")):
            results.add(answer(0, name, hole=judged.id, said=said, wanted=ANSWER))
        results.add(answer(1, "one", hole=silent.id, said="x"))
        await judge([judged, silent], results, past, tmp_path, Check(RUN))
    with Results(tmp_path / "out", about) as again:
        found = {(each.hole, each.variant): each.tests for each in again.answers.values()}
    assert found == {("h", "one"): True, ("h", "two"): False, ("h", "three"): False, ("s", "one"): None}
