"""Mechanical refactors asked of an engine, each held against its answer's syntax tree. No LSP, and nothing is written.

The files that change are given, so that what is measured is the edit and not the search for it. Where the repository's
own tests may run, those that touch the change are run with it.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from qwen_lsp.engine.client import Engine, Usage
from qwen_lsp.eval.across import across
from qwen_lsp.eval.checks import OwnTests, copied
from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.score import Interval, mean
from qwen_lsp.eval.tasks import KINDS, Task
from qwen_lsp.features.fill import Nothing
from qwen_lsp.features.refactor.indexed import indexed
from qwen_lsp.features.refactor.run import refactor
from qwen_lsp.features.refactor.values import Asked, Plan, Texts
from qwen_lsp.features.refactor.workspace import Workspace
from qwen_lsp.index.reading import read
from qwen_lsp.index.rules import Skipped
from qwen_lsp.index.scan import opened, walk
from qwen_lsp.verify.verdict import Check

FILE_NAME = "refactors.jsonl"
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of one task. `texts` of the files that changed, None where there was no edit, for `reason`."""

    task: Task
    texts: Texts | None = field(repr=False)
    reason: str
    usage: Usage | None
    n_rounds: int
    ms: float

    @property
    def is_done(self) -> bool:
        """The post-condition on the syntax trees holds."""
        if self.texts is None or None in self.texts.values():
            return False
        return self.task.is_done({**self.task.before, **{path: text or "" for path, text in self.texts.items()}})


def cut(root: Path) -> tuple[Task, ...]:
    """The tasks of a folder's Python files, as far as they count."""
    return tuple(across(dict(_sources(root))))


def drawn(tasks: Sequence[Task], most: int, seed: int) -> list[Task]:
    """Some of them, in a fixed order; the same ones for the same seed."""
    return sorted(random.Random(seed).sample(tasks, min(most, len(tasks))), key=lambda task: task.instruction)


def _sources(root: Path) -> Iterator[tuple[str, str]]:
    top = opened(root.resolve())
    for entry in () if isinstance(top, Skipped) else walk(top):
        if isinstance(entry, Skipped) or not entry.path.endswith(".py"):
            continue
        source = read(b"" if isinstance(top, Skipped) else top.place, entry.path)
        if not isinstance(source, Skipped):
            yield entry.path, source[0].decode()


def plan_of(task: Task) -> Plan:
    """Its files: those that change, those that are made."""
    return Plan(dict.fromkeys(task.before, ()), tuple(path for path in task.after if path not in task.before))


async def carry_out(task: Task, place: Workspace, engine: Engine, n_ctx: int | None = None) -> Carried:
    """Ask for it. Raises EngineError."""
    begun = time.perf_counter()
    found = await refactor(Asked(task.instruction, plan=plan_of(task), rounds=0), place, engine, n_ctx=n_ctx)
    ms = (time.perf_counter() - begun) * 1000
    if isinstance(found, Nothing):
        return Carried(task, None, found.reason, found.usage, 0, ms)
    return Carried(task, found.texts, "", found.usage, found.n_rounds, ms)


@dataclass(frozen=True, slots=True)
class Row:
    """What is kept of one task. tests: whether those that touch it pass; None: none do, or it was not changed."""

    model: str
    task: str
    kind: str
    made: bool
    done: bool
    reason: str
    tests: bool | None
    tokens: int
    rounds: int
    ms: float


@dataclass(frozen=True, slots=True)
class Total:
    """All tasks of one kind. done: the share that meets the post-condition; tests: of those that were run."""

    kind: str
    n: int
    made: int
    done: Interval
    tests: float | None
    tokens: int


async def asked(
    repository: Repository,
    n_tasks: int,
    seed: int,
    engine: Engine,
    out: Path,
    folder: Path,
    check: Check | None,
    tell: Callable[[int, int, str], None],
    n_ctx: int | None = None,
) -> tuple[Row, ...]:
    """The rows of a run; those that an earlier one left in `out` are not asked again. `folder` gets a tree of HEAD."""
    checkout = repository.checkout(folder / repository.name)
    checkout.move(repository.head)
    chosen = drawn(cut(checkout.folder), n_tasks, seed)
    model = engine.state.model
    kept = {row.task: row for row in _kept(out / FILE_NAME) if row.model == model}
    with ExitStack() as stack:
        place = stack.enter_context(indexed(checkout.folder, folder / "index"))
        own = None
        if check is not None:
            own = OwnTests(stack.enter_context(copied(repository.top, checkout.folder)), check)
        file = stack.enter_context(os.fdopen(os.open(out / FILE_NAME, _APPEND, 0o600), "a", encoding="utf-8"))
        for number, task in enumerate(chosen):
            tell(number, len(chosen), "refactors")
            if task.instruction not in kept:
                row = await _row(task, place, engine, own, n_ctx)
                kept[row.task] = row
                file.write(json.dumps(asdict(row)) + "\n")
                file.flush()
    return tuple(kept[task.instruction] for task in chosen)


async def _row(task: Task, place: Workspace, engine: Engine, own: OwnTests | None, n_ctx: int | None) -> Row:
    carried = await carry_out(task, place, engine, n_ctx)
    passes = None
    if own is not None and carried.texts is not None:
        passes = await own.hold_with(carried.texts, task.names)
    n_tokens = carried.usage.completion_tokens if carried.usage is not None else 0
    is_made = carried.texts is not None
    return Row(
        engine.state.model,
        task.instruction,
        task.kind,
        is_made,
        carried.is_done,
        carried.reason,
        passes,
        n_tokens,
        carried.n_rounds,
        round(carried.ms, 1),
    )


def _kept(file: Path) -> Iterator[Row]:
    """A line that a kill cut off is asked again."""
    for line in file.read_text("utf-8").splitlines() if file.exists() else ():
        try:
            yield Row(**json.loads(line))
        except (ValueError, TypeError):
            return


def totals(rows: Sequence[Row], seed: int) -> tuple[Total, ...]:
    """By kind."""
    found = []
    for kind in KINDS:
        own = [row for row in rows if row.kind == kind]
        tested = [row.tests for row in own if row.tests is not None]
        share = sum(tested) / len(tested) if tested else None
        done = mean([float(row.done) for row in own], [row.task for row in own], seed)
        found.append(Total(kind, len(own), sum(row.made for row in own), done, share, sum(row.tokens for row in own)))
    return tuple(total for total in found if total.n)
