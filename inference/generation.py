"""What crosses the queue between the HTTP side and the thread that owns the model.

Token ids only: text, templates, JSON and stop strings stay on the HTTP side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol


class Priority(IntEnum):
    """Who goes first; a smaller number preempts a larger one."""

    TYPING = 0
    ACTION = 1
    REFACTOR = 2
    WARMUP = 3


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. `temperature` 0 is greedy, and then the rest is ignored."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0  # 0: no limit
    min_p: float = 0.0
    seed: int = 0


GREEDY = Sampling()
MIN_TEMPERATURE = 1e-5  # below, dividing by it overflows and means greedy anyway


class Constraint(Protocol):
    """What may be drawn next in one answer. Its place in the answer moves with `accept` only."""

    @property
    def is_free(self) -> bool:
        """Whether anything may come from now on: nobody need ask any more."""
        ...

    def mask(self) -> bytes:
        """A byte per id of the vocabulary, zero where the id may not come next. At least one may."""
        ...

    def accept(self, token: int) -> None:
        """`token` was drawn, which the mask allowed."""
        ...

    def allows(self, tokens: tuple[int, ...]) -> int:
        """How many of `tokens`, from the first on, may come next."""
        ...


@dataclass(frozen=True, slots=True)
class Job:
    """One generation. `max_tokens` 0 evaluates the prompt and answers nothing: a warm-up.

    `cache_marks` are offsets into `prompt`, ascending, where what follows changes more often than what
    precedes: a snapshot of the model's state is kept there. `client` groups jobs for fairness; of a client's jobs with
    the same `latest_of` only the newest is wanted.
    """

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: Sampling = GREEDY
    priority: Priority = Priority.ACTION
    cache_marks: tuple[int, ...] = ()
    client: str = ""
    latest_of: str = ""  # "": any number of such jobs may run
    prediction: tuple[int, ...] = ()  # what the answer will largely repeat: drafts come from it
    stop_ids: frozenset[int] = frozenset()  # they end the answer, as the model's own end tokens do
    last_ids: frozenset[int] = frozenset()  # the answer ends behind them: they hold a stop string
    constraint: Callable[[], Constraint] | None = None  # what begins a constrained answer
    packed: bytes = b""  # the prompt as the cache compares it, where that is known

    def cut(self, drawn: tuple[int, ...], end_ids: frozenset[int]) -> tuple[tuple[int, ...], bool]:
        """Those of the tokens drawn that belong to the answer, and whether it ends there. `end_ids`: the model's."""
        for n, token in enumerate(drawn):
            if token in end_ids or token in self.stop_ids:
                return drawn[:n], True
            if token in self.last_ids:
                return drawn[: n + 1], True
        return drawn, False


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of one job, in tokens. `evaluated` is what really went through the model, prompt and answer."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    evaluated_tokens: int


FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Newly sampled tokens, in order, and the counts so far. The end token is not among them."""

    tokens: tuple[int, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Finish:
    """The last thing a job says, exactly once, unless it fails."""

    reason: FinishReason
    usage: Usage
