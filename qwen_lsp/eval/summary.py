"""From answers to what they say: scores per variant with intervals, differences, and what to set. Pure.

Variants are compared on the holes that all of them were asked; the first variant is what the others are held against.
Where several are compared, one is called surely better only if it is so at a confidence that makes up for their number
(Bonferroni), for exact answers or, where those tell nothing apart, for similarity.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from qwen_lsp.eval.holes import KINDS
from qwen_lsp.eval.numbers import points
from qwen_lsp.eval.quantiles import SLOW, quantile
from qwen_lsp.eval.results import Answer, Variant
from qwen_lsp.eval.score import CONFIDENCE, Interval, difference, mean

LEAST_HOLES, LEAST_COMMITS = 30, 10  # fewer say nothing about a difference that a person would notice
NEWER, OLDER = "newer than the model", "older"
_MEASURES = 2  # that may make a variant better: exact and similarity

type Verdict = Literal["", "better", "worse"]


@dataclass(frozen=True, slots=True)
class Against:
    """One variant minus the first: 95 % intervals, and what is sure after the correction."""

    exact: Interval
    similarity: Interval
    exact_is: Verdict
    similarity_is: Verdict


@dataclass(frozen=True, slots=True)
class Row:
    """One variant on one set of holes. Shares are 0 to 1, times milliseconds, tokens are medians."""

    variant: str
    n: int
    commits: int
    exact: Interval
    similarity: Interval
    first_line: float
    shown: float  # of the holes, how many got an answer at all
    parses: float  # of the answers shown
    tests: float | None  # of those that they tell something about
    n_tested: int
    ms: float
    slow_ms: float
    prompt: float
    reused: float | None  # of the prompts' tokens
    evaluated: float | None
    all_evaluated: int | None  # of all answers together: the first of a commit reads what the others share
    against: Against | None


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
    kinds = sorted({answer.kind for answer in shared}, key=_place)
    everything = rows(shared, variants, seed)
    ages: dict[str, list[Answer]] = {}
    if released is not None:
        for answer in shared:
            ages.setdefault(NEWER if answer.time > released else OLDER, []).append(answer)
    n_holes = len(shared) // max(len(variants), 1)
    n_newer = len(ages.get(NEWER, ())) // max(len(variants), 1)
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
    first = by_variant[variants[0].name] if variants else []
    return tuple(
        _row(name, own, against(own, first, len(variants) - 1, seed) if number else None, seed)
        for number, (name, own) in enumerate(by_variant.items())
    )


def _row(name: str, answers: Sequence[Answer], held: Against | None, seed: int) -> Row:
    commits = [answer.commit for answer in answers]
    tested = [answer.tests for answer in answers if answer.tests is not None]
    evaluated = [answer.evaluated for answer in answers if answer.evaluated is not None]
    counted = [(answer.cached, answer.prompt) for answer in answers if answer.cached is not None]
    times = [answer.ms for answer in answers] or [0.0]
    return Row(
        name,
        len(answers),
        len(set(commits)),
        mean([float(answer.exact) for answer in answers], commits, seed),
        mean([answer.similarity for answer in answers], commits, seed),
        _share(answers, lambda answer: answer.first_line),
        _share(answers, lambda answer: bool(answer.said)),
        _share([answer for answer in answers if answer.said], lambda answer: answer.parses),
        sum(tested) / len(tested) if tested else None,
        len(tested),
        median(times),
        quantile(times, SLOW),
        median([answer.prompt for answer in answers]) if answers else 0.0,
        sum(cached for cached, _ in counted) / max(sum(n for _, n in counted), 1) if counted else None,
        median(evaluated) if evaluated else None,
        sum(evaluated) if evaluated else None,
        held,
    )


def against(ours: Sequence[Answer], theirs: Sequence[Answer], n_compared: int, seed: int) -> Against:
    """Answers of the same holes, in the same order. n_compared: how many variants are held against the other side."""
    commits = [answer.commit for answer in ours]
    sure = 1 - (1 - CONFIDENCE) / (max(n_compared, 1) * _MEASURES)

    def measured(of: Callable[[Answer], float]) -> tuple[Interval, Verdict]:
        values = [of(answer) for answer in ours], [of(answer) for answer in theirs]
        wide = difference(*values, commits, seed, sure)
        return difference(*values, commits, seed), "" if not wide.is_sure else "better" if wide.low > 0 else "worse"

    (exact, exact_is), (similar, similar_is) = measured(lambda a: float(a.exact)), measured(lambda a: a.similarity)
    return Against(exact, similar, exact_is, similar_is)


def recommendation(table: Sequence[Row], variants: Sequence[Variant]) -> tuple[str | None, str]:
    """The variant to set, and why; None where the first one may stay, or nothing can be said."""
    pairs = list(zip(table, variants, strict=True))
    # What no setting can turn off is shown, and not recommended.
    ours = [row for row, each in pairs if not each.is_baseline and each.log == variants[0].log]
    if not ours or ours[0].n < LEAST_HOLES or ours[0].commits < LEAST_COMMITS:
        few = f"fewer than {LEAST_HOLES} holes or {LEAST_COMMITS} commits"
        return None, f"{few}: not enough to tell ways of asking apart (--holes asks more)"
    if len(ours) == 1:
        is_log = any(not each.is_baseline and each.log != variants[0].log for each in variants)
        only = "only the log differs, which no setting turns off" if is_log else f"only “{ours[0].variant}” was asked"
        return None, f"{only}: there is nothing to choose from"
    held = [(row, row.against) for row in ours[1:] if row.against is not None]
    better = [(row, it, it.exact, "exactly right answers") for row, it in held if it.exact_is == "better"]
    better = better or [
        (row, it, it.similarity, "similarity")
        for row, it in held
        if it.similarity_is == "better" and it.exact_is != "worse"
    ]
    if not better:
        worse = [f"“{row.variant}”" for row, it in held if "worse" in (it.exact_is, it.similarity_is)]
        told = f"; {' and '.join(worse)} {'is' if len(worse) == 1 else 'are'} surely worse" if worse else ""
        return None, (
            f"no other setting is surely better than “{ours[0].variant}” on these holes{told}: none is worth a change; "
            "more holes (--holes) tell smaller differences apart"
        )
    best, _, gain, measure = max(better, key=lambda each: (each[0].exact.mean, each[0].similarity.mean, -each[0].ms))
    return best.variant, (
        f"“{best.variant}” is surely better than “{ours[0].variant}” in {measure}: {points(gain.mean)} points "
        f"(95 % interval {points(gain.low)} to {points(gain.high)}){_cost(best, ours[0], pairs)}"
    )


def _cost(best: Row, first: Row, pairs: Sequence[tuple[Row, Variant]]) -> str:
    """What the better one costs; nothing of layouts, which share what the engine has read for the first of them."""
    layouts = {each.layout for row, each in pairs if row in (best, first)}
    return f", for {best.ms - first.ms:+,.0f} ms per answer at the median" if len(layouts) == 1 else ""


def _shared(answers: Iterable[Answer], variants: Sequence[Variant]) -> list[Answer]:
    """Those of holes that every variant has answered, in a fixed order."""
    names = {variant.name for variant in variants}
    known = [answer for answer in answers if answer.variant in names]
    asked: dict[str, set[str]] = {}
    for answer in known:
        asked.setdefault(answer.hole, set()).add(answer.variant)
    return sorted((a for a in known if asked[a.hole] == names), key=lambda a: (a.hole, a.variant))


def _place(kind: str) -> tuple[int, str]:
    """Kinds in their order, from the shortest holes on; strange ones at the end."""
    return [*KINDS, kind].index(kind), kind


def _share(answers: Sequence[Answer], holds: Callable[[Answer], bool]) -> float:
    return sum(map(holds, answers)) / len(answers) if answers else 0.0
