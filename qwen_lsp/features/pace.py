"""How long to wait before the model is asked: by the typing's rhythm and by how long answers take. Pure.

A key that follows within the pause costs nothing. Reads no clock: moments, in seconds, are handed in.
"""

from dataclasses import dataclass
from statistics import median

THOUGHT_S = 1.0  # a longer gap between two keys is no part of a rhythm
MOST_PAUSE_S = 0.15  # beyond this a pause is felt, however slow the model is
GAP_SHARE = 1.25  # of a usual gap: when it has passed without a key, the fingers rest
LEAST_GAPS = 3
REMEMBERED = 16  # keys and answers: a rhythm changes within a line

# VS Code stops waiting after 750 ms, and then asks no more; conversion and the way back are within the rest.
DEADLINE_S = 0.6


@dataclass(frozen=True, slots=True)
class Pace:
    """The gaps between the last keys, and how long the last answers took, in seconds."""

    last_key: float | None = None
    gaps: tuple[float, ...] = ()
    answers: tuple[float, ...] = ()


def keyed(pace: Pace, now: float) -> Pace:
    """A key at `now`. A long gap begins a new rhythm."""
    if pace.last_key is None or not 0 <= now - pace.last_key <= THOUGHT_S:
        return Pace(now, (), pace.answers)
    return Pace(now, (*pace.gaps, now - pace.last_key)[-REMEMBERED:], pace.answers)


def answered(pace: Pace, seconds: float) -> Pace:
    """The model took so long for an answer."""
    return Pace(pace.last_key, pace.gaps, (*pace.answers, seconds)[-REMEMBERED:])


def pause_s(pace: Pace, least_s: float) -> float:
    """How long to wait for another key: `least_s`, unless the answer would come after the next key anyway."""
    if len(pace.gaps) < LEAST_GAPS or not pace.answers:
        return least_s
    gap = median(pace.gaps)
    if median(pace.answers) <= gap:
        return least_s
    return max(least_s, min(gap * GAP_SHARE, MOST_PAUSE_S))
