"""The embedded model and edit blocks: what it draws under the grammar, and what saying an answer takes.

It is far too small to do what is asked. What it draws has the form and fits the file; how fast it says what it is made
to say is real work of the real engine, whoever chose the words.
"""

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from inference.tokenizer import from_folder
from qwen_lsp.engine.grammars import wire
from qwen_lsp.engine.http import Request
from qwen_lsp.eval.tasks import Task
from qwen_lsp.features.refactor import wording
from qwen_lsp.features.refactor.workspace import Refused, Workspace
from qwen_lsp.features.refactor.write import Job, request_for
from qwen_lsp.post.answers import parse
from qwen_lsp.post.blocks import Target, applied
from qwen_lsp.prompt.segments import Control
from scripts.benches.inference_servers import EMBEDDED, ROOT
from scripts.benches.refactor_scripted import blocks

DRAWN_TOKENS = 160  # of an answer: some blocks of some lines
FILE_CONTEXT = 4_096  # of which a third is for the file
MOST_PROMPT, MOST_ANSWER = 4_000, 2_500  # tokens: what fits in the bench's context together
TIMEOUT_S = 300.0

type Work = Sequence[tuple[Workspace, Task]]


@dataclass(slots=True)
class Drawn:
    """Blocks that are complete count. cut: answers whose tokens ran out, within a block as a rule."""

    answers: int = 0
    blocks: int = 0
    applied: int = 0
    cut: int = 0
    failed: list[str] = field(default_factory=list)


async def sampled(work: Work, n_answers: int, seed: int) -> Drawn:
    """Answers at temperature 1, of the daemon itself."""
    chance = random.Random(seed)
    files = [(place, task, path) for place, task in work for path in task.before]
    drawn = Drawn()
    address = _inference("start", "--engine", "llama").strip().splitlines()[-1]
    try:
        transport = httpx.AsyncHTTPTransport(uds=address.removeprefix("unix:"))
        async with httpx.AsyncClient(transport=transport, base_url="http://daemon", timeout=TIMEOUT_S) as client:
            for number in range(n_answers):
                place, task, path = chance.choice(files)
                await _draw(client, place, task, path, number, drawn)
    finally:
        _inference("stop")
    return drawn


async def _draw(client: httpx.AsyncClient, place: Workspace, task: Task, path: str, number: int, drawn: Drawn) -> None:
    asked = _request(place, task, path)
    if asked is None:
        return
    request, target = asked
    assert request.grammar is not None and target is not None  # so it is for files that are there
    body = {
        "prompt": _text(request),
        "max_tokens": DRAWN_TOKENS,
        "temperature": 1.0,
        "seed": number,
        "grammar": wire(request.grammar),
    }
    answer = await client.post("/v1/completions", json=body)
    answer.raise_for_status()
    (choice,) = answer.json()["choices"]
    found, unread = parse(choice["text"])
    result = applied(found, {path: target})
    drawn.answers += 1
    drawn.cut += choice["finish_reason"] == "length"
    drawn.blocks += len(found)
    drawn.applied += len(found) - len(result.failures)
    drawn.failed += [f"{path}: {failure.reason}" for failure in result.failures]
    if any("cut off" not in failure.reason for failure in unread) or (unread and choice["finish_reason"] != "length"):
        drawn.blocks += len(unread)
        drawn.failed += [f"{path}: {failure.reason}" for failure in unread]


def timed(work: Work, n_answers: int, seed: int) -> dict[str, Any]:
    """Seconds of decoding the tasks' answers, with prediction and without: as edit blocks, and as whole files."""
    tokenizer = from_folder(EMBEDDED)

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, parse_special=False)

    jobs: dict[str, list[dict[str, list[int]]]] = {"edits": [], "others": []}
    files = [(place, task, path) for place, task in work for path in task.before]
    for place, task, path in random.Random(seed).sample(files, len(files)):
        asked = _request(place, task, path)
        if len(jobs["edits"]) == n_answers or asked is None:
            continue
        prompt, prediction = ids(_text(asked[0])), ids(asked[0].prediction)
        block, whole = ids(blocks(path, task.before[path], task.after[path])), ids(task.after[path])
        if len(prompt) <= MOST_PROMPT and max(len(whole), len(block)) <= MOST_ANSWER:
            jobs["edits"].append({"prompt": prompt, "answer": block, "prediction": prediction})
            jobs["others"].append({"prompt": prompt, "answer": whole, "prediction": ids(task.before[path])})
    command = [sys.executable, "-m", "scripts.benches.inference_decode", "llama"]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(jobs), stdout=subprocess.PIPE, text=True, check=True)
    spent = json.loads(done.stdout.splitlines()[-1])
    return {"edit blocks": spent["edits"], "whole files": spent["others"]}


def _request(place: Workspace, task: Task, path: str) -> tuple[Request, Target | None] | None:
    """What `write` asks for this file first."""
    source = place.source(path)
    if isinstance(source, Refused):
        return None
    job = Job(path, source.text, source.language_id, instruction=task.instruction)
    request, target = request_for(job, source.text, "", wording.task(task.instruction, None), "", FILE_CONTEXT)
    return replace(request, max_tokens=DRAWN_TOKENS), target


def _text(request: Request) -> str:
    return "".join(each.token if isinstance(each, Control) else each.text for each in request.prompt.segments)


def _inference(*arguments: str) -> str:
    command = [sys.executable, "-m", "inference", *arguments]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT_S).stdout
