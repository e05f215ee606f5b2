"""`qwen-lsp eval --refactors N --holes 0`: refactors alone, asked, totalled, kept in the folder of the run."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from qwen_lsp import private
from qwen_lsp.engine.client import Engine, engine_for
from qwen_lsp.eval.checks import check_for
from qwen_lsp.eval.history import Repository
from qwen_lsp.eval.numbers import ends, share
from qwen_lsp.eval.plan import Plan
from qwen_lsp.eval.progress import Bar, Tell
from qwen_lsp.eval.refactors import FILE_NAME, Row, Total, asked, totals
from qwen_lsp.eval.scratch import scratch
from qwen_lsp.verify.verdict import Check

FIGURES = "refactors.json"


def main(plan: Plan, bar: Bar, *, as_json: bool) -> int:
    """Raises NotDone or EngineError."""
    plan.out.mkdir(parents=True, exist_ok=True)
    rows = asyncio.run(_asked(plan, bar))
    found = totals(rows, plan.seed)
    bar.clear()
    if as_json:
        print(json.dumps({"out": str(plan.out), "totals": [asdict(each) for each in found]}))
    else:
        print("\n".join((*lines(found), *_reasons(rows), f"{plan.out / FIGURES}, {plan.out / FILE_NAME}")))
    return 0


async def ask(
    plan: Plan, repository: Repository, engine: Engine, check: Check | None, folder: Path, tell: Tell
) -> tuple[Row, ...]:
    """The rows, kept in the run's folder with their totals. `folder` is for a tree."""
    place = folder / "refactors"
    place.mkdir()
    rows = await asked(repository, plan.refactors, plan.seed, engine, plan.out, place, check, tell, plan.settings.ctx)
    figures = {"totals": [asdict(each) for each in totals(rows, plan.seed)], "tasks": [asdict(row) for row in rows]}
    private.write(plan.out / FIGURES, json.dumps(figures, indent=1) + "\n")
    return rows


async def _asked(plan: Plan, tell: Tell) -> tuple[Row, ...]:
    repository = Repository(plan.repository)
    check = None if plan.tests is None else check_for(repository.top, plan.settings, plan.tests)
    engine = engine_for(plan.settings)
    try:
        await engine.start()
        with scratch() as folder:
            return await ask(plan, repository, engine, check, folder, tell)
    finally:
        await engine.close()


def lines(found: Sequence[Total]) -> Iterator[str]:
    """The totals as a table for people."""
    if not found:
        yield "no Python file of this repository has a place for a mechanical refactor"
        return
    yield f"{'refactor':<12}{'tasks':>6}{'edits':>7}{'as wanted (95 %)':>26}{'tests':>8}{'tokens':>9}"
    for each in found:
        done = f"{share(each.done.mean)} {ends(each.done)}"
        tests = "-" if each.tests is None else f"{each.tests:.0%}"
        yield f"{each.kind:<12}{each.n:>6}{each.made:>7}{done:>26}{tests:>8}{each.tokens:>9,}"


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    reasons = [row.reason for row in rows if row.reason]
    for reason in sorted(set(reasons), key=lambda each: (-reasons.count(each), each))[:5]:
        yield f"{reasons.count(reason):>6} x {reason}"
