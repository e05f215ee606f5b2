"""One cold prompt, to the bare engine and to a fresh daemon: what the daemon costs beside its engine."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from inference.runner import CHUNK
from scripts.benches.inference_figures import Cold
from scripts.benches.inference_servers import EMBEDDED, ROOT, Engine, Server, homes
from scripts.benches.inference_traces import Ask

N_SHORT, SHORT = 3, 5_000  # tokens: such prompts are asked so often and the least counts, as other programs only add


def cold(engine: Engine, context: int, ask: Ask, start: Callable[[Path], Server], *, ours_first: bool = False) -> Cold:
    """The same prompts to all: they begin with another token each, so that none knows a part of the next one."""
    heads = [ask.prompt[0], *sorted(set(ask.prompt[1:]) - {ask.prompt[0]})][: N_SHORT if context <= SHORT else 1]
    prompts = [(head, *ask.prompt[1:]) for head in heads]
    first_s, cpu_s = _ours(prompts, ask.marks, start) if ours_first else (0.0, 0.0)
    raw = usual = _raw(engine, prompts)
    if engine == "llama":  # the daemon does without fused attention there
        usual = _raw(f"{engine}-default", prompts)
    if not ours_first:
        first_s, cpu_s = _ours(prompts, ask.marks, start)
    return Cold(engine, context, first_s, cpu_s, raw["seconds"], raw["cpu_s"], raw["chunk_s"], usual["cpu_s"])


def _ours(
    prompts: Sequence[tuple[int, ...]], marks: tuple[int, ...], start: Callable[[Path], Server]
) -> tuple[float, float]:
    """The least seconds to a first token of a fresh daemon, and the least of its CPU."""
    with homes() as home:
        server = start(home)
        try:
            answers = [server.ask(Ask(prompt, marks), max_tokens=1) for prompt in prompts]
        finally:
            server.stop()
    return min(each.first_token_s for each in answers), min(each.cpu_s for each in answers)


def chunk_s(engine: Engine, ask: Ask) -> float:
    """Seconds of the longest step of the bare engine in this prompt."""
    return _raw(engine, [ask.prompt])["chunk_s"]


def child(module: str, *arguments: str, work: Any) -> str:
    """A module of this folder with work on its stdin; its last line."""
    command = [sys.executable, "-m", f"scripts.benches.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(work), stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()[-1]


def _raw(kind: str, prompts: list[tuple[int, ...]]) -> dict[str, float]:
    found: dict[str, float] = json.loads(child("inference_raw", kind, str(EMBEDDED), str(CHUNK), work=prompts))
    return found
