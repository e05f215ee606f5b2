"""The contract between the scheduler and an engine.

A backend holds one loaded model and a few *sequences*: token runs whose state is in memory. All calls but
`tokenizer`'s come from one thread, which created the backend. A backend knows nothing of queues, prefixes
worth keeping, HTTP or text beyond its tokenizer.

The model is a hybrid: attention rows can be cut at any length, the recurrent state can not. So a sequence goes
back only to a `Snapshot` taken on it (or on the one it was forked from).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from inference.errors import EngineError
from inference.generation import Constraint, Sampling
from inference.memory import MemoryPlan

EngineName = Literal["mlx", "llama", "scripted"]
Payload = Sequence[bytes | memoryview]  # a dumped sequence, cut where the engine cuts it: loading copies no piece twice


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is loaded. Sizes in bytes, lengths in tokens."""

    name: str
    engine: EngineName
    n_ctx: int  # longest sequence
    n_cells: int  # attention rows for all sequences together; shared rows count once
    cache_bytes: int  # rows and snapshots kept for all sequences together, at most
    n_vocab: int
    end_ids: frozenset[int]  # sampling one of these ends an answer
    max_sequences: int
    weight_bytes: int
    row_bytes: int  # attention rows, per token
    snapshot_bytes: int  # one recurrent snapshot
    state_format: str  # engine, its version, precision: with the weights, what a dumped sequence fits
    max_together: int  # sequences that one decoding pass can serve
    clock: Callable[[], float] = time.perf_counter  # what a pass costs; other programs are no cost of it
    plan: MemoryPlan | None = None  # where these sizes come from; None: from whoever made the settings

    def too_long(self, n_prompt: int, max_tokens: int) -> str:
        """By how much a job exceeds the context, why that is no longer, and what would fit."""
        why = f" ({self.plan.why})" if self.plan else ""
        fits = [f"max_tokens {self.n_ctx - n_prompt}"] if n_prompt < self.n_ctx else []
        fits += [f"a prompt of {self.n_ctx - max_tokens}"] if max_tokens < self.n_ctx else []
        sizes = f"{n_prompt} prompt tokens and max_tokens {max_tokens}"
        excess = n_prompt + max_tokens - self.n_ctx
        return (
            f"{sizes} exceed the context of {self.n_ctx}{why} by {excess}; {' or '.join(fits) or 'neither'} would fit"
        )


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What the daemon asks of an engine. Lengths in tokens."""

    n_ctx: int = 32_768  # longest sequence; the model's own limit wins where it is smaller
    n_cells: int = 65_536  # attention rows for all sequences together
    cache_bytes: int = 4 << 30  # rows and snapshots kept for all sequences together
    away_bytes: int = 4 << 30  # idle sequences that left the engine's pool of rows, if it has one
    max_sequences: int = 8
    n_threads: int = 0  # 0: one per physical core
    chunk: int = 512  # most tokens in one forward pass
    exact: bool = False  # attention rows in f32, for comparing engines: in f16 those of others cost a pass nothing
    use_gpu: bool = True  # if there is one
    wired_bytes: int = 0  # what a GPU that shares the machine's memory may keep from being paged out; 0: all it can
    work_bytes: int = 1 << 30  # freed buffers that are kept for the next pass, in bytes
    scores_bytes: int = 1 << 30  # attention scores of one pass; where they take more, they are never all in memory


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The recurrent state after `n_tokens` tokens. `state` belongs to the backend; nobody else looks inside."""

    n_tokens: int
    n_bytes: int
    state: Any


@dataclass(frozen=True, slots=True)
class Step:
    """One sequence's part in a decoding pass: `token` is appended, and the one after it drawn."""

    seq: int
    token: int
    sampler: Any


class Tokenizer(Protocol):
    """Text to ids and back. Safe to call from any thread."""

    chat_template: str | None  # Jinja source

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """Ids of `text`. With `parse_special` false no part of the text becomes a control token."""
        ...

    def piece(self, token: int) -> bytes:
        """The bytes that `token` stands for; may end within a UTF-8 character; empty for control tokens."""
        ...


class Backend(Protocol):
    """One loaded model."""

    info: ModelInfo
    tokenizer: Tokenizer

    @property
    def n_evaluated(self) -> int:
        """Tokens that went through the model so far: prompts, answers, drafts kept or not, repeats after a miss."""
        ...

    def open(self) -> int:
        """A new, empty sequence. At most `info.max_sequences` are open at a time."""
        ...

    def close(self, seq: int) -> None:
        """Forget a sequence; rows that no other sequence shares are freed."""
        ...

    def evaluate(self, seq: int, tokens: Sequence[int]) -> None:
        """Append `tokens` (at least one) to the sequence. If it raises, the sequence is unusable: close it."""
        ...

    def sampler(self, sampling: Sampling, constraint: Constraint | None = None) -> Any:
        """The state that draws one job's tokens; handed back to `sample` and `step`. It moves the constraint along."""
        ...

    def sample(self, seq: int, sampler: Any) -> int:
        """Draw the token after the last one evaluated. Nothing may be evaluated on the backend in between.

        Raises ModelBroken where the logits are not numbers.
        """
        ...

    def step(self, seq: int, token: int, draft: Sequence[int], sampler: Any) -> tuple[int, ...]:
        """Append `token`, then as many of `draft` as the sampler draws. Returns the tokens drawn, at least one.

        All but the last are the accepted draft and stand in the sequence; the last does not. An engine may look at
        fewer tokens of the draft. Afterwards there are no logits to `sample`. Raises what `evaluate` and `sample` do.
        """
        ...

    def step_together(self, steps: Sequence[Step]) -> list[int | EngineError]:
        """Several `step`s without drafts, of sequences that all differ; in one pass, where `info.max_together` allows.

        Returns what was drawn for each, or an error: that sequence is unusable, the others are as they should be.
        Numbers that are none may spoil all that are in the pass, and then all have one. Where the pass itself fails
        this raises, and all of them are unusable.
        """
        ...

    def snapshot(self, seq: int) -> Snapshot:
        """The recurrent state as it is now. After a step that missed this may evaluate a few tokens."""
        ...

    def restore(self, seq: int, snapshot: Snapshot) -> None:
        """Go back to `snapshot.n_tokens` tokens: cut the attention rows, put the recurrent state back."""
        ...

    def fork(self, seq: int, snapshot: Snapshot) -> int:
        """A new sequence that holds the first `snapshot.n_tokens` tokens of `seq`, which stays as it is."""
        ...

    def rows_bytes(self) -> int:
        """Memory that attention rows take: shared ones once, with the room that the engine keeps for more."""
        ...

    def dump(self, seq: int, snapshot: Snapshot) -> Payload:
        """All that `load` needs to stand at the first `snapshot.n_tokens` tokens (one at least) of `seq` again.

        The sequence stays as it is. The payload is about `n_tokens * row_bytes + snapshot_bytes` long; nothing that
        happens later changes it, and any thread may read it.
        """
        ...

    def load(self, payload: Payload, n_tokens: int) -> tuple[int, Snapshot]:
        """A new sequence from what `dump` gave at `n_tokens`, in the same pieces; and a snapshot at its end.

        Raises ModelBroken where the payload is not whole or not of this model and `state_format`, QueueFull where
        there is no room. Nothing else is harmed by either. That no byte within a piece has changed is for the caller
        to know (`saved.py` does): altered numbers are not noticed here.
        """
        ...

    def shutdown(self) -> None:
        """Free the model. No call may follow."""
        ...
