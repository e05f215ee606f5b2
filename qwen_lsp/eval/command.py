"""`qwen-lsp eval` on the command line: options to a plan, a summary to lines, a recommendation to the settings."""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from qwen_lsp import settings_file
from qwen_lsp.engine.client import engine_for
from qwen_lsp.errors import EngineError, NotDone
from qwen_lsp.eval import refactoring
from qwen_lsp.eval.holes import KINDS, Kind
from qwen_lsp.eval.results import Variant
from qwen_lsp.eval.run import FIGURES, PAGE, Plan, run, show_progress, variants
from qwen_lsp.eval.summary import Row, Summary
from qwen_lsp.settings import LAYOUTS, Layout, overlay, parse, user_file


def main(options: argparse.Namespace) -> int:
    """0 done, 1 it could not, 2 wrong usage."""
    try:
        plan = _plan(options)
    except ValueError as error:
        print(f"qwen-lsp eval: {error}", file=sys.stderr)
        return 2
    try:
        if options.refactors:
            return refactoring.main(plan, options.refactors, show_progress, as_json=options.json)
        found = asyncio.run(_run(plan))
    except (NotDone, EngineError) as error:
        print(f"\nqwen-lsp eval: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nstopped; the same command goes on in {plan.out}", file=sys.stderr)
        return 1
    print("\r\033[K" if sys.stderr.isatty() else "", end="", file=sys.stderr)
    chosen = next((each for each in plan.variants if each.name == found.recommended), None)
    try:
        written = write_settings(chosen) if options.write_settings and chosen is not None else None
    except (NotDone, OSError) as error:
        print(f"qwen-lsp eval: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"out": str(plan.out), "written": written, **asdict(found)}))
    else:
        print("\n".join(_lines(found, plan, written)))
    return 0


async def _run(plan: Plan) -> Summary:
    engine = engine_for(plan.settings)
    try:
        return await run(plan, engine, show_progress)
    finally:
        await engine.close()


def _plan(options: argparse.Namespace) -> Plan:
    settings, _ = parse((), (), user_file())
    own = {"engine": options.engine, "model": options.model}
    given = {key: value for key, value in own.items() if value is not None}
    settings, problems = overlay(settings, given, "options")
    if problems:
        raise ValueError("; ".join(problems))
    chosen = _names(options.layouts, LAYOUTS)
    layouts = tuple(each for each in get_args(Layout) if each in chosen) or (settings.completion_layout,)
    contexts = tuple(_number(part) for part in options.context.split(","))
    logs = {"on": (True,), "off": (False,), "both": (True, False)}[options.log]
    kinds: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind in _names(options.kinds, KINDS))
    name = options.folder.resolve().name
    if options.holes < 1 or not kinds:
        raise ValueError("there must be a hole to ask")
    return Plan(
        options.folder,
        options.out or Path(f"eval-{name}"),
        variants(layouts, contexts, logs, baseline=options.baseline),
        options.holes,
        kinds,
        options.since,
        options.seed,
        _date(options.released),
        settings,
        options.tests,
    )


def _names(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(known)}")
    return names


def _number(text: str) -> int:
    if not text.strip().isdecimal() or int(text) > 131_072:
        raise ValueError(f"{text!r} is no number of tokens")
    return int(text)


def _date(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise ValueError(f"{text!r} is no date: write 2026-04-02") from None


def _lines(found: Summary, plan: Plan, written: str | None) -> Iterator[str]:
    shares = f"{'similar':>9}{'shown':>8}{'parses':>8}"
    yield f"{'asked with':<34}{'holes':>6}{'exact (95 %)':>24}{shares}{'ms':>8}{'tokens':>8}"
    for row in found.everything:
        yield _line(row)
    for kind, rows in found.by_kind.items():
        yield f"{kind}:"
        yield from (f"  {_line(row)}" for row in rows)
    for age, rows in found.by_age.items():
        yield f"{age}:"
        yield from (f"  {_line(row)}" for row in rows)
    yield f"{found.why}."
    if written is not None:
        yield f"written to {written}"
    yield f"{plan.out / PAGE}, {plan.out / FIGURES}"


def _line(row: Row) -> str:
    exact = f"{row.exact.mean:.1%} ({row.exact.low:.1%} … {row.exact.high:.1%})"
    evaluated = "-" if row.evaluated is None else f"{row.evaluated:.0f}"
    shares = f"{row.similarity.mean:>9.1%}{row.shown:>8.0%}{row.parses:>8.1%}"
    return f"{row.variant:<34}{row.n:>6}{exact:>24}{shares}{row.ms:>8.0f}{evaluated:>8}"


def write_settings(chosen: Variant) -> str:
    """Put layout and context into the user's settings file, keeping all else in it; its path."""
    file = user_file()
    found: dict[str, settings_file.Value] = {"completion.context_tokens": chosen.context_tokens}
    if chosen.layout is not None:
        found["completion.layout"] = chosen.layout
    settings_file.write(file, found)
    return str(file)
