"""A run as one HTML page that needs nothing else: tables, pictures, the best and the worst answers.

The page shows source text of the repository, credentials as stars: it is for its owner. Knows no engine and computes no
score.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2

from qwen_lsp.eval import numbers, plots
from qwen_lsp.eval.earlier import Compared
from qwen_lsp.eval.refactors import Total
from qwen_lsp.eval.replay import Spread, Typing
from qwen_lsp.eval.results import Answer, Variant
from qwen_lsp.eval.summary import Summary
from qwen_lsp.text.secrets import masked

MOST_CASES = 8
MOST_REASONS = 8
NEAR = 0.5  # similar enough to be read as a good answer
KINDS = {
    "line": "The rest of a line",
    "lines": "Two to five whole lines",
    "block": "A function's body",
    "hunk": "All that a hunk put in, given the commit's hunks before it",
}
SHORT = {"line": "rest of a line", "lines": "whole lines", "block": "function's body", "hunk": "whole hunk"}
_TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True, slots=True)
class Cases:
    """Answers of the first variant worth reading. best: right and long, then the nearest; worst: far from right."""

    best: tuple[Answer, ...]
    worst: tuple[Answer, ...]


def cases(answers: Sequence[Answer], variant: str) -> Cases:
    """At most MOST_CASES of each, in a fixed order, without credentials."""
    own = [answer for answer in answers if answer.variant == variant]
    best = sorted((a for a in own if a.said), key=lambda a: (-a.exact, -a.similarity, -len(a.wanted), a.hole))
    best = [answer for answer in best if answer.similarity >= NEAR][:MOST_CASES]
    wrong = sorted((a for a in own if a.said and not a.exact), key=lambda a: (a.similarity, -len(a.said), a.hole))
    wrong = [answer for answer in wrong if answer not in best][:MOST_CASES]
    return Cases(tuple(map(_shown, best)), tuple(map(_shown, wrong)))


def _shown(answer: Answer) -> Answer:
    """Each text judged behind the line that it continues: a value's name may stand there."""
    n = len(answer.line)
    wanted, said = masked(answer.line + answer.wanted), masked(answer.line + answer.said)
    stars = "".join(
        min(one, other) if "*" in (one, other) else one for one, other in zip(wanted[:n], said[:n], strict=True)
    )
    return replace(answer, line=stars, wanted=wanted[n:], said=said[n:])


def reasons(answers: Sequence[Answer], variant: str) -> list[tuple[str, int]]:
    """Why holes stayed empty, the most frequent first."""
    counts = Counter(answer.reason for answer in answers if answer.variant == variant and not answer.said)
    return sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:MOST_REASONS]


@dataclass(frozen=True, slots=True)
class Found:
    """All that a page tells. about: what was asked of whom. notes: what a reader must know to judge it."""

    about: Mapping[str, Any]
    variants: Sequence[Variant]
    summary: Summary
    typing: Typing | None = None
    against: Compared | None = None
    refactors: Sequence[Total] | None = None
    notes: Sequence[str] = ()


def page(found: Found, answers: Sequence[Answer]) -> str:
    """The same bytes for the same values."""
    first = found.variants[0].name
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "share": numbers.share,
        "ends": numbers.ends,
        "points": numbers.points,
        "point_ends": numbers.point_ends,
        "ms": numbers.ms,
        "count": numbers.count,
        "number": numbers.number,
    }
    return environment.from_string(_TEMPLATE.read_text("utf-8")).render(
        about=found.about,
        variants=found.variants,
        found=found.summary,
        first=first,
        n_layouts=len({(each.layout, each.log) for each in found.variants if not each.is_baseline}),
        kinds=KINDS,
        short=SHORT,
        chosen=next((each for each in found.variants if each.name == found.summary.recommended), None),
        cases=cases(answers, first),
        reasons=reasons(answers, first),
        pictures=_pictures(found.summary, answers, found.variants),
        typing=found.typing,
        typed=_typed(found.typing),
        against=found.against,
        refactors=found.refactors,
        notes=found.notes,
    )


def _pictures(found: Summary, answers: Sequence[Answer], variants: Sequence[Variant]) -> list[tuple[str, str]]:
    if not plots.is_available() or not found.everything:
        return []
    spread = [(each.name, [a.ms for a in answers if a.variant == each.name] or [0.0]) for each in variants]
    exact, similar = "% of holes", "% in common with what was written"
    pictures = [
        ("Exactly right, all holes", plots.intervals([(r.variant, r.exact) for r in found.everything], exact)),
        ("Similarity, all holes", plots.intervals([(r.variant, r.similarity) for r in found.everything], similar)),
    ]
    pictures += [
        (f"Similarity, {SHORT.get(kind, kind)}", plots.intervals([(r.variant, r.similarity) for r in rows], similar))
        for kind, rows in found.by_kind.items()
    ]
    return [*pictures, ("Time per answer: half of them in the box, 95 % in the whiskers", plots.times(spread))]


def _typed(found: Typing | None) -> list[tuple[str, Spread | None]]:
    if found is None:
        return []
    return [
        ("milliseconds from key to answer", found.ms),
        ("of those, beside the engine", found.beside_ms),
        ("tokens evaluated per key, answer included", found.evaluated),
        ("the same, of keys that asked the model", found.asked),
        ("tokens of prompt, of keys that asked the model", found.prompt),
        (
            "first key after an edit elsewhere: tokens without the edit's own (below 0: it was read ahead)",
            found.elsewhere,
        ),
    ]
