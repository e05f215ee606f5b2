"""Refactors with a model that knows the answer, and with one that means harm: what applies, what gets through.

    scripts/bench refactor [REPO ...] [--hostile 5000] [--out FOLDER]

Mechanical tasks are cut from the Python files of each REPO (this repository, if none is named; it is only read). The
scripted model says the answer's edit blocks: all must apply and pass the post-condition on the syntax tree. The hostile
one says stale, ambiguous, escaping, breaking, random and truncated blocks: none may become a change. Exit code 1 if one
task fails or one hostile answer gets through. No model is loaded. Prints a table; writes refactor.json.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from qwen_lsp.context.pack import estimate
from qwen_lsp.engine.client import EngineState, Piece, Request, Usage
from qwen_lsp.eval.tasks import Task, tasks
from qwen_lsp.features.refactor.run import refactor
from qwen_lsp.features.refactor.values import Asked, Plan, Refactored
from qwen_lsp.features.refactor.workspace import Workspace, workspace
from qwen_lsp.index.rules import Skipped
from qwen_lsp.index.scan import opened, read, walk

REPOSITORY = Path(__file__).parents[2]
FILE_BYTES = 12_000  # larger files are shown in parts, which is another matter
MAX_TASKS = 200
SEED = 7


@dataclass(slots=True)
class Saying:
    """Says what is due for the file that is asked for."""

    answers: dict[str, str]
    state: EngineState

    async def start(self) -> None:
        """It is there."""

    def on_state(self, callback: Callable[[EngineState], None]) -> None:
        """It does not change."""

    async def close(self) -> None:
        """Nothing is held."""

    async def generate(self, request: Request) -> AsyncGenerator[Piece | Usage, None]:
        asked = "".join(getattr(each, "text", "") for each in request.prompt.segments)
        for path, answer in self.answers.items():
            if f"blocks for {path}" in asked or f"makes {path}" in asked or len(self.answers) == 1:
                yield Piece(answer)
                break
        yield Usage(0, 0, 0, 0, 0.0)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench refactor", description=__doc__.partition("\n")[0])
    parser.add_argument("repositories", nargs="*", type=Path, metavar="REPO", default=[REPOSITORY])
    parser.add_argument("--hostile", type=int, default=5_000, metavar="N", help="hostile answers (default: 5000)")
    parser.add_argument("--out", type=Path, default=Path("bench-results"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    found = [task for root in options.repositories for task in cut(root)][:MAX_TASKS]
    results = asyncio.run(measure(found, options.hostile))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "refactor.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    print(json.dumps(results, indent=2))
    return 0 if found and not results["failed"] and not results["got_through"] else 1


def cut(root: Path) -> Iterator[Task]:
    """The tasks of a repository's Python files."""
    top = opened(root.resolve())
    for entry in () if isinstance(top, Skipped) else walk(top):
        if isinstance(entry, Skipped) or not entry.path.endswith(".py") or entry.size > FILE_BYTES:
            continue
        source = read(b"" if isinstance(top, Skipped) else top.place, entry.path)
        if not isinstance(source, Skipped):
            yield from tasks(f"src/{Path(entry.path).name}", source[0].decode())


async def measure(found: Sequence[Task], n_hostile: int) -> dict[str, object]:
    done: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    failed: list[str] = []
    n_blocks_tokens = n_file_tokens = 0
    started = time.process_time()
    with tempfile.TemporaryDirectory(prefix="qwen-refactor-") as scratch:
        for number, task in enumerate(found):
            root = laid_out(Path(scratch) / str(number), task)
            answers = {path: blocks(path, task.before.get(path), text) for path, text in task.after.items()}
            asked[task.kind] += 1
            texts = await carried_out(task, workspace(root, {}), answers)
            if texts is not None and task.is_done(texts):
                done[task.kind] += 1
            else:
                failed.append(f"{task.kind}: {task.instruction}")
            n_blocks_tokens += sum(estimate(answer) for answer in answers.values())
            n_file_tokens += sum(estimate(text) for text in task.after.values())
        scripted_s = time.process_time() - started
        hostile = await attacked(found, n_hostile, Path(scratch))
    return {
        "tasks": dict(asked),
        "done": dict(done),
        "failed": failed,
        "tokens of blocks, estimated": n_blocks_tokens,
        "tokens of whole files, estimated": n_file_tokens,
        "CPU seconds": round(scripted_s, 1),
        **hostile,
    }


def laid_out(root: Path, task: Task) -> Path:
    for path, text in task.before.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8", newline="")
    return root


def plan_of(task: Task) -> Plan:
    return Plan(dict.fromkeys(task.before, ()), tuple(path for path in task.after if path not in task.before))


async def carried_out(task: Task, place: Workspace, answers: dict[str, str]) -> dict[str, str] | None:
    """The files after the refactor; None where it was refused."""
    asked = Asked(task.instruction, plan=plan_of(task), rounds=0)
    found = await refactor(asked, place, Saying(answers, EngineState("ready")))
    if not isinstance(found, Refactored):
        return None
    return {**task.before, **{path: text for path, text in found.texts.items() if text is not None}}


def blocks(path: str, before: str | None, after: str) -> str:
    """The edit blocks from one text to the other, each with as many lines around it as make it stand there once."""
    if before is None:
        return f"{path}\n<<<<<<< SEARCH\n=======\n{after}>>>>>>> REPLACE\n"
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


ATTACKS = ("stale", "ambiguous", "escaping", "breaking", "random", "truncated")
ELSEWHERE = ("../evil.py", "/etc/passwd", ".git/hooks/pre-commit", ".github/workflows/ci.yml", "other.py", ".env")


def attack(kind: str, path: str, text: str, chance: random.Random) -> str:
    """An answer of which nothing may become a change."""
    lines = [line for line in text.splitlines() if line.strip()]
    line = chance.choice(lines)
    head, middle, end = "<<<<<<< SEARCH\n", "=======\n", ">>>>>>> REPLACE\n"
    if kind == "stale":
        return f"{path}\n{head}{line}_of_an_older_version_{chance.random()}\n{middle}evil = 1\n{end}"
    if kind == "ambiguous":
        twice = [each for each in lines if lines.count(each) > 1]
        return f"{path}\n{head}{chance.choice(twice or ['no such line'])}\n{middle}evil = 1\n{end}"
    if kind == "escaping":
        return f"{chance.choice(ELSEWHERE)}\n{head}{chance.choice(['', line + chr(10)])}{middle}evil = 1\n{end}"
    if kind == "breaking":
        whole = "".join(f"{each}\n" for each in text.splitlines())
        return f"{path}\n{head}{whole}{middle}{whole}def broken(:\n    ((\n{end}"
    if kind == "random":
        return "".join(chance.choice("abc <>=/.\n#`SEARCH") for _ in range(chance.randrange(400)))
    full = f"{path}\n{head}{line}\n{middle}evil = 1\n{end}"
    return full[: chance.randrange(len(full) - len(end) - 1)]


async def attacked(found: Sequence[Task], n_hostile: int, scratch: Path) -> dict[str, object]:
    chance = random.Random(SEED)
    small = [(number, task) for number, task in enumerate(found) if len(task.before) == 1]
    through: list[str] = []
    tried: Counter[str] = Counter()
    places = {number: workspace(scratch / str(number), {}) for number, _ in small}
    for turn in range(n_hostile if small else 0):
        number, task = small[turn % len(small)]
        kind = ATTACKS[turn % len(ATTACKS)]
        ((path, text),) = task.before.items()
        answer = attack(kind, path, text, chance)
        asked = Asked(task.instruction, plan=Plan({path: ()}), scope=(path,), rounds=0)
        result = await refactor(asked, places[number], Saying({path: answer}, EngineState("ready")))
        tried[kind] += 1
        if isinstance(result, Refactored):
            through.append(f"{kind} on {path}: {answer[:200]}")
    return {"hostile": dict(tried), "got_through": through}
