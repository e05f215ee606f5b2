"""From answers to what they say: scores per variant with intervals, differences, and what to set. Pure.

Variants are compared on the holes that all of them were asked; the first variant is what the others are held against.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from qwen_lsp.eval.results import Answer, Variant
from qwen_lsp.eval.score import Interval, difference, mean

LEAST_HOLES = 30  # fewer say nothing about a difference that a person would notice


@dataclass(frozen=True, slots=True)
class Row:
    """One variant on one set of holes. Shares are 0 to 1, times milliseconds, tokens are medians."""

    variant: str
    n: int
    exact: Interval
    similarity: Interval
    first_line: float
    shown: float  # of the holes, how many got an answer at all
    parses: float  # of the answers shown
    tests: float | None  # of those run
    ms: float
    evaluated: float | None
    against: Interval | None  # exact, this minus the first variant


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run found. `newer`: the share of holes that are newer than the model, None where its date is not known."""

    everything: tuple[Row, ...]
    by_kind: dict[str, tuple[Row, ...]]
    by_age: dict[str, tuple[Row, ...]]
    newer: float | None
    recommended: str | None
    why: str


def summary(answers: Iterable[Answer], variants: Sequence[Variant], released: int | None, seed: int) -> Summary:
    """`released`: when the model came out, in seconds since 1970; None: not known."""
    shared = _shared(answers, variants)
    kinds = dict.fromkeys(answer.kind for answer in shared)
    everything = rows(shared, variants, seed)
    ages: dict[str, list[Answer]] = {}
    if released is not None:
        for answer in shared:
            ages.setdefault("newer than the model" if answer.time > released else "older", []).append(answer)
    n_holes = len(shared) // max(len(variants), 1)
    n_newer = len(ages.get("newer than the model", ())) // max(len(variants), 1)
    recommended, why = recommendation(everything, variants)
    return Summary(
        everything,
        {kind: rows([a for a in shared if a.kind == kind], variants, seed) for kind in kinds},
        {age: rows(of_age, variants, seed) for age, of_age in sorted(ages.items())},
        None if released is None or not n_holes else n_newer / n_holes,
        recommended,
        why,
    )


def rows(answers: Sequence[Answer], variants: Sequence[Variant], seed: int) -> tuple[Row, ...]:
    """One per variant, in their order. `answers` are of the same holes for each."""
    by_variant = {
        each.name: sorted((a for a in answers if a.variant == each.name), key=lambda a: a.hole) for each in variants
    }
    first = [float(a.exact) for a in by_variant[variants[0].name]] if variants else []
    return tuple(
        _row(name, own, first if number else None, seed) for number, (name, own) in enumerate(by_variant.items())
    )


def _row(name: str, answers: Sequence[Answer], first: Sequence[float] | None, seed: int) -> Row:
    exact = [float(answer.exact) for answer in answers]
    tested = [answer.tests for answer in answers if answer.tests is not None]
    evaluated = [answer.evaluated for answer in answers if answer.evaluated is not None]
    return Row(
        name,
        len(answers),
        mean(exact, seed),
        mean([answer.similarity for answer in answers], seed),
        _share(answers, lambda answer: answer.first_line),
        _share(answers, lambda answer: bool(answer.said)),
        _share([answer for answer in answers if answer.said], lambda answer: answer.parses),
        sum(tested) / len(tested) if tested else None,
        median([answer.ms for answer in answers]) if answers else 0.0,
        median(evaluated) if evaluated else None,
        None if first is None else difference(exact, first, seed),
    )


def recommendation(table: Sequence[Row], variants: Sequence[Variant]) -> tuple[str | None, str]:
    """The variant to set, and why; None where the first one may stay, or nothing can be said."""
    ours = [row for row, variant in zip(table, variants, strict=True) if not variant.is_baseline]
    if not ours or ours[0].n < LEAST_HOLES:
        return None, f"fewer than {LEAST_HOLES} holes: not enough to tell ways of asking apart"
    better = [row for row in ours[1:] if row.against is not None and row.against.low > 0]
    if not better:
        return None, f"nothing is surely better than {ours[0].variant}: it may stay"
    best = max(better, key=lambda row: (row.exact.mean, -row.ms))
    assert best.against is not None
    return best.variant, (
        f"{best.variant} gets {best.exact.mean:.1%} of the holes exactly right, {best.against.mean:+.1%} against "
        f"{ours[0].variant} (95 % interval {best.against.low:+.1%} to {best.against.high:+.1%})"
    )


def _shared(answers: Iterable[Answer], variants: Sequence[Variant]) -> list[Answer]:
    """Those of holes that every variant has answered, in a fixed order."""
    names = {variant.name for variant in variants}
    known = [answer for answer in answers if answer.variant in names]
    asked: dict[str, set[str]] = {}
    for answer in known:
        asked.setdefault(answer.hole, set()).add(answer.variant)
    return sorted((a for a in known if asked[a.hole] == names), key=lambda a: (a.hole, a.variant))


def _share(answers: Sequence[Answer], holds: Callable[[Answer], bool]) -> float:
    return sum(map(holds, answers)) / len(answers) if answers else 0.0
