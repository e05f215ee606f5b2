"""Whose turn it is: the jobs in the owner's hands, by priority and by who was served last. Policy only.

Knows no engine, no thread and no clock; what a turn does is the scheduler's business.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from inference.generation import Job, Priority
from inference.runner import Run
from inference.stream import Stream

KEPT_FOR_TYPING = 2  # sequences that slower jobs may not take
TYPED_S = 30.0  # after a key: who stopped to think has gone on by then


@dataclass(slots=True, eq=False)
class Task:
    """A job in the owner's hands: its run on the backend, and who listens."""

    run: Run
    stream: Stream
    cancelled: threading.Event
    arrived: float
    begun: bool = False
    began: float | None = None  # when, as `arrived`
    first_said: float | None = None  # when its first token was passed on
    blocked: bool = False  # no room; wait until another job ends

    @property
    def job(self) -> Job:
        return self.run.job


class Turns:
    """All tasks that have not ended. Written by the owner thread only."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.n_preemptions = 0
        self._typed: float | None = None  # when a key came last
        self._last: Task | None = None
        self._served: dict[str, int] = {}  # client -> the turn that it was last served in
        self._n_turns = 0

    def add(self, task: Task) -> None:
        """It has come in."""
        self.tasks.append(task)
        if task.job.priority is Priority.TYPING:
            self._typed = task.arrived

    def may_be_waited_for(self, task: Task, now: float) -> bool:
        """Whether a key may come while this task has its turn: it is less urgent, and somebody types."""
        is_typing = self._typed is not None and now - self._typed < TYPED_S
        return is_typing and task.job.priority is not Priority.TYPING

    def able(self, max_sequences: int) -> list[Task]:
        """The tasks that a step makes sense for now. Slower ones leave some sequences for typing."""
        held = sum(task.begun for task in self.tasks)
        left = max_sequences - held

        def may_begin(task: Task) -> bool:
            wanted = 1 if task.job.priority is Priority.TYPING else 1 + KEPT_FOR_TYPING
            return not task.blocked and (held == 0 or left >= wanted)

        return [task for task in self.tasks if task.begun or may_begin(task)]

    def choose(self, max_sequences: int) -> Task | None:
        """The most urgent task; among equals the client served longest ago, then the older task."""
        able = self.able(max_sequences)
        if not able:
            return None
        chosen = min(able, key=lambda t: (t.job.priority, self._served.get(t.job.client, 0), t.arrived))
        if self._last is not None and self._last.begun and chosen.job.priority < self._last.job.priority:
            self.n_preemptions += 1
        self._last = chosen
        self._n_turns += 1
        self.served((chosen,))
        return chosen

    def equals(self, chosen: Task) -> list[Task]:
        """The others that have begun and are as urgent: they may go along. A slower one would slow `chosen` down."""
        return [t for t in self.tasks if t.begun and t is not chosen and t.job.priority is chosen.job.priority]

    def served(self, tasks: Iterable[Task]) -> None:
        """This turn was these tasks' too."""
        for task in tasks:
            self._served[task.job.client] = self._n_turns

    def replaced_by(self, new: Task) -> list[Task]:
        """The tasks that nobody wants any more once `new` has come."""
        key = (new.job.client, new.job.latest_of)
        if not all(key):
            return []
        return [t for t in self.tasks if (t.job.client, t.job.latest_of) == key and not t.cancelled.is_set()]

    def leave(self, task: Task) -> None:
        """It ended; those that found no room may try again."""
        self.tasks.remove(task)
        task.begun = False
        for other in self.tasks:
            other.blocked = False
        if all(other.job.client != task.job.client for other in self.tasks):
            self._served.pop(task.job.client, None)
