"""How near an answer is to what the person wrote, and how sure a difference between two ways of asking is. Pure.

Intervals are paired bootstrap percentiles (Efron, Tibshirani: "An Introduction to the Bootstrap", 1993, chapter 13):
the same holes are drawn for both sides, so that hard holes do not count as noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

RESAMPLES = 2_000
CONFIDENCE = 0.95
_MOST_COMPARED = 4_000  # characters: similarity takes quadratic time


@dataclass(frozen=True, slots=True)
class Score:
    """One answer. `exact`: but for white space at line ends. `similarity`: 0 to 1. `parses`: no worse than before."""

    exact: bool
    similarity: float
    first_line: bool
    parses: bool


def score(said: str, wanted: str, *, parses: bool) -> Score:
    """An answer against what was wanted; nothing said is never right."""
    said_lines, wanted_lines = _bare(said), _bare(wanted)
    return Score(
        exact=said_lines == wanted_lines,
        similarity=similarity("\n".join(said_lines), "\n".join(wanted_lines)),
        first_line=said_lines[:1] == wanted_lines[:1],
        parses=parses,
    )


def similarity(one: str, other: str) -> float:
    """Twice the characters in common runs per characters of both (Ratcliff, Obershelp)."""
    if not one or not other:
        return float(one == other)
    matcher = SequenceMatcher(None, one[:_MOST_COMPARED], other[:_MOST_COMPARED], autojunk=False)
    return matcher.ratio()


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and where it lies with the stated confidence."""

    mean: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """For a difference: zero lies outside."""
        return self.low > 0 or self.high < 0


def mean(values: Sequence[float], seed: int) -> Interval:
    """The mean of some values, with its interval."""
    if not values:
        return Interval(0.0, 0.0, 0.0)
    given = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(given), (RESAMPLES, len(given)))
    means = given[draws].mean(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float(given.mean()), float(low), float(high))


def difference(ours: Sequence[float], theirs: Sequence[float], seed: int) -> Interval:
    """The mean of the paired differences: `ours` and `theirs` are of the same holes, in the same order."""
    return mean([one - other for one, other in zip(ours, theirs, strict=True)], seed)


def _bare(text: str) -> list[str]:
    """Lines without what nobody sees at their ends, and without blank ones at the end of the text."""
    return [line.rstrip() for line in text.rstrip().split("\n")]
