"""Answers in holes tried by the repository's own tests, after all of them were asked. Only where the user trusts it.

The tree is that of the hole's parent commit. What the tests say is added to the answer that is kept already, so a
stopped run goes on here as well.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qwen_lsp.errors import NotDone
from qwen_lsp.eval.checks import OwnTests, copied
from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.holes import Hole
from qwen_lsp.eval.results import Answer, Results
from qwen_lsp.eval.sample import by_tree
from qwen_lsp.verify.verdict import Check


async def judge(holes: Sequence[Hole], results: Results, repository: Repository, folder: Path, check: Check) -> None:
    """Where tests tell nothing about a hole its answers stay as they are. `folder` is for trees."""
    checkout = None
    for parent, group in by_tree(holes):
        waiting = [(hole, _untested(hole, results)) for hole in group]
        if not any(answers for _, answers in waiting):
            continue
        checkout = checkout or repository.checkout(folder / "judged")
        try:
            checkout.move(parent)
        except NotDone:  # git can not lay it out here, and nothing was asked there either
            continue
        with copied(repository.top, checkout.folder) as shadow:
            own = OwnTests(shadow, check)
            for hole, answers in waiting:
                await _judged(hole, answers, own, results)


def _untested(hole: Hole, results: Results) -> list[Answer]:
    return [each for each in results.answers.values() if each.hole == hole.id and each.tests is None]


async def _judged(hole: Hole, answers: Sequence[Answer], own: OwnTests, results: Results) -> None:
    for answer in answers:
        passes = await own.hold(hole, answer.said)
        if passes is None:
            return
        results.add(replace(answer, tests=passes))
