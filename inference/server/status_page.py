"""One page for people: the model, its memory, the cache, the last jobs' times and the shapes of their prompts.

Knows counts and seconds only: no token and no text of a prompt reaches it. The page has no script and loads nothing.
"""

import base64
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from inference.backends.base import ModelInfo
from inference.branches import Branch
from inference.metrics import PRIORITY_NAMES
from inference.recent import Answered
from inference.stats import Stats

HERE = Path(__file__).parent
STYLE = (HERE / "status.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
META_CSP = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
HEADERS = {
    "Content-Security-Policy": f"{META_CSP}; frame-ancestors 'none'",  # which a page may not say of itself
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
TEMPLATE = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
    (HERE / "status.html.jinja").read_text("utf-8")
)

MIB = 1 << 20
WIDTH, HEIGHT, LEFT, EDGE = 960, 220, 56, 12  # of the curve
LEAST_S = 1e-3  # what is faster is drawn as this
SHAPES, SHAPE_WIDTH = 12, 400
TREE_WIDTH = 600


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of all jobs that have it; `dots` are x, y and what a pointer is told."""

    name: str
    css: str
    points: str
    dots: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """`grid`: heights and their seconds."""

    n: int
    width: int
    height: int
    grid: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...]


def page(model: str, state: str, reason: str | None, info: ModelInfo | None, stats: Stats) -> Response:
    return HTMLResponse(render(model, state, reason, info, stats), headers=HEADERS)


def render(model: str, state: str, reason: str | None, info: ModelInfo | None, stats: Stats) -> str:
    """`info` is None until the model is loaded."""
    return TEMPLATE.render(
        model=model,
        state=state,
        reason=reason,
        meta_csp=META_CSP,
        style=Markup(STYLE),  # a file of ours; escaped it would not match its hash
        facts=list(_facts(info, stats)),
        tree=twigs(stats.held.tree),
        curve=curve(stats.recent),
        prompts=[shape(each) for each in reversed(stats.recent[-SHAPES:])],
    )


def _facts(info: ModelInfo | None, stats: Stats) -> Iterator[tuple[str, str]]:
    if info is not None:
        yield "engine", f"{info.engine}, {info.name}, context {info.n_ctx:,} tokens"
        if info.plan is not None:
            yield "memory", f"{info.plan.line} ({info.plan.why})"
    held, limit = stats.held, stats.cache_limit_bytes
    share = f", {stats.cache_bytes / limit:.0%}" if limit else ""
    yield "cache", f"{held.n_sequences} sequences, {held.n_tokens:,} tokens, {held.n_snapshots} snapshots"
    yield "", f"{stats.cache_bytes / MIB:,.1f} of {limit / MIB:,.0f} MiB{share}; {held.n_evicted} segments given up"
    yield "jobs", f"{stats.running} running, {stats.queued} queued, {sum(stats.jobs.values())} ended"
    yield "tokens", f"{stats.tokens_evaluated:,} evaluated, {stats.tokens_reused:,} reused"


def curve(recent: Sequence[Answered]) -> Curve:
    """Oldest job at the left. Decades of seconds, from a millisecond to the slowest job."""
    top = math.ceil(math.log10(max((10 * LEAST_S, *(job.total_s for job in recent)))))
    bottom = math.log10(LEAST_S)

    def y(seconds: float) -> float:
        part = (math.log10(max(seconds, LEAST_S)) - bottom) / (top - bottom)
        return round(HEIGHT - EDGE - part * (HEIGHT - 2 * EDGE), 1)

    grid = tuple((y(10.0**power), f"{10.0**power:g} s") for power in range(round(bottom), top + 1))
    lines = (
        _line("total", "total", recent, lambda job: job.total_s, y),
        _line("first token", "first", recent, lambda job: job.first_token_s, y),
        _line("queue", "queue", recent, lambda job: job.queue_s, y),
    )
    return Curve(len(recent), WIDTH, HEIGHT, grid, lines)


def _line(
    name: str,
    css: str,
    recent: Sequence[Answered],
    figure: Callable[[Answered], float | None],
    y: Callable[[float], float],
) -> Line:
    step = (WIDTH - LEFT - EDGE) / max(1, len(recent) - 1)
    dots = tuple(
        (round(LEFT + i * step, 1), y(seconds), f"{PRIORITY_NAMES[job.priority]}, {name} {seconds:.3f} s")
        for i, job in enumerate(recent)
        if (seconds := figure(job)) is not None
    )
    return Line(name, css, " ".join(f"{x},{height}" for x, height, _ in dots), dots)


@dataclass(frozen=True, slots=True)
class Twig:
    """A kept sequence as a bar that begins where it left another one, and ticks where a snapshot is."""

    what: str
    sizes: str
    start: float
    width: float
    ticks: tuple[float, ...]


def twigs(tree: Sequence[Branch]) -> list[Twig]:
    """All to the scale of the longest."""
    scale = TREE_WIDTH / max((branch.n_tokens for branch in tree), default=1)
    return [
        Twig(
            "in use" if branch.is_busy else "kept",
            f"{branch.n_tokens:,} tokens, {branch.n_shared:,} shared, {len(branch.stops)} snapshots",
            round(branch.n_shared * scale, 1),
            round(max(1.0, (branch.n_tokens - branch.n_shared) * scale), 1),
            tuple(round(stop * scale, 1) for stop in branch.stops if stop >= branch.n_shared),
        )
        for branch in tree
    ]


@dataclass(frozen=True, slots=True)
class Shape:
    """A prompt as a bar, and its figures."""

    priority: str
    outcome: str
    n_prompt: int
    n_reused: int
    n_evaluated: int
    n_answered: int
    sizes: str
    width: float
    reused_width: float
    borders: tuple[float, ...]


def shape(job: Answered) -> Shape:
    """All bars are as wide: a prompt's own parts are what there is to see."""
    ends = [sum(job.segments[: i + 1]) for i in range(len(job.segments))]
    scale = SHAPE_WIDTH / max(1, job.n_prompt)
    return Shape(
        PRIORITY_NAMES[job.priority],
        job.outcome,
        job.n_prompt,
        job.n_reused,
        job.n_evaluated,
        job.n_answered,
        " + ".join(f"{size:,}" for size in job.segments),
        SHAPE_WIDTH if job.n_prompt else 0,
        round(job.n_reused * scale, 1),
        tuple(round(end * scale, 1) for end in ends[:-1]),
    )
