"""`qwen-lsp eval`: cut holes from a repository's past, ask them in several ways, write what that says.

The workspace of a hole is a checkout of its parent commit, in a temporary folder with an index of its own: nothing of
the hole's future is there. A stopped run goes on; the same seed asks the same holes.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from qwen_lsp import __version__, private
from qwen_lsp.context.candidates import Memo
from qwen_lsp.engine.client import Engine
from qwen_lsp.errors import EngineError, NotDone
from qwen_lsp.eval.ask import Tree, ask, is_passing, show_buffers
from qwen_lsp.eval.checks import check_for
from qwen_lsp.eval.history import Change, Checkout, Commit, Repository
from qwen_lsp.eval.holes import KINDS, Hole, Kind
from qwen_lsp.eval.judged import judge
from qwen_lsp.eval.report import page
from qwen_lsp.eval.results import Answer, Results, Variant
from qwen_lsp.eval.sample import by_tree, sample
from qwen_lsp.eval.summary import Summary, summary
from qwen_lsp.index.build import build
from qwen_lsp.index.scan import why
from qwen_lsp.index.snapshot import Index
from qwen_lsp.index.store import Store
from qwen_lsp.settings import Layout, Settings

PAGE, FIGURES = "report.html", "figures.json"
BASELINE = Variant("llama.vim", is_baseline=True)
TRIES = 20  # of a busy engine, a second apart

type Tell = Callable[[int, int, str], None]  # done, of, what


@dataclass(frozen=True, slots=True)
class Plan:
    """What to ask. released: when the model came out, in seconds since 1970; None: not known."""

    repository: Path
    out: Path
    variants: tuple[Variant, ...]
    holes: int = 40  # of each kind
    kinds: tuple[Kind, ...] = KINDS
    since: str = ""
    seed: int = 0
    released: int | None = None
    settings: Settings = field(default_factory=Settings)
    tests: str | None = None  # judge answers by the repository's own tests: by this command, or "": a proposed one


def variants(
    layouts: Sequence[Layout], contexts: Sequence[int], logs: Sequence[bool], *, baseline: bool
) -> tuple[Variant, ...]:
    """All combinations, named by what differs; the first is what the others are held against."""
    found = []
    for layout, context, log in product(layouts, contexts, logs):
        parts: list[str] = [layout] if len(layouts) > 1 else []
        parts += [f"{context:,} tokens of context" if context else "no context"] if len(contexts) > 1 else []
        parts += ["with log" if log else "without log"] if len(logs) > 1 else []
        found.append(Variant(", ".join(parts) or layout, layout, context, log))
    return (*found, *((BASELINE,) if baseline else ()))


async def run(plan: Plan, engine: Engine, tell: Tell) -> Summary:
    """Ask all holes that are not answered yet, then write report and figures. Raises NotDone or EngineError."""
    repository = Repository(plan.repository)
    tell(0, 0, "cutting holes")
    found = sample(repository, plan.holes, plan.seed, plan.since, plan.kinds, _admitted(repository))
    if not found:
        raise NotDone("no commit of this repository has a place to cut a hole from")
    await engine.start()
    about = _about(plan, engine, found)
    with Results(plan.out, about) as results, tempfile.TemporaryDirectory(prefix="qwen-eval-") as folder:
        await _ask_all(plan, engine, repository, found, results, Path(folder), tell)
        if plan.tests is not None:
            await judge(found, results, repository, Path(folder), check_for(repository.top, plan.settings, plan.tests))
        answers = list(results.answers.values())
    told = summary(answers, plan.variants, plan.released, plan.seed)
    private.write(plan.out / PAGE, page(_head(about), told, answers, plan.variants))
    figures = {"about": about, "summary": asdict(told), "n_answers": len(answers)}
    private.write(plan.out / FIGURES, json.dumps(figures, indent=1) + "\n")
    return told


async def _ask_all(
    plan: Plan,
    engine: Engine,
    repository: Repository,
    found: Sequence[Hole],
    results: Results,
    folder: Path,
    tell: Tell,
) -> None:
    n_total, checkout = len(found) * len(plan.variants), None
    for parent, group in by_tree(found):
        left = [hole for hole in group if any((hole.id, each.name) not in results.answers for each in plan.variants)]
        if not left:
            continue
        tell(len(results.answers), n_total, "reading the tree")
        checkout = checkout or repository.checkout(folder / repository.top.name)
        await _ask_tree(plan, engine, checkout, parent, left, results, lambda: tell(len(results.answers), n_total, ""))


async def _ask_tree(
    plan: Plan,
    engine: Engine,
    checkout: Checkout,
    parent: str,
    left: Sequence[Hole],
    results: Results,
    answered: Callable[[], None],
) -> None:
    checkout.move(parent)
    root = checkout.folder.resolve()
    with closing(Store(checkout.folder.parent / "index")) as store:
        build(store, root, n_workers=1, idle=False, progress=lambda _: None, cancelled=lambda: False)
        with closing(Index(store, root)) as index:
            tree = Tree(root, index, Memo())
            for hole in left:
                show_buffers(hole, tree, shown=True)
                for variant in plan.variants:
                    if (hole.id, variant.name) not in results.answers:
                        results.add(await _patiently(hole, variant, tree, engine, plan.settings))
                        answered()
                show_buffers(hole, tree, shown=False)


async def _patiently(hole: Hole, variant: Variant, tree: Tree, engine: Engine, settings: Settings) -> Answer:
    for left in reversed(range(TRIES)):
        try:
            return await ask(hole, variant, tree, engine, settings)
        except EngineError as error:
            if not left or not is_passing(error):
                raise
            await asyncio.sleep(1.0)
    raise AssertionError("the last try returns or raises")


def _admitted(repository: Repository) -> Callable[[Commit, Change], bool]:
    """What the repository's own ignore rules leave out is not asked about either."""

    def admitted(commit: Commit, change: Change) -> bool:
        skipped = why(repository.top, repository.top / change.path)
        return skipped is None or skipped.reason == "unreadable"  # it may be gone by now

    return admitted


def _about(plan: Plan, engine: Engine, found: Sequence[Hole]) -> dict[str, Any]:
    """What makes a run this one and no other."""
    return {
        "repository": plan.repository.resolve().name,
        "newest": max(hole.id for hole in found if hole.time == max(each.time for each in found)),
        "holes": len(found),
        "from": time.strftime("%Y-%m-%d", time.gmtime(min(hole.time for hole in found))),
        "to": time.strftime("%Y-%m-%d", time.gmtime(max(hole.time for hole in found))),
        "engine": plan.settings.engine,
        "model": engine.state.model,
        "seed": plan.seed,
        "version": __version__,
        "variants": [each.name for each in plan.variants],
    }


def _head(about: dict[str, Any]) -> dict[str, Any]:
    """The same for people."""
    shown = {key: about[key] for key in ("repository", "engine", "model", "holes", "seed")}
    return {**shown, "commits": f"{about['from']} to {about['to']}", "qwen-lsp": about["version"]}


def show_progress(done: int, total: int, what: str) -> None:
    """A bar on a terminal, nothing in a log."""
    if sys.stderr.isatty():
        share = 30 * done // total if total else 0
        bar = f"[{'#' * share}{' ' * (30 - share)}] {done:,} of {total:,}"
        print(f"\r\033[K{bar if total else ''} {what}", end="", file=sys.stderr, flush=True)
