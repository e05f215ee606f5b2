"""Prompts of a while ago, by the id of their answer: the next one names how many of its tokens it begins with.

So a key's request holds what is new in its prompt, however long that is. Ids are unguessable, and an answer's id is
told to whoever asked only. A prompt that is not here any more is sent whole. Knows no JSON, and what a token means
neither; for the event loop alone.
"""

from collections import OrderedDict
from dataclasses import dataclass

from inference.generation import Job
from inference.kept import ID_BYTES, pack

LEAST_TOKENS = 256  # a shorter prompt travels as quickly as its name
MOST_TOKENS = 2**19  # of all: about 20 MB
MOST_PROMPTS = 32


@dataclass(frozen=True, slots=True)
class Ids:
    """A prompt's tokens, or the first of them. `packed` is what the cache compares."""

    tokens: tuple[int, ...] = ()
    packed: bytes = b""

    @classmethod
    def of(cls, tokens: tuple[int, ...]) -> "Ids":
        return cls(tokens, pack(tokens))

    def first(self, n: int) -> "Ids":
        return Ids(self.tokens[:n], self.packed[: n * ID_BYTES])

    def then(self, tokens: tuple[int, ...]) -> "Ids":
        """With what follows it."""
        return Ids(self.tokens + tokens, self.packed + pack(tokens))


class Prompts:
    """The last ones that were long."""

    def __init__(self, most_tokens: int = MOST_TOKENS, most_prompts: int = MOST_PROMPTS) -> None:
        self._most_tokens, self._most_prompts = most_tokens, most_prompts
        self._kept: OrderedDict[str, Ids] = OrderedDict()
        self._n_tokens = 0

    def keep(self, name: str, job: Job) -> None:
        """`name` is the id of its answer."""
        if len(job.prompt) < LEAST_TOKENS:
            return
        self._kept[name] = Ids(job.prompt, job.packed)
        self._n_tokens += len(job.prompt)
        while self._n_tokens > self._most_tokens or len(self._kept) > self._most_prompts:
            _, old = self._kept.popitem(last=False)
            self._n_tokens -= len(old.tokens)

    def find(self, name: str) -> Ids | None:
        """None where it is gone, or never was. What is used stays longer."""
        found = self._kept.get(name)
        if found is not None:
            self._kept.move_to_end(name)
        return found
