"""Tasks carried out by a model that knows the answer: what applies, holds, runs. Proves the machinery, no quality."""

import shlex
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import PurePosixPath

from qwen_lsp.context.pack import estimate
from qwen_lsp.engine.client import EngineState, Piece, Request, Usage
from qwen_lsp.eval.checks import LIMITS, OwnTests, is_test
from qwen_lsp.eval.refactors import Carried, carry_out
from qwen_lsp.eval.tasks import Task
from qwen_lsp.features.refactor.values import Texts
from qwen_lsp.features.refactor.workspace import Workspace
from qwen_lsp.text.secrets import masked
from qwen_lsp.verify.check import copy_of
from qwen_lsp.verify.verdict import Check

SOURCE_FOLDERS = ["src", "lib"]
_COMPILES = """
import pathlib
for path in {!r}:
    if pathlib.Path(path).exists():
        compile(pathlib.Path(path).read_bytes(), path, "exec")
"""
_IMPORTS = """
import importlib, sys
sys.path[:0] = {!r}
for name in {!r}:
    importlib.import_module(name)
"""


@dataclass(slots=True)
class Saying:
    """Says what is due for the file that is asked for."""

    answers: Mapping[str, str]
    state: EngineState = field(default_factory=lambda: EngineState("ready"))

    async def start(self) -> None:
        """It is there."""

    def on_state(self, callback: Callable[[EngineState], None]) -> None:
        """It does not change."""

    async def close(self) -> None:
        """Nothing is held."""

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        asked = "".join(getattr(each, "text", "") for each in request.prompt.segments)
        for path, answer in self.answers.items():
            if f"blocks for {path}." in asked or f"makes {path}." in asked or len(self.answers) == 1:
                yield Piece(answer)
                break
        yield Usage(0, 0, 0, 0, 0.0)


@dataclass(slots=True)
class Scripted:
    """Counts by kind of task. ran: what was run passes as it did before; tested: among that were tests."""

    asked: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)
    tested: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    block_tokens: int = 0  # estimated
    file_tokens: int = 0


async def scripted(tasks: Sequence[Task], place: Workspace, tests: str) -> Scripted:
    """Each task, and what is run with its change in one copy for all of them."""
    found = Scripted()
    async with copy_of(place.root, limits=LIMITS) as shadow:
        own = OwnTests(shadow, Check(tests, "tests") if tests else None)
        for task in tasks:
            found.asked[task.kind] += 1
            answers = answers_for(task)
            carried = await carry_out(task, place, Saying(answers))
            found.block_tokens += sum(map(estimate, answers.values()))
            found.file_tokens += sum(map(estimate, task.after.values()))
            if not carried.is_done or carried.texts is None:
                found.failed.append(f"{task.instruction} {_why(carried)}")
                continue
            found.done[task.kind] += 1
            broken, is_tested = await _broken(own, task, carried.texts)
            if broken:
                found.failed.append(f"{task.instruction} {broken}")
                continue
            found.ran[task.kind] += 1
            found.tested[task.kind] += is_tested
    return found


def _why(carried: Carried) -> str:
    return carried.reason or "The syntax trees differ."


async def _broken(own: OwnTests, task: Task, texts: Texts) -> tuple[str, bool]:
    """What holds no more, or ""; and whether tests were among what was run."""
    touched = own.touched_by(sorted(texts), task.names)
    is_tested = False
    for check in (*_checks(task, sorted(texts)), *([] if touched is None else [touched])):
        verdict = await own.verdict(check, texts)
        if not verdict.holds:
            return "; ".join(each.shown() for each in verdict.new)[:400] or verdict.reason, is_tested
        is_tested |= check is touched and verdict.base is not None and verdict.base.outcomes[0].passed
    return "", is_tested


def _checks(task: Task, paths: Sequence[str]) -> Iterator[Check]:
    """A module for another system can not be imported without the change either; then that says nothing."""
    modules = [name for path in paths if path in task.before and (name := module_of(path))]
    for what, code in (("compile", _COMPILES.format(paths)), ("import", _IMPORTS.format(SOURCE_FOLDERS, modules))):
        yield Check(f"{shlex.quote(sys.executable)} -c {shlex.quote(code)}", what)


def module_of(path: str) -> str:
    """What a file of a package is imported as; empty for tests, examples and scripts."""
    file = PurePosixPath(path)
    if file.parts[0] not in SOURCE_FOLDERS or len(file.parts) < 3 or is_test(path):
        return ""
    parts = file.with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def answers_for(task: Task) -> dict[str, str]:
    """The edit blocks of each file, in the words of the prompt, in which credentials are stars."""
    return {path: blocks(path, task.before.get(path), text) for path, text in task.after.items()}


def blocks(path: str, before: str | None, after: str) -> str:
    """The edit blocks from one text to the other, each with as many lines around it as make it stand there once."""
    if before is None:
        return f"{path}\n<<<<<<< SEARCH\n=======\n{after}>>>>>>> REPLACE\n"
    before, after = masked(before), masked(after)
    one, other = before.splitlines(keepends=True), after.splitlines(keepends=True)
    spans: list[list[int]] = []
    for tag, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        up = down = 0
        while a - up > 0 or b + down < len(one):
            text = "".join(one[a - up : b + down])
            if text and ("\n" + before).count("\n" + text) == 1:
                break
            up, down = min(up + 1, a), min(down + 1, len(one) - b)
        if spans and a - up < spans[-1][1]:
            spans[-1][1:] = [max(spans[-1][1], b + down), spans[-1][2], d + down + max(0, spans[-1][1] - b - down)]
        else:
            spans.append([a - up, b + down, c - up, d + down])
    return "".join(
        f"{path}\n<<<<<<< SEARCH\n{''.join(one[a:b])}=======\n{''.join(other[c:d])}>>>>>>> REPLACE\n"
        for a, b, c, d in spans
    )
