"""llama.cpp behind the contract, through cyllama's low level. With `llama_load` the only module that knows cyllama.

Written against cyllama 0.7 (llama.cpp b11669). One context holds all sequences in one pool of attention rows, so a
fork shares its rows with the parent. The recurrent state is copied out and in whole. Knows nothing of text: the
tokenizer is handed in.
"""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cyllama.llama import llama_cpp as cpp

from inference.backends import llama_load
from inference.backends.base import EngineSettings, ModelInfo, Payload, Snapshot, Step, Tokenizer
from inference.backends.llama_pool import RECURRENT_ONLY, WHOLE, Pool
from inference.backends.masked import MaskedSampler
from inference.backends.sequences import MAX_OWED, Sequences, allowed, drawn_along, outcome
from inference.errors import EngineError, ModelBroken, QueueFull
from inference.generation import Constraint, Sampling
from inference.tokenizer import TextTokenizer


class LlamaBackend:
    """One GGUF model in one llama.cpp context."""

    def __init__(self, name: str, path: Path, tokenizer: TextTokenizer, settings: EngineSettings) -> None:
        self.tokenizer: Tokenizer = tokenizer
        self._model, self._context = llama_load.load(path, settings)
        self._chunk = settings.chunk
        self._max_draft = max(0, settings.chunk - 1 - MAX_OWED)  # all in one pass, with what is owed
        self._spare = settings.max_sequences  # the sequence that holds the state while a draft is tried
        self.n_evaluated = 0
        self._batch = cpp.LlamaBatch(n_tokens=settings.chunk, embd=0, n_seq_max=1)
        self._greedy = llama_load.sampler(Sampling())
        self._is_poisoned = False  # some state holds NaN
        self._has_recurrent_state = self._model.is_hybrid() or self._model.is_recurrent()
        n_ctx = min(settings.n_ctx, self._model.n_ctx_train)
        n_vocab = self._model.get_vocab().n_vocab
        self._sequences = Sequences(settings.max_sequences, n_ctx, n_vocab)
        is_fused = llama_load.is_fused(self._model, settings)
        self._pool = Pool(self._context, self._spare, has_state=self._has_recurrent_state, is_fused=is_fused)
        row_bytes, snapshot_bytes, self._state_bytes = self._warm_up()
        self._pool.limit(settings.away_bytes, row_bytes, self._state_bytes)
        self.info = ModelInfo(
            name=name,
            engine="llama",
            n_ctx=n_ctx,
            n_cells=self._context.n_ctx,
            cache_bytes=settings.cache_bytes,
            n_vocab=n_vocab,
            end_ids=tokenizer.end_ids,
            max_sequences=settings.max_sequences,
            weight_bytes=self._model.size,
            row_bytes=row_bytes,
            snapshot_bytes=snapshot_bytes,
            max_together=min(settings.max_sequences, settings.chunk),
            clock=llama_load.clock(settings),
            state_format=llama_load.state_format(self._model, settings),
        )

    def open(self) -> int:
        return self._open(self._sequences.open())

    def _open(self, seq: int) -> int:
        self._pool.open(seq)
        return seq

    def close(self, seq: int) -> None:
        self._sequences.close(seq)
        self._pool.close(seq)

    def evaluate(self, seq: int, tokens: Sequence[int]) -> None:
        """Looks at the logits at once: rows that are no numbers would reach other sequences with the next pass."""
        self._append(seq, *self._sequences.admit(seq, tokens))
        self._sequences.grew(seq, len(tokens))
        self._best(-1)

    def _append(self, seq: int, start: int, tokens: Sequence[int]) -> None:
        if self._is_poisoned:
            self._wash()
        for offset in range(0, len(tokens), self._chunk):
            chunk = tokens[offset : offset + self._chunk]
            self._pool.ready((seq,), len(chunk))
            self._decode(seq, chunk, start + offset)

    def sampler(self, sampling: Sampling, constraint: Constraint | None = None) -> Any:
        if constraint is not None:
            return MaskedSampler(sampling, constraint, self.sampler(sampling))
        return self._greedy if sampling.temperature <= 0 else llama_load.sampler(sampling)

    def sample(self, seq: int, sampler: Any) -> int:
        self._sequences.check_logits(seq)
        return self._draw(-1, sampler)

    def step(self, seq: int, token: int, draft: Sequence[int], sampler: Any) -> tuple[int, ...]:
        constraint = sampler.constraint if isinstance(sampler, MaskedSampler) else None
        draft = allowed(draft[: self._max_draft], constraint)
        self._append(seq, *self._sequences.settle(seq, MAX_OWED))
        start, tokens = self._sequences.admit(seq, (token, *draft))
        n_owed = len(tokens) - 1 - len(draft)
        if not draft:
            self._append(seq, start, tokens)
            self._sequences.drew(seq, 1)
            return (self._draw(-1, sampler),)
        self._pool.ready((seq,), len(tokens))
        # A copy shares the state until the next pass, which writes elsewhere: going back to it copies nothing either.
        self._context.memory_seq_cp(seq, self._spare, -1, -1)
        try:
            self._decode(seq, tokens, start, n_drawn=1 + len(draft))
            drawn = drawn_along(draft, lambda n: self._draw(n_owed + n, sampler))
            missed = len(drawn) <= len(draft)
            if missed:
                self._context.memory_seq_rm(seq, -1, -1)
                self._context.memory_seq_cp(self._spare, seq, -1, -1)
                self._pool.cut(seq, start)
        finally:
            self._context.memory_seq_rm(self._spare, -1, -1)
        self._sequences.drew(seq, len(drawn), tokens[: n_owed + len(drawn)] if missed else ())
        return drawn

    def step_together(self, steps: Sequence[Step]) -> list[int | EngineError]:
        for step in steps:
            self._append(step.seq, *self._sequences.settle(step.seq))
        starts = [self._sequences.admit(step.seq, (step.token,))[0] for step in steps]
        self._pool.ready([step.seq for step in steps], len(steps))
        self._batch.clear()
        for step, start in zip(steps, starts, strict=True):
            self._batch.add(step.token, start, [step.seq], True)
        self._decode_batch(len(steps))
        for step in steps:
            self._pool.grew(step.seq, 1)
            self._sequences.drew(step.seq, 1)
        return [outcome(partial(self._draw, i, step.sampler)) for i, step in enumerate(steps)]

    def _draw(self, index: int, sampler: Any) -> int:
        """The token after the one at `index` of the last batch."""
        best = self._best(index)
        if isinstance(sampler, MaskedSampler):
            if not sampler.constraint.is_free:
                return best if sampler.takes(best) else self._draw_masked(index, sampler)
            sampler = sampler.plain
        if sampler is self._greedy:
            return best
        token: int = sampler.sample(self._context, index)
        return token

    def _best(self, index: int) -> int:
        """What greedy selection takes; and a look at whether the logits are numbers, which costs no copy of the row.

        A comparison with NaN is false, so greedy selection ends at id 0 where all logits (or the first) are NaN. Only
        where it does is the row read. One NaN among numbers can not be selected and stays unseen: it comes of a broken
        row of the output weights, for which all logits are looked at when the model loads.
        """
        best: int = self._greedy.sample(self._context, index)
        if best == 0:
            self._check_logits(index)
        return best

    def snapshot(self, seq: int) -> Snapshot:
        self._append(seq, *self._sequences.settle(seq))
        n_tokens = self._sequences.length(seq)
        state = b""
        if self._has_recurrent_state and n_tokens:
            self._pool.bring(seq)
            state = self._context.get_state_seq_data_with_flags(seq, RECURRENT_ONLY)
        return Snapshot(n_tokens, len(state), state)

    def restore(self, seq: int, snapshot: Snapshot) -> None:
        self._sequences.check_cut(seq, snapshot)
        self._put_back(seq, snapshot)
        self._sequences.cut(seq, snapshot)

    def fork(self, seq: int, snapshot: Snapshot) -> int:
        self._sequences.check_cut(seq, snapshot)
        child = self.open()
        if snapshot.n_tokens:
            self._pool.bring(seq)
            # The copy takes the parent's present recurrent state along; putting the snapshot back replaces it.
            self._context.memory_seq_cp(seq, child, 0, snapshot.n_tokens)
            self._pool.forked(seq, child, snapshot.n_tokens)
        try:
            self._put_back(child, snapshot)
        except Exception:
            self.close(child)
            raise
        self._sequences.cut(child, snapshot)
        return child

    def rows_bytes(self) -> int:
        """The pool of all rows, used or not, is allocated when the model loads."""
        return self.info.n_cells * self.info.row_bytes + self._pool.out_bytes()

    def dump(self, seq: int, snapshot: Snapshot) -> Payload:
        self._sequences.check_dump(seq, snapshot)
        self._pool.bring(seq)
        self._context.memory_seq_cp(seq, self._spare, 0, snapshot.n_tokens)  # shares the rows
        try:
            self._cut(self._spare, snapshot)
            state = self._context.get_state_seq_data_with_flags(self._spare, WHOLE)
        finally:
            self._context.memory_seq_rm(self._spare, -1, -1)
        return self._layout(snapshot.n_tokens), state

    def load(self, payload: Payload, n_tokens: int) -> tuple[int, Snapshot]:
        """llama.cpp looks for its own kinds and sizes, but takes more than is asked for, and believes positions."""
        if len(payload) != 2 or payload[0] != self._layout(n_tokens) or len(payload[1]) != self._n_bytes(n_tokens):
            raise ModelBroken(f"a saved sequence of {n_tokens} tokens is cut off or not of this model")
        self._pool.check_room(n_tokens)
        seq = self._open(self._sequences.open_at(n_tokens))
        try:
            self._context.set_state_seq_data_with_flags(payload[1], seq, WHOLE)
            if self._context.memory_seq_pos_max(seq) != n_tokens - 1:
                raise ModelBroken(f"a saved sequence of {n_tokens} tokens ends elsewhere")
            self._pool.grew(seq, n_tokens)
            return seq, self.snapshot(seq)
        except ValueError as error:
            self.close(seq)
            raise ModelBroken(f"a saved sequence of {n_tokens} tokens is not one of llama.cpp's") from error
        except ModelBroken:
            self.close(seq)
            raise

    def _layout(self, n_tokens: int) -> bytes:
        return f"{self.info.state_format}, {n_tokens} tokens, {self._n_bytes(n_tokens)} bytes".encode()

    def _n_bytes(self, n_tokens: int) -> int:
        return self._state_bytes + n_tokens * self.info.row_bytes

    def shutdown(self) -> None:
        self._context.close()
        self._model.close()

    def _put_back(self, seq: int, snapshot: Snapshot) -> None:
        self._pool.bring(seq)
        self._pool.cut(seq, snapshot.n_tokens)
        self._cut(seq, snapshot)

    def _cut(self, seq: int, snapshot: Snapshot) -> None:
        """State first: llama.cpp refuses to cut a sequence below its recurrent position."""
        if snapshot.n_tokens == 0:
            self._context.memory_seq_rm(seq, -1, -1)
            return
        if snapshot.state:
            self._context.set_state_seq_data_with_flags(snapshot.state, seq, RECURRENT_ONLY)
        if not self._context.memory_seq_rm(seq, snapshot.n_tokens, -1):
            raise ModelBroken(f"llama.cpp could not cut a sequence to {snapshot.n_tokens} tokens")

    def _decode(self, seq: int, tokens: Sequence[int], start: int, n_drawn: int = 1) -> None:
        """One pass. Logits are kept for the last `n_drawn` tokens."""
        self._batch.clear()
        for i, token in enumerate(tokens):
            self._batch.add(token, start + i, [seq], i >= len(tokens) - n_drawn)
        self._decode_batch(len(tokens))
        self._pool.grew(seq, len(tokens))

    def _decode_batch(self, n_tokens: int) -> None:
        self.n_evaluated += n_tokens
        try:
            self._context.decode(self._batch)
        except ValueError as error:  # the tokens are valid, so: no rows left
            raise QueueFull(f"no room for {n_tokens} more tokens in {self._context.n_ctx} rows") from error
        except RuntimeError as error:
            raise ModelBroken(f"llama.cpp could not evaluate: {error}") from error

    def _wash(self) -> None:
        """A sequence with NaN was closed: get rid of its numbers, which lie where they lay. Nothing times NaN is NaN,
        and the attention of others and new recurrent states multiply what is freed with nothing.

        Everything leaves the pool, and comes back into cleaned memory when it is asked for.
        """
        self._pool.empty(wipe=True)
        self._is_poisoned = False

    def _draw_masked(self, index: int, sampler: MaskedSampler) -> int:
        try:
            return sampler.draw(self._context.get_logits_ith(index))
        except ModelBroken:
            self._is_poisoned = True
            raise

    def _check_logits(self, index: int) -> None:
        if not all(map(math.isfinite, self._context.get_logits_ith(index))):
            self._is_poisoned = True
            raise ModelBroken("the model's logits are not numbers")

    def _warm_up(self) -> tuple[int, int, int]:
        """Bytes of one attention row, of one snapshot and of a dump beside its rows, measured; and the first look at
        the logits."""
        seq = self.open()
        sizes = []
        for _ in range(2):
            self.evaluate(seq, [0])
            self._check_logits(-1)
            sizes.append(self._context.get_state_seq_size_with_flags(seq, WHOLE))
        snapshot_bytes = self.snapshot(seq).n_bytes
        self.close(seq)
        row_bytes = sizes[1] - sizes[0]
        return row_bytes, snapshot_bytes, sizes[0] - row_bytes
