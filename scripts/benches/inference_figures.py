"""What the inference bench measures: samples, and rows of figures made of them. Pure; goals are not known here."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any, Literal

Step = Literal["first", "key"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Tokens as the server counts them; `evaluated` has the prompt's and the answer's."""

    engine: str
    server: str
    context: int
    trace: str
    step: Step
    prompt: int
    reused: int
    answered: int
    evaluated: int
    first_token_s: float
    total_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Row:
    """All samples of one trace and step, on one server, at one context."""

    engine: str
    server: str
    context: int
    trace: str
    step: Step
    n: int
    evaluated: float  # medians where nothing else is said
    evaluated_p95: float
    to_first_max: int  # prompt tokens evaluated before the first of the answer
    reused: float
    first_token_s: float
    first_token_p95_s: float
    cpu_s: float  # mean: the counter is coarse

    @property
    def key(self) -> tuple[str, str, int, str, Step]:
        return self.engine, self.server, self.context, self.trace, self.step


@dataclass(frozen=True, slots=True)
class Cold:
    """One cold prefill. `chunk_s`: the raw engine's last chunk. `default_cpu_s`: with the kind of attention that the
    engine takes by itself, where ours is another."""

    engine: str
    context: int
    ours_s: float
    ours_cpu_s: float
    raw_s: float
    raw_cpu_s: float
    chunk_s: float
    default_cpu_s: float


@dataclass(frozen=True, slots=True)
class Preempted:
    """First tokens of typing requests, alone and while a prefill of `context` tokens ran on the same server."""

    engine: str
    server: str
    context: int
    chunk_s: float
    alone_s: tuple[float, ...]
    during_s: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Decoded:
    """Forced answers on one engine: `edits` with the old text as prediction, `others` with nothing to copy from."""

    engine: str
    n_windows: int  # all recorded edits, replayed without an engine
    replay_tokens: int
    replay_passes: int
    replay_median: float  # tokens per pass of the median window
    edits: "Forced"
    others: "Forced"


@dataclass(frozen=True, slots=True)
class Forced:
    """Answers drawn on the engine, with drafts and without. Seconds of decoding only; ratios are of each answer."""

    n_answers: int
    tokens: int
    passes: int
    wall_s: float
    cpu_s: float
    plain_wall_s: float
    plain_cpu_s: float
    wall_ratios: Sequence[float]
    cpu_ratios: Sequence[float]


def p95(values: Iterable[float]) -> float:
    """Nearest rank: of few values, the largest."""
    ordered = sorted(values)
    return ordered[-(-95 * len(ordered) // 100) - 1]


def rows(samples: Sequence[Sample]) -> list[Row]:
    """In the order in which the groups first appear."""
    groups: dict[tuple[str, str, int, str, Step], list[Sample]] = {}
    for s in samples:
        groups.setdefault((s.engine, s.server, s.context, s.trace, s.step), []).append(s)
    return [
        Row(
            *key,
            n=len(group),
            evaluated=median(s.evaluated for s in group),
            evaluated_p95=p95(s.evaluated for s in group),
            to_first_max=max(s.prompt - s.reused for s in group),
            reused=median(s.reused for s in group),
            first_token_s=median(s.first_token_s for s in group),
            first_token_p95_s=p95(s.first_token_s for s in group),
            cpu_s=mean(s.cpu_s for s in group),
        )
        for key, group in groups.items()
    ]


def thousands(n_tokens: int) -> str:
    return f"{n_tokens / 1000:g}k"


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def table_lines(table: Sequence[Row]) -> list[str]:
    """The figures as text, one block per engine and context. Times in milliseconds."""
    columns = "  {:20} {:14} {:>3} {:>9} {:>7} {:>8} {:>11} {:>9} {:>9}"
    names = ("trace", "server", "n", "evaluated", "p95", "reused", "first token", "p95", "CPU")
    lines: list[str] = []
    for engine, context in dict.fromkeys((row.engine, row.context) for row in table):
        here = [row for row in table if (row.engine, row.context) == (engine, context)]
        lines += ["", f"{engine}, {thousands(context)} tokens of context", columns.format(*names)]
        for row in sorted(here, key=lambda row: (row.trace, row.step, row.server != "ours")):
            name = row.trace if row.step == "key" else f"{row.trace}, first"
            counts = [f"{n:.5g}" for n in (row.evaluated, row.evaluated_p95, row.reused)]
            times = [f"{s * 1000:.1f}" for s in (row.first_token_s, row.first_token_p95_s, row.cpu_s)]
            lines.append(columns.format(name, row.server, row.n, *counts, *times))
    return lines


def as_json(values: Iterable[Any]) -> list[dict[str, Any]]:
    return [asdict(value) for value in values]
