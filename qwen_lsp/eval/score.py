"""How near an answer is to what the person wrote, and how sure a difference between two ways of asking is. Pure.

Intervals are paired bootstrap percentiles (Efron, Tibshirani: "An Introduction to the Bootstrap", 1993, chapter 13):
the same holes are drawn for both sides, so that hard holes do not count as noise. Whole commits are drawn, since the
holes of one are alike: as if they were independent, intervals would be too narrow. Where all values are the same every
draw is, too, which is no reason to be sure: there the interval leaves the least room there can be for what so many
holes would miss by chance (Clopper, Pearson: "The use of confidence or fiducial limits", 1934, for a share of none).

exact       the answer is what was written, but for white space at line ends and blank lines at its end
similarity  twice the characters in common runs, per characters of both (Ratcliff, Obershelp; difflib's ratio), 0 to 1
first line  the first line alone is exact
parses      the file with the answer has no more syntax errors than the file with the hole left empty (tree-sitter)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

RESAMPLES = 2_000
CONFIDENCE = 0.95
LEAST_GROUPS = 5  # fewer commits are hardly drawn in another way than they came
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


def mean(values: Sequence[float], groups: Sequence[str], seed: int) -> Interval:
    """The mean of shares from 0 to 1, with its interval. groups: whose value each is; groups are drawn whole."""
    return _drawn(values, groups, seed, CONFIDENCE, 0.0)


def difference(
    ours: Sequence[float], theirs: Sequence[float], groups: Sequence[str], seed: int, confidence: float = CONFIDENCE
) -> Interval:
    """The mean of the paired differences: `ours` and `theirs` are of the same holes, in the same order."""
    return _drawn([one - other for one, other in zip(ours, theirs, strict=True)], groups, seed, confidence, -1.0)


def _drawn(values: Sequence[float], groups: Sequence[str], seed: int, confidence: float, least: float) -> Interval:
    """Of few groups nothing is sure: then the interval is all there can be, from `least` to 1."""
    if not values:
        return Interval(0.0, 0.0, 0.0)
    number = {group: at for at, group in enumerate(dict.fromkeys(groups))}
    of = [number[group] for group in groups]
    sums = np.bincount(of, weights=np.asarray(values, dtype=np.float64))
    sizes = np.bincount(of)
    found = float(sums.sum() / sizes.sum())
    if len(sums) < LEAST_GROUPS:
        return Interval(found, least, 1.0)
    if len(set(values)) == 1:
        unseen = 1 - ((1 - confidence) / 2) ** (1 / len(values))
        return Interval(found, found - unseen * (found - least), found + unseen * (1 - found))
    draws = np.random.default_rng(seed).integers(0, len(sums), (RESAMPLES, len(sums)))
    means = sums[draws].sum(axis=1) / sizes[draws].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(found, float(low), float(high))


def _bare(text: str) -> list[str]:
    """Lines without what nobody sees at their ends, and without blank ones at the end of the text."""
    return [line.rstrip() for line in text.rstrip().split("\n")]
