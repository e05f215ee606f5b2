"""All holes of a run asked, tree by tree, oldest first.

The workspace of a hole is a checkout of its parent commit, with an index of its own: nothing of the hole's future is
there. A tree's holes are asked in the order in which they were written, in one way after the other, so that the engine
reads what they share once. Knows what is answered already and asks the rest. A tree that git can not lay out here is
left out: a name that this system does not take, a file that was not cloned.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from qwen_lsp.errors import EngineError, EngineLost, NotDone
from qwen_lsp.eval.ask import Asked, Question, ask, depends, is_passing, question
from qwen_lsp.eval.history import Checkout, Repository
from qwen_lsp.eval.holes import Hole
from qwen_lsp.eval.progress import Tell
from qwen_lsp.eval.results import Answer, Results, Variant
from qwen_lsp.eval.retrieval import Tree
from qwen_lsp.eval.sample import by_tree
from qwen_lsp.index.build import build
from qwen_lsp.index.snapshot import Index
from qwen_lsp.index.store import Store
from qwen_lsp.settings import Settings

TRIES = 20  # of a busy engine, a second apart
SLOW_TRIES = 4  # of one that says nothing for minutes


@dataclass(frozen=True, slots=True)
class Questions:
    """Which holes are asked in which ways, of whom."""

    holes: Sequence[Hole]
    variants: Sequence[Variant]
    asked: Asked
    settings: Settings

    def left(self, hole: Hole, results: Results) -> list[Variant]:
        return [each for each in self.variants if (hole.id, each.name) not in results.answers]


async def ask_all(
    questions: Questions, repository: Repository, results: Results, folder: Path, tell: Tell
) -> Counter[str]:
    """Every answer is kept as soon as it is there. Returns how many holes could not be asked, by reason.

    `folder` gets the trees and their index. Raises EngineError.
    """
    n_total, checkout = len(questions.holes) * len(questions.variants), None
    left_out: Counter[str] = Counter()
    for parent, group in by_tree(questions.holes):
        if not any(questions.left(hole, results) for hole in group):
            continue
        tell(len(results.answers), n_total, "reading the tree")
        # The folder's name is in prompts, as the repository's.
        checkout = checkout or repository.checkout(folder / "trees" / repository.name)
        try:
            checkout.move(parent)
        except NotDone as error:
            left_out[error.message] += len(group)
            continue
        await _ask_tree(questions, checkout, group, results, lambda: tell(len(results.answers), n_total, ""))
        await asyncio.sleep(0)  # a cancel is heard between two trees, whatever answers at once
    return left_out


async def _ask_tree(
    questions: Questions, checkout: Checkout, group: Sequence[Hole], results: Results, answered: Callable[[], None]
) -> None:
    root = checkout.folder.resolve()
    with closing(Store(root.parents[1] / "index")) as store:
        build(store, root, n_workers=1, idle=False, progress=lambda _: None, cancelled=lambda: False)
        with closing(Index(store, root)) as index:
            tree = Tree(root, index)
            for variant in questions.variants:
                await _ask_in(variant, tree, questions, group, results, answered)


async def _ask_in(
    variant: Variant,
    tree: Tree,
    questions: Questions,
    group: Sequence[Hole],
    results: Results,
    answered: Callable[[], None],
) -> None:
    """One way, hole by hole. What is answered is laid out again where what follows depends on it."""
    is_left = [(hole.id, variant.name) not in results.answers for hole in group]
    n_needed = max((number for number, left in enumerate(is_left, 1) if left), default=0)
    last: Question | None = None
    for hole, left in zip(group[:n_needed], is_left, strict=False):
        if not left and not depends(variant):
            continue
        last = question(hole, variant, tree, questions.settings, last)
        if left:
            results.add(await _patiently(last, questions.asked))
            answered()


async def _patiently(asked: Question, of: Asked) -> Answer:
    """An engine keeps what it has read of a prompt that was too long for one try."""
    for left in reversed(range(TRIES)):
        try:
            return await ask(asked, of)
        except EngineLost:
            if left <= TRIES - SLOW_TRIES:
                raise
        except EngineError as error:
            if not left or not is_passing(error):
                raise
            await asyncio.sleep(1.0)
    raise AssertionError("the last try returns or raises")
