"""The last jobs that ended: how long each took and the shape of its prompt. Counts and seconds only, no token of any.

Knows no thread and no clock: the owner says what happened when.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from inference.generation import FinishReason, Priority
from inference.turns import Task

Outcome = FinishReason | Literal["superseded", "failed"]

KEPT = 64  # jobs: a screen's width of a curve


@dataclass(frozen=True, slots=True)
class Answered:
    """One job, seen from its end. Seconds count from its arrival; None: it did not come to that."""

    priority: Priority
    outcome: Outcome
    queue_s: float | None
    first_token_s: float | None
    total_s: float
    segments: tuple[int, ...]  # lengths in tokens, between the client's cache marks
    n_reused: int
    n_evaluated: int
    n_answered: int

    @property
    def n_prompt(self) -> int:
        return sum(self.segments)


def answered(task: Task, outcome: Outcome, now: float) -> Answered:
    """What stays of a task that ends now."""
    usage = task.run.usage
    return Answered(
        task.job.priority,
        outcome,
        None if task.began is None else task.began - task.arrived,
        None if task.first_said is None else task.first_said - task.arrived,
        now - task.arrived,
        segments(len(task.job.prompt), task.job.cache_marks),
        usage.cached_tokens,
        usage.evaluated_tokens,
        usage.completion_tokens,
    )


def segments(n_prompt: int, marks: tuple[int, ...]) -> tuple[int, ...]:
    """The lengths of the pieces that the marks cut a prompt into; none is empty."""
    borders = sorted({0, n_prompt, *(mark for mark in marks if mark < n_prompt)})
    return tuple(end - start for start, end in pairwise(borders))
