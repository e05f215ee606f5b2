"""Which sequences are open, how long they are, what they owe, and whose logits are current: the part of the contract
that every engine checks the same way.

A sequence owes tokens after a draft that missed: the recurrent state can not be cut, so the engine goes back to where
the draft began, and the tokens since are evaluated again together with the next ones. That costs no pass of its own.

Knows no model and no state. A breach of the contract is a bug in the caller and raises RuntimeError; what a request
can cause (a token that does not exist, a sequence that gets too long) is an EngineError.
"""

from collections.abc import Callable, Sequence

from inference.backends.base import Snapshot
from inference.errors import BadRequest, EngineError, ModelBroken, PromptTooLong
from inference.generation import Constraint

MAX_OWED = 16  # tokens; more of them are evaluated before the next draft, or each miss would repeat them again


def allowed(draft: Sequence[int], constraint: Constraint | None) -> Sequence[int]:
    """The draft up to what can not be drawn anyway: evaluating that would be for nothing."""
    return draft if constraint is None or not draft else draft[: constraint.allows(tuple(draft))]


def drawn_along(draft: Sequence[int], draw: Callable[[int], int]) -> tuple[int, ...]:
    """Draw while the draft is right. `draw` is asked for the token after the first `n` of the draft.

    Every token drawn is one of the answer's: a constraint that moves along with `draw` need never go back.
    """
    drawn = [draw(0)]
    for n, token in enumerate(draft, 1):
        if drawn[-1] != token:
            break
        drawn.append(draw(n))
    return tuple(drawn)


def outcome(draw: Callable[[], int]) -> int | EngineError:
    """What was drawn, or why nothing could be: one sequence's failure is not that of the others in its pass."""
    try:
        return draw()
    except EngineError as error:
        return error


class Sequences:
    """The lengths of the open sequences. Written only by the backend that owns it."""

    def __init__(self, max_sequences: int, n_ctx: int, n_vocab: int) -> None:
        self._max = max_sequences
        self._n_ctx = n_ctx
        self._n_vocab = n_vocab
        self._lengths: dict[int, int] = {}
        self._owed: dict[int, tuple[int, ...]] = {}
        self._with_logits: int | None = None

    def open(self) -> int:
        """The smallest free number."""
        free = next((seq for seq in range(self._max) if seq not in self._lengths), None)
        if free is None:
            raise RuntimeError(f"all {self._max} sequences are open")
        self._lengths[free] = 0
        return free

    def open_at(self, n_tokens: int) -> int:
        """A sequence that is about to be loaded."""
        if not 0 < n_tokens <= self._n_ctx:
            raise ModelBroken(f"a saved sequence of {n_tokens} tokens does not fit a context of {self._n_ctx}")
        seq = self.open()
        self._lengths[seq] = n_tokens
        return seq

    @property
    def numbers(self) -> tuple[int, ...]:
        """Those that are open."""
        return tuple(self._lengths)

    def close(self, seq: int) -> None:
        self.length(seq)
        del self._lengths[seq]
        self._owed.pop(seq, None)
        if self._with_logits == seq:
            self._with_logits = None

    def length(self, seq: int) -> int:
        if seq not in self._lengths:
            raise RuntimeError(f"sequence {seq} is not open")
        return self._lengths[seq]

    def admit(self, seq: int, tokens: Sequence[int]) -> tuple[int, tuple[int, ...]]:
        """Check that `tokens` may be evaluated. Returns what is: what the sequence owes comes first; and its position.

        The old logits are gone.
        """
        start = self.length(seq)
        if not tokens:
            raise RuntimeError("nothing to evaluate")
        if min(tokens) < 0 or max(tokens) >= self._n_vocab:
            raise BadRequest(f"token ids must be from 0 to {self._n_vocab - 1}", "prompt")
        if start + len(tokens) > self._n_ctx:
            raise PromptTooLong(f"{start + len(tokens)} tokens exceed the context of {self._n_ctx}", "prompt")
        start, owed = self.settle(seq)
        return start, (*owed, *tokens)

    def settle(self, seq: int, spared: int = 0) -> tuple[int, tuple[int, ...]]:
        """What must be evaluated now for the engine to stand at the sequence's end, and its position.

        Nothing where it owes no more than `spared` tokens: they can go along with the next ones.
        """
        length, owed = self.length(seq), self._owed.get(seq, ())
        if len(owed) <= spared:
            return length, ()
        del self._owed[seq]
        self._with_logits = None
        return length - len(owed), owed

    def drew(self, seq: int, n_tokens: int, owed: Sequence[int] = ()) -> None:
        """A step kept `n_tokens`. After a miss the engine went back by `owed`, which end with them."""
        self._lengths[seq] += n_tokens
        self._with_logits = None
        if owed:
            self._owed[seq] = tuple(owed)

    def grew(self, seq: int, n_tokens: int) -> None:
        """`n_tokens` were evaluated, and the last one's logits can be sampled."""
        self._lengths[seq] += n_tokens
        self._with_logits = seq

    def check_logits(self, seq: int) -> None:
        """Only what was evaluated last can be sampled."""
        self.length(seq)
        if self._with_logits != seq:
            raise RuntimeError(f"sequence {seq} was not the last one evaluated")

    def check_cut(self, seq: int, snapshot: Snapshot) -> None:
        if snapshot.n_tokens > self.length(seq):
            raise RuntimeError(f"a snapshot at {snapshot.n_tokens} is ahead of sequence {seq} at {self.length(seq)}")

    def check_dump(self, seq: int, snapshot: Snapshot) -> None:
        self.check_cut(seq, snapshot)
        if snapshot.n_tokens == 0:
            raise RuntimeError("nothing to dump")

    def cut(self, seq: int, snapshot: Snapshot) -> None:
        """The sequence now ends where the snapshot was taken; there are no logits to sample."""
        self._lengths[seq] = snapshot.n_tokens
        self._owed.pop(seq, None)
        if self._with_logits == seq:
            self._with_logits = None
