"""Mechanical refactors asked of an engine, each held against its answer's syntax tree. No LSP, and nothing is written.

The files that change are given, so that what is measured is the edit and not the search for it.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from qwen_lsp.engine.client import Engine, Usage
from qwen_lsp.eval.across import across
from qwen_lsp.eval.tasks import Task
from qwen_lsp.features.fill import Nothing
from qwen_lsp.features.refactor.run import refactor
from qwen_lsp.features.refactor.values import Asked, Plan, Texts
from qwen_lsp.features.refactor.workspace import Workspace
from qwen_lsp.index.rules import Skipped
from qwen_lsp.index.scan import opened, read, walk


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
