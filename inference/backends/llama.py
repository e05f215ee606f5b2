"""llama.cpp behind the contract, through cyllama's low level. The only module that knows cyllama.

Written against cyllama 0.7 (llama.cpp b11669). One context holds all sequences in one pool of attention rows, so a
fork shares its rows with the parent. The recurrent state is copied out and in whole. Knows nothing of text: the
tokenizer is handed in.
"""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cyllama.llama import llama_cpp as cpp
from cyllama.utils.platform import physical_cores

from inference.backends.base import EngineSettings, ModelInfo, Snapshot, Tokenizer
from inference.backends.masked import MaskedSampler
from inference.backends.sequences import MAX_OWED, Sequences, allowed, drawn_along
from inference.errors import ModelBroken, QueueFull
from inference.generation import Constraint, Sampling
from inference.tokenizer import TextTokenizer

log = logging.getLogger(__name__)

_RECURRENT_ONLY = 1  # LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY
_GGML_F32, _GGML_F16 = 0, 1
_ALL_LAYERS = 999
_RANDOM_SEED = 0xFFFFFFFF  # llama.cpp takes this one for "seed from the clock"
_MIN_TEMPERATURE = 1e-5  # below, dividing by it overflows and means greedy anyway
_LOAD_ERRORS_KEPT = 3  # lines of llama.cpp's log in our message


class LlamaBackend:
    """One GGUF model in one llama.cpp context."""

    def __init__(self, name: str, path: Path, tokenizer: TextTokenizer, settings: EngineSettings) -> None:
        self.tokenizer: Tokenizer = tokenizer
        self._model, self._context = _load(path, settings)
        self._chunk = settings.chunk
        self._spare = settings.max_sequences  # the sequence that holds the state while a draft is tried
        self.n_evaluated = 0
        self._batch = cpp.LlamaBatch(n_tokens=settings.chunk, embd=0, n_seq_max=1)
        self._greedy = _chain(Sampling())
        self._is_poisoned = False  # freed rows hold NaN, and nothing times NaN is NaN: they reach other sequences
        self._has_recurrent_state = self._model.is_hybrid() or self._model.is_recurrent()
        n_ctx = min(settings.n_ctx, self._model.n_ctx_train)
        n_vocab = self._model.get_vocab().n_vocab
        self._sequences = Sequences(settings.max_sequences, n_ctx, n_vocab)
        row_bytes, snapshot_bytes = self._warm_up()
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
        )

    def open(self) -> int:
        return self._sequences.open()

    def close(self, seq: int) -> None:
        self._sequences.close(seq)
        self._context.memory_seq_rm(seq, -1, -1)
        if self._is_poisoned and self._sequences.n_open == 0:
            self._context.kv_cache_clear(True)
            self._is_poisoned = False

    def evaluate(self, seq: int, tokens: Sequence[int]) -> None:
        self._append(seq, *self._sequences.admit(seq, tokens))
        self._sequences.grew(seq, len(tokens))

    def _append(self, seq: int, start: int, tokens: Sequence[int]) -> None:
        for offset in range(0, len(tokens), self._chunk):
            self._decode(seq, tokens[offset : offset + self._chunk], start + offset)

    def sampler(self, sampling: Sampling, constraint: Constraint | None = None) -> Any:
        if constraint is not None:
            return MaskedSampler(sampling, constraint)
        return self._greedy if sampling.temperature <= 0 else _chain(sampling)

    def sample(self, seq: int, sampler: Any) -> int:
        self._sequences.check_logits(seq)
        return self._draw(-1, sampler)

    def step(self, seq: int, token: int, draft: Sequence[int], sampler: Any) -> tuple[int, ...]:
        draft = draft[: max(0, self._chunk - 1 - MAX_OWED)]  # all in one pass, with what is owed
        if isinstance(sampler, MaskedSampler):
            draft = allowed(draft, sampler.constraint)
        start, tokens = self._sequences.admit(seq, (token, *draft))
        n_owed = len(tokens) - 1 - len(draft)
        if n_owed > MAX_OWED:
            self._append(seq, start, tokens[:n_owed])
            start, tokens, n_owed = start + n_owed, tokens[n_owed:], 0
        if not draft:
            self._append(seq, start, tokens)
            self._sequences.drew(seq, 1)
            return (self._draw(-1, sampler),)
        # A copy shares the state until the next pass, which writes elsewhere: going back to it copies nothing either.
        self._context.memory_seq_cp(seq, self._spare, -1, -1)
        try:
            self._decode(seq, tokens, start, n_drawn=1 + len(draft))
            drawn = drawn_along(draft, lambda n: self._draw(n_owed + n, sampler))
            missed = len(drawn) <= len(draft)
            if missed:
                self._context.memory_seq_rm(seq, -1, -1)
                self._context.memory_seq_cp(self._spare, seq, -1, -1)
        finally:
            self._context.memory_seq_rm(self._spare, -1, -1)
        self._sequences.drew(seq, len(drawn), tokens[: n_owed + len(drawn)] if missed else ())
        return drawn

    def _draw(self, index: int, sampler: Any) -> int:
        """The token after the one at `index` of the last batch.

        Logits that are not numbers are found by what greedy selection says of them, which costs no copy of the row.
        A comparison with NaN is false, so greedy selection ends at id 0 where all logits (or the first) are NaN. Only
        where it does is the row read. One NaN among numbers can not be selected and stays unseen; infinities are
        looked for at load only.
        """
        if isinstance(sampler, MaskedSampler):
            return self._draw_masked(index, sampler)
        greedy: int = self._greedy.sample(self._context, index)
        if greedy == 0:
            self._check_logits(index)
        if sampler is self._greedy:
            return greedy
        token: int = sampler.sample(self._context, index)
        return token

    def snapshot(self, seq: int) -> Snapshot:
        self._append(seq, *self._sequences.settle(seq))
        n_tokens = self._sequences.length(seq)
        state = b""
        if self._has_recurrent_state and n_tokens:
            state = self._context.get_state_seq_data_with_flags(seq, _RECURRENT_ONLY)
        return Snapshot(n_tokens, len(state), state)

    def restore(self, seq: int, snapshot: Snapshot) -> None:
        self._sequences.check_cut(seq, snapshot)
        self._put_back(seq, snapshot)
        self._sequences.cut(seq, snapshot)

    def fork(self, seq: int, snapshot: Snapshot) -> int:
        self._sequences.check_cut(seq, snapshot)
        child = self._sequences.open()
        if snapshot.n_tokens:
            # The copy takes the parent's present recurrent state along; putting the snapshot back replaces it.
            self._context.memory_seq_cp(seq, child, 0, snapshot.n_tokens)
        try:
            self._put_back(child, snapshot)
        except Exception:
            self.close(child)
            raise
        self._sequences.cut(child, snapshot)
        return child

    def shutdown(self) -> None:
        self._context.close()
        self._model.close()

    def _put_back(self, seq: int, snapshot: Snapshot) -> None:
        """State first: llama.cpp refuses to cut a sequence below its recurrent position."""
        if snapshot.n_tokens == 0:
            self._context.memory_seq_rm(seq, -1, -1)
            return
        if snapshot.state:
            self._context.set_state_seq_data_with_flags(snapshot.state, seq, _RECURRENT_ONLY)
        if not self._context.memory_seq_rm(seq, snapshot.n_tokens, -1):
            raise ModelBroken(f"llama.cpp could not cut a sequence to {snapshot.n_tokens} tokens")

    def _decode(self, seq: int, tokens: Sequence[int], start: int, n_drawn: int = 1) -> None:
        """One pass. Logits are kept for the last `n_drawn` tokens."""
        self._batch.clear()
        for i, token in enumerate(tokens):
            self._batch.add(token, start + i, [seq], i >= len(tokens) - n_drawn)
        self.n_evaluated += len(tokens)
        try:
            self._context.decode(self._batch)
        except ValueError as error:  # the tokens are valid, so: no rows left
            raise QueueFull(f"no room for {len(tokens)} more tokens in {self._context.n_ctx} rows") from error
        except RuntimeError as error:
            raise ModelBroken(f"llama.cpp could not evaluate: {error}") from error

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

    def _warm_up(self) -> tuple[int, int]:
        """Bytes of one attention row and of one snapshot, measured; and the first look at the logits."""
        seq = self.open()
        sizes = []
        for _ in range(2):
            self.evaluate(seq, [0])
            self._check_logits(-1)
            sizes.append(self._context.get_state_seq_size_with_flags(seq, 0))
        snapshot_bytes = self.snapshot(seq).n_bytes
        self.close(seq)
        return sizes[1] - sizes[0], snapshot_bytes


def _load(path: Path, settings: EngineSettings) -> tuple[Any, Any]:
    """The model and its context. llama.cpp's log is read while it loads, and silent afterwards."""
    lines: list[str] = []
    cpp.set_log_callback(lambda _level, text: lines.append(text.strip()))
    try:
        cpp.ggml_backend_load_all()
        model = cpp.LlamaModel(str(path), _model_params())
        return model, cpp.LlamaContext(model, _context_params(settings))
    except (ValueError, RuntimeError, MemoryError, OSError) as error:
        last = " | ".join([line for line in lines if len(line) > 1][-_LOAD_ERRORS_KEPT:])
        raise ModelBroken(f"llama.cpp does not load {path.name}: {error} ({last})") from error
    finally:
        cpp.disable_logging()  # a Python callback left in place is called while the interpreter ends, and crashes it
        log.debug("llama.cpp logged %d lines while loading", len(lines))


def _model_params() -> Any:
    params = cpp.LlamaModelParams()
    has_gpu = any(device["type"] in ("GPU", "iGPU") for device in cpp.ggml_backend_dev_info())
    params.n_gpu_layers = _ALL_LAYERS if has_gpu else 0
    return params


def _context_params(settings: EngineSettings) -> Any:
    params = cpp.LlamaContextParams()
    params.n_ctx = max(settings.n_cells, settings.n_ctx)
    params.n_batch = params.n_ubatch = settings.chunk
    params.n_seq_max = settings.max_sequences + 1  # and the spare one
    params.kv_unified = True
    params.n_threads = params.n_threads_batch = settings.n_threads or physical_cores()
    params.type_k = params.type_v = _GGML_F32 if settings.exact else _GGML_F16
    return params


def _chain(sampling: Sampling) -> Any:
    chain = cpp.LlamaSampler(cpp.LlamaSamplerChainParams())
    if sampling.temperature <= 0:
        chain.add_greedy()
        return chain
    if sampling.top_k > 0:
        chain.add_top_k(sampling.top_k)
    if sampling.top_p < 1:
        chain.add_top_p(sampling.top_p, 1)
    if sampling.min_p > 0:
        chain.add_min_p(sampling.min_p, 1)
    chain.add_temp(max(sampling.temperature, _MIN_TEMPERATURE))
    chain.add_dist(sampling.seed % _RANDOM_SEED)
    return chain
