"""A run as one HTML page that needs nothing else: tables, pictures, the best and the worst answers.

The page shows source text of the repository: it is for its owner. Knows no engine and computes no score.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from qwen_lsp.eval import plots
from qwen_lsp.eval.results import Answer, Variant
from qwen_lsp.eval.score import Interval
from qwen_lsp.eval.summary import Summary

MOST_CASES = 8
MOST_REASONS = 8
_TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True, slots=True)
class Cases:
    """Answers of the first variant worth reading. best: right and long; worst: shown and far from right."""

    best: tuple[Answer, ...]
    worst: tuple[Answer, ...]


def cases(answers: Sequence[Answer], variant: str) -> Cases:
    """At most MOST_CASES of each, in a fixed order."""
    own = [answer for answer in answers if answer.variant == variant]
    right = sorted((a for a in own if a.exact), key=lambda a: (-len(a.wanted), a.hole))
    wrong = sorted((a for a in own if a.said and not a.exact), key=lambda a: (a.similarity, -len(a.said), a.hole))
    return Cases(tuple(right[:MOST_CASES]), tuple(wrong[:MOST_CASES]))


def reasons(answers: Sequence[Answer], variant: str) -> list[tuple[str, int]]:
    """Why holes stayed empty, the most frequent first."""
    counts = Counter(answer.reason for answer in answers if answer.variant == variant and not answer.said)
    return sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:MOST_REASONS]


def page(about: Mapping[str, Any], found: Summary, answers: Sequence[Answer], variants: Sequence[Variant]) -> str:
    """The page. `about`: names and values for its head."""
    first = variants[0].name
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"share": _share, "interval": _interval, "ms": _ms}
    return environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        about=about,
        found=found,
        first=first,
        cases=cases(answers, first),
        reasons=reasons(answers, first),
        pictures=_pictures(found, answers, variants),
    )


def _pictures(found: Summary, answers: Sequence[Answer], variants: Sequence[Variant]) -> list[tuple[str, str]]:
    if not plots.is_available() or not found.everything:
        return []
    spread = [(each.name, [a.ms for a in answers if a.variant == each.name] or [0.0]) for each in variants]
    pictures = [
        ("Exactly right", plots.intervals([(r.variant, r.exact) for r in found.everything], "% of holes")),
        ("Edit similarity", plots.intervals([(r.variant, r.similarity) for r in found.everything], "% in common")),
    ]
    pictures += [
        (f"Exactly right, kind “{kind}”", plots.intervals([(r.variant, r.exact) for r in rows], "% of holes"))
        for kind, rows in found.by_kind.items()
    ]
    return [*pictures, ("Time", plots.times(spread))]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _interval(value: Interval | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value.mean:.1f} % ({100 * value.low:.1f} … {100 * value.high:.1f})"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms"
