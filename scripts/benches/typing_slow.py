"""Which keys took long beside the engine, and what that went to, from what `typing_server` recorded.

Pure but for reading the record. Where others use the processors, a step takes longer than its own processor time.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qwen_lsp.eval.replay import spread
from qwen_lsp.eval.window import Key

GOAL_MS = 5.0
N_SLOWEST = 8
LEAST_MS = 0.3  # of a part that is told


@dataclass(slots=True)
class Slow:
    """A key that asked. `before` and `behind` the engine: the steps of the server's loop, and their parts."""

    number: int
    ms: float  # beside the engine
    before_ms: float  # until the request went out
    before: list[Mapping[str, Any]] = field(default_factory=list)
    behind: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        return sum(float(step["cpu_ms"]) for step in (*self.before, *self.behind))


def found(record: Path, keys: Sequence[Key], begun_s: Sequence[float]) -> list[Slow]:
    """The keys that asked the model once, each with what the server did meanwhile."""
    rows = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    steps = [row for row in rows if "step" in row]
    sent = [row["sent"] for row in rows if row.get("priority") == "typing"]
    slow: list[Slow] = []
    for number, (key, begun) in enumerate(zip(keys, begun_s, strict=True)):
        ended = begun + key.total_ms / 1000
        went = [at for at in sent if begun <= at <= ended]
        if key.is_known or key.usage is None or len(went) != 1:
            continue
        heard = went[0] + float(key.usage["engine_ms"]) / 1000
        paused_ms = float(key.usage.get("paused_ms", 0.0))
        each = Slow(number, key.overhead_ms, (went[0] - begun) * 1000 - paused_ms)
        for step in steps:
            step_ended = step["at"] + step["ms"] / 1000
            if begun <= step_ended and step["at"] <= went[0]:
                each.before.append(step)
            elif heard <= step_ended and step["at"] <= ended:
                each.behind.append(step)
        slow.append(each)
    return slow


def told(slow: Sequence[Slow]) -> Iterator[str]:
    """Where the milliseconds of the keys over the goal go, against those of the others; then the slowest."""
    if cpu := spread([key.cpu_ms for key in slow]):
        yield f"  of keys that asked, their loop's processor ms: median {cpu.median}, p95 {cpu.p95}, most {cpu.most}"
    over = [key for key in slow if key.ms > GOAL_MS]
    within = [key for key in slow if key.ms <= GOAL_MS]
    for name, keys in ((f"over {GOAL_MS:g} ms", over), ("the others", within)):
        if keys:
            before = sum(key.before_ms for key in keys) / len(keys)
            behind = sum(key.ms - key.before_ms for key in keys) / len(keys)
            yield f"  keys {name}: {len(keys)}, {before:.1f} ms before the engine, {behind:.1f} behind; {_mean(keys)}"
    for key in sorted(slow, key=lambda key: -key.ms)[:N_SLOWEST]:
        yield f"    key {key.number}: {key.ms:.1f} ms, {key.before_ms:.1f} of it before the engine"
        yield f"      before: {_steps(key.before)}"
        yield f"      behind: {_steps(key.behind)}"


def _mean(keys: Sequence[Slow]) -> str:
    """Processor milliseconds of the parts."""
    total: Counter[str] = Counter()
    for key in keys:
        for step in (*key.before, *key.behind):
            for part, ms in step["parts"]:
                total[part] += ms
    return ", ".join(f"{part} {ms / len(keys):.2f}" for part, ms in total.most_common() if ms / len(keys) >= 0.05)


def _steps(steps: Sequence[Mapping[str, Any]]) -> str:
    told = []
    for step in steps:
        parts = ", ".join(f"{part} {ms:.1f}" for part, ms in step["parts"] if ms >= LEAST_MS)
        took = f"{step['step']} {step['ms']:.1f} ({step['cpu_ms']:.1f} of the processor"
        told.append(took + (f": {parts})" if parts else ")"))
    return "; ".join(told) or "nothing long"
