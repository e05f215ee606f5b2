"""What the daemon counts: one value, made by the owner of the counters, read by whoever shows it."""

from collections.abc import Mapping
from dataclasses import dataclass

from inference.generation import Priority
from inference.recent import Answered, Outcome
from inference.runner import Held


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the start, and what is held now."""

    tokens_evaluated: int
    tokens_reused: int
    jobs: Mapping[tuple[Priority, Outcome], int]
    hits: int  # jobs that found a part of their prompt in the cache
    held: Held
    cache_limit_bytes: int
    queued: int
    running: int
    preemptions: int
    queue_s: Mapping[Priority, tuple[int, float]]  # jobs that began, seconds they waited in sum
    recent: tuple[Answered, ...] = ()  # the last jobs that ended, oldest first

    @property
    def cache_bytes(self) -> int:
        return self.held.rows + self.held.snapshots
