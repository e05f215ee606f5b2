"""Refactors with a model that knows the answer, with one that means harm, and with the embedded one.

    scripts/bench refactor [REPO ...] [--tasks 100] [--tests CMD] [--hostile 5000] [--samples 200] [--timed 24]

Mechanical tasks (rename, move, signature, constant) are cut from each REPO's Python files, across files; a REPO is only
read. The scripted model says the answer's edit blocks: all must apply, have the answer's syntax trees, and pass what is
run in a shadow copy: every changed file compiles, what could be imported before can be, and with --tests the
repository's own tests that touch the change. The hostile one says stale, ambiguous, escaping, breaking, vanishing,
random and truncated blocks: none may become a change. The embedded model draws blocks under the grammar, at
temperature 1: all must apply. Then it is made to say the answers, with prediction and without, to take the time.
Exit code 1 where one of these fails. Prints tables; writes refactor.json.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from qwen_lsp.eval.refactors import cut, drawn
from qwen_lsp.eval.tasks import KINDS, Task
from qwen_lsp.features.refactor.indexed import indexed
from qwen_lsp.features.refactor.workspace import Workspace
from qwen_lsp.verify.trust import trust
from scripts.benches import refactor_engine
from scripts.benches.refactor_hostile import attacked
from scripts.benches.refactor_scripted import scripted

REPOSITORY = Path(__file__).parents[2]
SEED = 7


@dataclass(frozen=True, slots=True)
class Repository:
    """One that tasks were cut from, indexed."""

    name: str
    place: Workspace
    tasks: Sequence[Task]


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="qwen-refactor-") as home:
        os.environ["QWEN_LSP_HOME"] = home  # trust, index, copies and the daemon are this run's own
        with ExitStack() as stack:
            found = [_opened(root.resolve(), options.tasks, stack) for root in options.repositories]
            results: dict[str, Any] = {}
            asyncio.run(_measured(found, options, results))
    print("\n".join(_lines(results)))
    return 0 if _holds(results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/bench refactor", description=__doc__.partition("\n")[0])
    parser.add_argument("repositories", nargs="*", type=Path, metavar="REPO", default=[REPOSITORY])
    parser.add_argument("--tasks", type=int, default=100, metavar="N", help="of each repository (default: 100)")
    parser.add_argument(
        "--tests", default="", metavar="CMD", help="also run tests that touch a change: a pytest command"
    )
    parser.add_argument("--hostile", type=int, default=5_000, metavar="N", help="hostile answers (default: 5000)")
    parser.add_argument("--samples", type=int, default=200, metavar="N", help="answers drawn (default: 200)")
    parser.add_argument("--timed", type=int, default=24, metavar="N", help="answers said for the time (default: 24)")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), metavar="FOLDER")
    return parser


def _opened(root: Path, most: int, stack: ExitStack) -> Repository:
    trust(root)
    index = Path(os.environ["QWEN_LSP_HOME"]) / "index" / root.name
    place = stack.enter_context(indexed(root, index))
    return Repository(root.name, place, drawn(cut(root), most, SEED))


async def _measured(found: Sequence[Repository], options: argparse.Namespace, results: dict[str, Any]) -> None:
    """Into `results`, and to the disk after each part: the whole takes a quarter of an hour."""
    options.out.mkdir(parents=True, exist_ok=True)

    def keep(name: str, value: Any) -> None:
        results[name] = value
        (options.out / "refactor.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
        print(f"{name}: measured", file=sys.stderr, flush=True)

    tables = {each.name: await scripted(each.tasks, each.place, options.tests) for each in found}
    keep("scripted", {name: columns(table) for name, table in tables.items()})
    places = [(each.place, each.tasks) for each in found]
    keep("hostile", columns(await attacked(places, options.hostile, SEED)))
    everything = [(each.place, task) for each in found for task in each.tasks]
    if options.samples:
        keep("sampled", columns(await refactor_engine.sampled(everything, options.samples, SEED)))
    if options.timed:
        keep("timed", await asyncio.to_thread(refactor_engine.timed, everything, options.timed, SEED))


def columns(table: Any) -> dict[str, Any]:
    """A table by the names of its columns. `asdict` would make of a Counter one of pairs."""
    return {each.name: getattr(table, each.name) for each in fields(table)}


def _holds(results: Mapping[str, Any]) -> bool:
    tables = results["scripted"].values()
    drawn = results.get("sampled")
    return (
        all(any(each["asked"].values()) and not each["failed"] for each in tables)
        and not results["hostile"]["through"]
        and (drawn is None or drawn["applied"] == drawn["blocks"] > 0)
    )


def _lines(results: Mapping[str, Any]) -> list[str]:
    lines = [f"{'scripted':<24}{'tasks':>6}{'done':>6}{'ran':>6}{'tested':>8}{'tokens':>9}{'whole':>9}"]
    for name, each in results["scripted"].items():
        for kind in KINDS:
            asked, done = each["asked"].get(kind, 0), each["done"].get(kind, 0)
            ran, tested = each["ran"].get(kind, 0), each["tested"].get(kind, 0)
            lines.append(f"{name + ' ' + kind:<24}{asked:>6}{done:>6}{ran:>6}{tested:>8}")
        lines.append(f"{name:<24}{'':>26}{each['block_tokens']:>9,}{each['file_tokens']:>9,}")
        lines += [f"FAILED: {line}" for line in each["failed"]]
    hostile = results["hostile"]
    lines.append(f"hostile: {sum(hostile['tried'].values()):,} tried, {len(hostile['through'])} got through")
    lines += [f"THROUGH: {line}" for line in hostile["through"]]
    drawn = results.get("sampled")
    if drawn is not None:
        lines.append(
            f"drawn by the embedded model: {drawn['answers']} answers, {drawn['blocks']} blocks, "
            f"{drawn['applied']} apply; {drawn['cut']} answers cut off"
        )
        lines += [f"DOES NOT APPLY: {line}" for line in drawn["failed"]]
    for what, row in results.get("timed", {}).items():
        passes, plain = row["tokens"] / max(row["passes"], 1), row["plain_wall_s"] / max(row["wall_s"], 1e-9)
        lines.append(
            f"{what}: {row['n_answers']} answers, {row['tokens']:,} tokens, {passes:.1f} a pass; with prediction "
            f"{row['wall_s']:.1f} s, without {row['plain_wall_s']:.1f} s ({plain:.2f}x; CPU {row['cpu_s']:.1f}, "
            f"{row['plain_cpu_s']:.1f} s)"
        )
    return lines
