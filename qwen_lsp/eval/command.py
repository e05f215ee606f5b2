"""`qwen-lsp eval` on the command line: options to a plan, a summary to lines, a recommendation to the settings."""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn, get_args

from qwen_lsp import settings_file
from qwen_lsp.engine import egress
from qwen_lsp.engine.client import engine_for
from qwen_lsp.errors import EngineError, NotDone
from qwen_lsp.eval import refactoring
from qwen_lsp.eval.ask import lacking
from qwen_lsp.eval.facts import day
from qwen_lsp.eval.holes import KINDS, Kind
from qwen_lsp.eval.numbers import ends, point_ends, points, share
from qwen_lsp.eval.plan import Plan, variants
from qwen_lsp.eval.progress import Bar
from qwen_lsp.eval.replay import Typing
from qwen_lsp.eval.report import Found
from qwen_lsp.eval.results import Variant
from qwen_lsp.eval.run import FIGURES, PAGE, figures, run
from qwen_lsp.eval.score import Interval
from qwen_lsp.eval.summary import Row, Summary
from qwen_lsp.settings import LAYOUTS, Layout, Settings, overlay, parse, user_file


def main(options: argparse.Namespace) -> int:
    """0 done, 1 it could not, 2 wrong usage."""
    try:
        plan = _plan(options)
    except ValueError as error:
        print(f"qwen-lsp eval: {error}", file=sys.stderr)
        return 2
    egress.guard()
    for name in ("SIGTERM", "SIGHUP"):  # as Ctrl-C: the scratch folder goes, a window that is typed into ends
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _stop)
    bar = Bar()
    try:
        if plan.holes == 0:
            return refactoring.main(plan, bar, as_json=options.json)
        found = asyncio.run(_run(plan, bar))
    except (NotDone, EngineError) as error:
        bar.clear()
        print(f"qwen-lsp eval: {error.message}", file=sys.stderr)
        return 1
    except OSError as error:  # no room on the disk, a folder that went away
        bar.clear()
        print(f"qwen-lsp eval: {error}; the same command goes on in {plan.out}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        bar.clear()
        print(f"stopped; the same command goes on in {plan.out}", file=sys.stderr)
        return 1
    bar.clear()
    chosen = next((each for each in found.variants if each.name == found.summary.recommended), None)
    try:
        written = write_settings(chosen) if options.write_settings and chosen is not None else None
    except (NotDone, OSError) as error:
        print(f"qwen-lsp eval: {error}", file=sys.stderr)
        return 1
    if options.write_settings and written is None:
        print("your settings stay as they are", file=sys.stderr)
    if options.json:
        print(json.dumps({"out": str(plan.out), "written": written, **figures(found)}))
    else:
        print("\n".join(_lines(found, plan, written)))
    return 0


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


async def _run(plan: Plan, bar: Bar) -> Found:
    engine = engine_for(plan.settings)
    try:
        return await run(plan, engine, bar)
    finally:
        await engine.close()


def _plan(options: argparse.Namespace) -> Plan:
    settings, _ = parse((), (), user_file())
    own = {"engine": options.engine, "model": options.model, "remote.url": options.url}
    own |= {"remote.model": options.model} if options.engine == "openai" else {}
    given = {key: value for key, value in own.items() if value is not None}
    settings, problems = overlay(settings, given, "options")
    if problems:
        raise ValueError("; ".join(problems))
    ways = _ways(options, settings)
    kinds: tuple[Kind, ...] = tuple(kind for kind in KINDS if kind in _names(options.kinds, KINDS))
    name = os.fsencode(options.folder.resolve().name).decode("utf-8", "replace")
    if options.holes < 0 or options.refactors < 0 or options.keys < 0:
        raise ValueError("less than nothing can not be asked")
    if not kinds or (options.holes == 0 and options.refactors == 0):
        raise ValueError("there must be a hole to ask, or a refactor")
    if not options.folder.is_dir():
        raise ValueError(f"{options.folder} is not a folder")
    return Plan(
        repository=options.folder,
        out=options.out or Path(f"eval-{name}"),
        variants=ways,
        holes=options.holes,
        kinds=kinds,
        since=options.since,
        seed=options.seed,
        released=_date(options.released),
        baseline=options.baseline,
        keys=options.keys,
        against=options.against,
        settings=settings,
        refactors=options.refactors,
        tests=options.tests,
    )


def _ways(options: argparse.Namespace, settings: Settings) -> tuple[Variant, ...]:
    """A ctx that leaves out what is to be compared is wrong usage: the page would say that it does not help."""
    chosen = _names(options.layouts, LAYOUTS)
    layouts = tuple(each for each in get_args(Layout) if each in chosen) or (settings.completion_layout,)
    contexts = tuple(dict.fromkeys(_number(part) for part in options.context.split(",")))
    logs = {"on": (True,), "off": (False,), "both": (True, False)}[options.log]
    ways = variants(layouts, contexts, logs)
    if options.holes and (short := next(filter(None, (lacking(settings, each) for each in ways)), None)):
        raise ValueError(short)
    return ways


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
        return day(text)
    except ValueError:
        raise ValueError(f"{text!r} is no date: write 2026-04-02") from None


def _lines(found: Found, plan: Plan, written: str | None) -> Iterator[str]:
    told = found.summary
    shares = f"{'similar (95 %)':>24}{'shown':>8}{'parses':>8}"
    yield f"{'asked with':<34}{'holes':>6}{'exact (95 %)':>24}{shares}{'ms':>8}{'tokens':>8}"
    for row in told.everything:
        yield _line(row)
    for kind, rows in told.by_kind.items():
        yield f"{kind}:"
        yield from (f"  {_line(row, 32)}" for row in rows)
    for age, rows in told.by_age.items() if len(told.by_age) > 1 else ():
        yield f"{age}:"
        yield from (f"  {_line(row, 32)}" for row in rows)
    yield from _besides(told)
    if found.typing is not None:
        yield _typing(found.typing)
    if found.refactors is not None:
        yield from refactoring.lines(found.refactors)
    if found.against is not None:
        yield f"against {found.against.name}, this run minus that one, in points (95 %):"
        for each in found.against.rows:
            exact, similar = (
                f"{points(of.mean)} {point_ends(of)}" for of in (each.against.exact, each.against.similarity)
            )
            yield f"  {each.variant:<32}{each.n:>6}  exact {exact}, similar {similar}, {each.same:.0%} the same"
    yield from (f"{note}." for note in found.notes)
    yield f"{told.why}."
    if written is not None:
        yield f"written to {written}"
    yield f"{plan.out / PAGE}, {plan.out / FIGURES}"


def _line(row: Row, width: int = 34) -> str:
    evaluated = "-" if row.evaluated is None else f"{row.evaluated:.0f}"
    scores = f"{_spread(row.exact):>24}{_spread(row.similarity):>24}{row.shown:>8.0%}{row.parses:>8.1%}"
    return f"{row.variant:<{width}}{row.n:>6}{scores}{row.ms:>8.0f}{evaluated:>8}"


def _spread(found: Interval) -> str:
    return f"{share(found.mean)} {ends(found)}"


def _besides(told: Summary) -> Iterator[str]:
    """What no column tells."""
    if told.newer is not None:
        yield f"{share(told.newer)} of the holes are newer than the model; it may have seen the others"
    tested = [f"{row.variant} {share(row.tests)} of {row.n_tested}" for row in told.everything if row.n_tested]
    if tested:
        yield f"the repository's own tests pass with: {', '.join(tested)}"


def _typing(found: Typing) -> str:
    parts = [f"typing: {found.keys} keys"]
    if found.ms is not None:
        parts.append(f"{found.ms.median:,.0f} ms a key (p95 {found.ms.p95:,.0f})")
    if found.evaluated is None:
        parts.append("tokens evaluated are not told by this server")
    else:
        parts.append(f"{found.evaluated.median:,.0f} tokens evaluated (p95 {found.evaluated.p95:,.0f})")
    if found.reused is not None:
        parts.append(f"{found.reused:.0%} of the prompts reused")
    return ", ".join([*parts, f"{found.known:.0%} without a model"])


def write_settings(chosen: Variant) -> str:
    """Put layout and context into the user's settings file, keeping all else in it; its path."""
    file = user_file()
    found: dict[str, settings_file.Value] = {"completion.context_tokens": chosen.context_tokens}
    if chosen.layout is not None:
        found["completion.layout"] = chosen.layout
    settings_file.write(file, found)
    return str(file)
