"""`qwen-lsp eval --refactors N`: the engine asked, the totals as lines or JSON, and both kept in the run's folder."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from qwen_lsp import private
from qwen_lsp.engine.client import engine_for
from qwen_lsp.eval.checks import check_for
from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.plan import Plan
from qwen_lsp.eval.refactors import FILE_NAME, Row, Total, asked, totals

FIGURES = "refactors.json"


def main(plan: Plan, n_tasks: int, tell: Callable[[int, int, str], None], *, as_json: bool) -> int:
    """Raises NotDone or EngineError."""
    plan.out.mkdir(parents=True, exist_ok=True)
    rows = asyncio.run(_asked(plan, n_tasks, tell))
    found = totals(rows, plan.seed)
    figures = {"totals": [asdict(each) for each in found], "tasks": [asdict(row) for row in rows]}
    private.write(plan.out / FIGURES, json.dumps(figures, indent=1) + "\n")
    print("\r\033[K" if sys.stderr.isatty() else "", end="", file=sys.stderr)
    print(json.dumps({"out": str(plan.out), **figures}) if as_json else "\n".join(_lines(found, rows, plan.out)))
    return 0


async def _asked(plan: Plan, n_tasks: int, tell: Callable[[int, int, str], None]) -> tuple[Row, ...]:
    repository = Repository(plan.repository)
    check = None if plan.tests is None else check_for(repository.top, plan.settings, plan.tests)
    engine = engine_for(plan.settings)
    try:
        await engine.start()
        with tempfile.TemporaryDirectory(prefix="qwen-eval-") as folder:
            place = Path(folder)
            ctx = plan.settings.ctx
            return await asked(repository, n_tasks, plan.seed, engine, plan.out, place, check, tell, ctx)
    finally:
        await engine.close()


def _lines(found: Sequence[Total], rows: Sequence[Row], out: Path) -> Iterator[str]:
    if not found:
        yield "no Python file of this repository has a place for a mechanical refactor"
        return
    yield f"{'refactor':<12}{'tasks':>6}{'edits':>7}{'as wanted (95 %)':>26}{'tests':>8}{'tokens':>9}"
    for each in found:
        done = f"{each.done.mean:.1%} ({each.done.low:.1%} … {each.done.high:.1%})"
        tests = "-" if each.tests is None else f"{each.tests:.0%}"
        yield f"{each.kind:<12}{each.n:>6}{each.made:>7}{done:>26}{tests:>8}{each.tokens:>9,}"
    reasons = [row.reason for row in rows if row.reason]
    for reason in sorted(set(reasons), key=lambda each: (-reasons.count(each), each))[:5]:
        yield f"{reasons.count(reason):>6} x {reason}"
    yield f"{out / FIGURES}, {out / FILE_NAME}"
