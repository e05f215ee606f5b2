"""`qwen-lsp refactor`: what an editor has, from a shell. Prints a diff, and writes only when told to.

Exit codes: 0 done and nothing found by checks, 1 it could not or checks found something, 2 wrong usage. stdout has the
diff as `git apply` takes it, or the report; what is told on the way goes to stderr.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from qwen_lsp import settings as settings_file
from qwen_lsp.disk import apply
from qwen_lsp.engine import egress
from qwen_lsp.engine.client import engine_for
from qwen_lsp.errors import QwenError
from qwen_lsp.features.fill import Nothing
from qwen_lsp.features.refactor.indexed import indexed
from qwen_lsp.features.refactor.report import diff, report
from qwen_lsp.features.refactor.run import refactor
from qwen_lsp.features.refactor.values import MAX_INSTRUCTION_CHARS, Asked, FileChange, Plan, Refactored
from qwen_lsp.features.refactor.workspace import BOM, Refused, Workspace
from qwen_lsp.index.database import index_folder, store_folder
from qwen_lsp.index.repository import repository_top
from qwen_lsp.settings import Settings
from qwen_lsp.verify.rounds import checking
from qwen_lsp.verify.verdict import Check


def run(options: argparse.Namespace) -> int:
    """The command."""
    egress.guard()
    here = Path.cwd()
    root = repository_top(here) or here
    wrong = _wrong(options, root)
    if wrong:
        _tell(wrong)
        return 2
    settings, problems = settings_file.parse((), [root / settings_file.FILE_NAME], settings_file.user_file())
    for problem in problems:
        _tell(problem)
    try:
        with indexed(root, store_folder(root, index_folder())) as place:
            found = asyncio.run(_made(options, place, settings))
    except (OSError, sqlite3.Error) as error:
        _tell(str(error))
        return 1
    except KeyboardInterrupt:
        _tell("stopped; nothing was changed")
        return 1
    if isinstance(found, Nothing):
        _tell(found.reason)
        if options.json:
            print(json.dumps({"done": False, "reason": found.reason}))
        return 1
    return _shown(options, place, found)


def _wrong(options: argparse.Namespace, root: Path) -> str:
    """What is wrong with the usage, before anything is started; or ""."""
    if not options.instruction.strip():
        return "the instruction is empty: say what shall change"
    if len(options.instruction) > MAX_INSTRUCTION_CHARS:
        return f"the instruction is longer than {MAX_INSTRUCTION_CHARS:,} characters"
    if not all(command.strip() for command in options.check):
        return "--check needs a command"
    top = os.path.realpath(root)
    outside = [path for path in options.path if not Path(os.path.realpath(path)).is_relative_to(top)]
    return f"--path {outside[0]} lies outside of {root}" if outside else ""


async def _made(options: argparse.Namespace, place: Workspace, settings: Settings) -> Refactored | Nothing:
    checks = tuple(Check(command) for command in options.check) or None
    asked = _asked(options.instruction, options.path, place)
    engine = engine_for(settings)
    try:
        async with checking(place.root, settings, {}, _tell, checks) as verify:
            asked = replace(asked, rounds=settings.refactor_rounds)
            return await refactor(asked, place, engine, verify, _tell, settings.ctx)
    except QwenError as error:
        return Nothing(error.message)
    finally:
        await engine.close()


def _asked(instruction: str, paths: Sequence[Path], place: Workspace) -> Asked:
    """What was named with --path is all that may change."""
    root = Path(os.path.realpath(place.root))
    names = [Path(os.path.relpath(os.path.realpath(path), root)).as_posix() for path in paths]
    if not names:
        return Asked(instruction)
    files = [name for name, path in zip(names, paths, strict=True) if path.is_file()]
    folders = [f"{name}/" for name, path in zip(names, paths, strict=True) if not path.is_file()]
    scope = None if "./" in folders else tuple(dict.fromkeys((*files, *folders)))
    return Asked(instruction, files[0] if files else "", scope=scope, plan=_planned(files, folders))


def _planned(files: Sequence[str], folders: Sequence[str]) -> Plan | None:
    """A single file needs no plan."""
    return Plan({files[0]: ()}) if len(files) == 1 and not folders else None


def _shown(options: argparse.Namespace, place: Workspace, found: Refactored) -> int:
    diffs = [diff(_marked(place, change)) for change in found.changes]
    reason = ""
    if options.apply and not found.findings:
        try:
            apply(place, found)
        except (QwenError, OSError) as error:
            reason = error.message if isinstance(error, QwenError) else str(error)
    elif options.apply:
        reason = "not applied: checks found something new"
    applied = options.apply and not reason
    markdown = report(options.instruction.strip(), found)
    if options.json:
        told = {"passed": found.passed, "findings": found.findings, "unchecked": found.unchecked, "risks": found.risks}
        told["failing"] = found.failing
        cost = {"rounds": found.n_rounds, "usage": asdict(found.usage)}
        shown = {"diffs": diffs, "report": markdown}
        print(json.dumps({"done": True, "applied": applied, "reason": reason} | shown | told | cost))
    else:
        print(markdown if options.report else "".join(diffs), end="")
        for line in (
            *(f"passed: {each}" for each in found.passed),
            *(f"fails as before, with nothing new: {each}" for each in found.failing),
            *(f"found: {each}" for each in found.findings),
        ):
            _tell(line)
        if found.unchecked:
            _tell(f"not checked: {found.unchecked}")
        if reason or applied:
            _tell(reason or f"changed: {', '.join(change.path for change in found.changes)}")
    return 1 if reason or found.findings else 0


def _marked(place: Workspace, change: FileChange) -> FileChange:
    """With the byte order mark that the file begins with, which is no part of its text to us."""
    source = place.source(change.old_path) if change.before is not None else None
    if source is None or isinstance(source, Refused) or not source.has_bom:
        return change
    after = change.after if change.after is None else BOM + change.after
    return replace(change, before=BOM + (change.before or ""), after=after)


def _tell(line: str) -> None:
    print(f"qwen-lsp: {line}", file=sys.stderr, flush=True)
