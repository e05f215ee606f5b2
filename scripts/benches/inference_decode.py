"""Forced answers on one engine, with drafts and without: work on stdin as JSON, sums on stdout.

    python -m scripts.benches.inference_decode llama|mlx

The engine computes as always, drafts come and are judged as always; only what is drawn is replaced by the next token
of a text that is known. All is the daemon's own `Runner`; without drafts, its gate stays shut.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from inference.backends.base import Backend, EngineSettings
from inference.backends.mlx_draw import Drawing
from inference.backends.sequences import drawn_along
from inference.draft_gate import Gate
from inference.generation import Job
from inference.kept import pack
from inference.models.catalogue import EMBEDDED, load, resolve
from inference.runner import Run, Runner

SETTINGS = EngineSettings(n_ctx=8192, n_cells=16_384)


@dataclass(slots=True)
class Forced:
    """The answer that is drawn, whatever the model says, and how far it is."""

    answer: Sequence[int] = ()
    at: int = 0

    def draw(self) -> int:
        self.at += 1
        return self.answer[self.at - 1]


@dataclass(slots=True)
class Spent:
    """Sums over answers, and how much faster each was with drafts. Seconds of decoding, from the first token on."""

    n_answers: int = 0
    tokens: int = 0
    passes: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    plain_wall_s: float = 0.0
    plain_cpu_s: float = 0.0
    wall_ratios: list[float] = field(default_factory=list)
    cpu_ratios: list[float] = field(default_factory=list)


class Shut(Gate):
    """No drafts at all."""

    def limit(self, max_draft: int) -> int:
        return 0


@dataclass(slots=True)
class Watch:
    """Wall and CPU seconds since it was made."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)

    def read(self) -> tuple[float, float]:
        return time.perf_counter() - self.wall, time.process_time() - self.cpu


def main() -> None:
    engine, work = sys.argv[1], json.load(sys.stdin)
    forced = Forced()
    backend = load(resolve(EMBEDDED, "llama" if engine == "llama" else "mlx"), SETTINGS)
    _force(backend, engine, forced)
    print(json.dumps({kind: measure(backend, forced, work[kind]) for kind in ("edits", "others")}), flush=True)
    os._exit(0)  # engines take their time to end


def measure(backend: Backend, forced: Forced, jobs: Iterable[dict[str, list[int]]]) -> dict[str, Any]:
    """Each answer with drafts and without, so that a slow minute hits both, and each first by turns. One gate learns
    over them all."""
    spent, drafting, plain = Spent(), Runner(backend), Runner(backend)
    plain._gates = dict.fromkeys((True, False), Shut())
    for job in jobs:
        spent.n_answers += 1
        spent.tokens += len(job["answer"])
        order = (drafting, plain) if spent.n_answers % 2 else (plain, drafting)
        found = {runner: _answer(runner, job, forced) for runner in order}
        passes, wall, cpu = found[drafting]
        spent.passes, spent.wall_s, spent.cpu_s = spent.passes + passes, spent.wall_s + wall, spent.cpu_s + cpu
        _, plain_wall, plain_cpu = found[plain]
        spent.plain_wall_s, spent.plain_cpu_s = spent.plain_wall_s + plain_wall, spent.plain_cpu_s + plain_cpu
        spent.wall_ratios.append(plain_wall / wall)
        spent.cpu_ratios.append(plain_cpu / cpu)
    return {name: getattr(spent, name) for name in Spent.__slots__}


def _answer(runner: Runner, job: dict[str, list[int]], forced: Forced) -> tuple[int, float, float]:
    """Passes, wall and CPU seconds of one answer. Nothing is left of it."""
    prompt, answer, prediction = job["prompt"], job["answer"], job["prediction"]
    forced.answer, forced.at = answer, 0
    run = Run(Job("bench", tuple(prompt), len(answer), prediction=tuple(prediction)), pack(prompt))
    if not runner.begin(run):
        raise RuntimeError("no room for one job")
    while not run.answer:
        run.answer += runner.step(run)
    passes, watch = 1, Watch()
    while len(run.answer) < len(answer):
        run.answer += runner.step(run)
        passes += 1
    wall, cpu = watch.read()
    runner.end(run)
    runner.discard_idle()
    if run.answer != answer:
        raise RuntimeError("the forced answer was not followed")
    return passes, wall, cpu


def _force(backend: Any, engine: str, forced: Forced) -> None:
    """Put the forced tokens where the engine's own draws come out; it still makes those."""
    if engine == "llama":
        draw = backend._draw

        def drawing(index: int, sampler: Any) -> int:
            draw(index, sampler)
            return forced.draw()

        backend._draw = drawing
    else:
        kind: Any = Drawing
        draws = kind.draws

        def drawing_all(self: Drawing, logits: Any, draft: Sequence[int] = ()) -> tuple[int, ...]:
            draws(self, logits)
            return drawn_along(draft, lambda _: forced.draw())

        kind.draws = drawing_all


if __name__ == "__main__":
    main()
