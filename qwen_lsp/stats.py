"""Counts and percentiles of suggestions, in one small file of the user's. No text of anybody is ever in it.

Each window adds what it counted since the last time, so windows need not know each other. Nothing is sent anywhere.
"""

import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs

from qwen_lsp import private
from qwen_lsp.index.locks import locked

FILE_NAME = "stats.json"
VERSION = 1
LIMIT_BYTES = 1 << 20  # what we write has a few kilobytes
STEPS = 4  # of a doubling: a percentile is right to a fifth
PERCENTILES = (50, 95, 99)

# What is counted, in the order in which it is shown.
NAMES = (
    "requests",
    "shown",
    "accepted",
    "partly accepted",
    "rejected",
    "undone",
    "retained",
    "changed later",
    "empty",
    "from what was known",
    "model calls",
    "prompt tokens",
    "reused tokens",
    "evaluated tokens",
)


@dataclass(slots=True)
class Stats:
    """Counts by name, and how many milliseconds something took: by name, in steps that grow like a logarithm."""

    counts: Counter[str] = field(default_factory=Counter)
    times: dict[str, Counter[int]] = field(default_factory=dict)

    def count(self, name: str, n: int = 1) -> None:
        """`name` happened `n` times more."""
        assert name in NAMES, name
        self.counts[name] += n

    def took(self, name: str, ms: float) -> None:
        """One more measured time."""
        self.times.setdefault(name, Counter())[round(STEPS * math.log2(max(ms, 0.1)))] += 1

    def add(self, other: "Stats") -> None:
        """What another counted, too."""
        self.counts.update(other.counts)
        for name, times in other.times.items():
            self.times.setdefault(name, Counter()).update(times)

    def as_json(self) -> dict[str, Any]:
        """What is written to the file."""
        times = {name: {str(step): n for step, n in sorted(each.items())} for name, each in sorted(self.times.items())}
        return {"version": VERSION, "counts": dict(sorted(self.counts.items())), "times": times}

    def summary(self) -> dict[str, Any]:
        """What people and programs are shown: counts, percentiles in milliseconds."""
        times = {name: _percentiles(each) for name, each in sorted(self.times.items())}
        return {"counts": {name: self.counts[name] for name in NAMES}, "ms": times}

    def lines(self) -> list[str]:
        """For a person."""
        counts, found = self.counts, [f"{name:26} {self.counts[name]:12,}" for name in NAMES]
        if counts["shown"]:
            found.append(f"{'accepted of shown':26} {counts['accepted'] / counts['shown']:11.1%}")
        if judged := counts["retained"] + counts["changed later"] + counts["undone"]:
            found.append(f"{'retained of judged':26} {counts['retained'] / judged:11.1%}")
        if counts["prompt tokens"]:
            found.append(f"{'reused of prompt tokens':26} {counts['reused tokens'] / counts['prompt tokens']:11.1%}")
        for name, each in sorted(self.times.items()):
            told = ", ".join(f"p{rank} {ms:,.0f}" for rank, ms in _percentiles(each).items() if rank != "n")
            found.append(f"{name + ', ms':26} {told}")
        return found


def parsed(value: object) -> Stats:
    """What a file held; whatever is not as we write it counts for nothing."""
    if not isinstance(value, Mapping) or value.get("version") != VERSION:
        return Stats()
    found = Stats()
    for name, n in _table(value.get("counts")).items():
        if name in NAMES and _is_count(n):
            found.counts[name] = n
    for name, steps in _table(value.get("times")).items():
        kept = {int(step): n for step, n in _table(steps).items() if step.lstrip("-").isdecimal() and _is_count(n)}
        found.times[name] = Counter(kept)
    return found


def stats_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the counts are: in `QWEN_LSP_HOME`, else in the platform's data folder."""
    home = environ.get("QWEN_LSP_HOME")
    folder = Path(home).expanduser() if home else platformdirs.user_data_path("qwen-lsp", appauthor=False)
    return folder / FILE_NAME


def read(path: Path) -> Stats:
    """What was counted so far; nothing where there is no file that can be read."""
    try:
        with path.open("rb") as file:
            return parsed(json.loads(file.read(LIMIT_BYTES)))
    except (OSError, ValueError, RecursionError):
        return Stats()


def add(path: Path, fresh: Stats) -> None:
    """Add to the file, whole or not at all. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock")):
        total = read(path)
        total.add(fresh)
        private.write(path, json.dumps(total.as_json()))


def _percentiles(times: Counter[int]) -> dict[str, float]:
    n, seen = times.total(), 0
    found: dict[str, float] = {"n": n}
    wanted = list(PERCENTILES)
    for step, count in sorted(times.items()):
        seen += count
        while wanted and seen >= n * wanted[0] / 100:
            found[str(wanted.pop(0))] = round(2 ** (step / STEPS), 1)
    return found


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
