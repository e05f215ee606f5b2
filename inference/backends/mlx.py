"""MLX behind the contract, through mlx-lm's model and cache classes. The only module that knows mlx and mlx-lm.

Written against mlx 0.32 and mlx-lm 0.32.2; whatever of theirs may move is touched here and nowhere else. Nothing is
imported before a model is loaded. Knows nothing of text: the tokenizer is handed in. Metal: not measured.
"""

import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from math import prod
from pathlib import Path
from typing import Any

from inference.backends.base import EngineSettings, ModelInfo, Payload, Snapshot, Step, Tokenizer
from inference.backends.mlx_rows import Family, Rows
from inference.backends.sequences import MAX_OWED, Sequences, allowed, drawn_along, outcome
from inference.errors import EngineError, EngineUnavailable, ModelBroken
from inference.generation import Constraint, Sampling
from inference.memory import Gpu
from inference.tokenizer import TextTokenizer

_MIN_TEMPERATURE = 1e-5  # below, dividing by it overflows and means greedy anyway


@dataclass(slots=True)
class _Drawing:
    """One job's sampling, its constraint and where its random numbers are."""

    sampling: Sampling
    constraint: Constraint | None
    key: Any


@dataclass(frozen=True, slots=True)
class _Kind:
    """One array of a dump. `of_one` is its shape after one token; attention rows grow along the last axis but one."""

    dtype: Any
    of_one: tuple[int, ...]
    has_rows: bool

    def shape(self, n_tokens: int) -> tuple[int, ...]:
        return (*self.of_one[:-2], n_tokens, self.of_one[-1]) if self.has_rows else self.of_one


class MlxBackend:
    """One safetensors model; a sequence is a list of mlx-lm's cache objects, one per layer. Those of the attention
    layers belong to its family: it must be seated before the model runs on them."""

    def __init__(self, name: str, path: Path, tokenizer: TextTokenizer, settings: EngineSettings) -> None:
        self.tokenizer: Tokenizer = tokenizer
        self._mx, load_model = _import_engine()
        self._together = import_module("inference.backends.mlx_together")  # it can import mlx-lm only now
        self._model, config = _load(self._mx, load_model, path, settings)
        self._chunk = settings.chunk
        self._max_draft = max(0, settings.chunk - 1 - MAX_OWED)  # all in one pass, with what is owed
        self.n_evaluated = 0
        self._caches: dict[int, list[Any]] = {}
        self._rows: dict[int, Rows] = {}
        self._logits: Any = None  # of the sequence evaluated last
        text = config.get("text_config", config)
        n_ctx = min(settings.n_ctx, text["max_position_embeddings"])
        self._sequences = Sequences(settings.max_sequences, n_ctx, text["vocab_size"])
        row_bytes, snapshot_bytes, self._kinds = self._warm_up()
        self.info = ModelInfo(
            name=name,
            engine="mlx",
            n_ctx=n_ctx,
            n_cells=max(settings.n_cells, n_ctx),
            cache_bytes=settings.cache_bytes,
            n_vocab=text["vocab_size"],
            end_ids=tokenizer.end_ids,
            max_sequences=settings.max_sequences,
            weight_bytes=sum(array.nbytes for array in _arrays(self._model.parameters())),
            row_bytes=row_bytes,
            snapshot_bytes=snapshot_bytes,
            max_together=settings.max_sequences,
            state_format=f"mlx {self._mx.__version__} mlx-lm {metadata.version('mlx-lm')} {self._kinds[0].dtype}",
        )

    def open(self) -> int:
        return self._open(self._sequences.open())

    def _open(self, seq: int) -> int:
        caches = self._caches[seq] = self._model.make_cache()
        self._rows[seq] = Family(self._mx, [cache for cache in caches if not _is_recurrent(cache)]).open()
        return seq

    def close(self, seq: int) -> None:
        self._sequences.close(seq)
        rows = self._rows.pop(seq)
        rows.family.close(rows)
        del self._caches[seq]

    def evaluate(self, seq: int, tokens: Sequence[int]) -> None:
        self._append(seq, self._sequences.admit(seq, tokens)[1])
        self._sequences.grew(seq, len(tokens))

    def _append(self, seq: int, tokens: Sequence[int]) -> None:
        for offset in range(0, len(tokens), self._chunk):
            self._logits = self._forward(seq, tokens[offset : offset + self._chunk])

    def sampler(self, sampling: Sampling, constraint: Constraint | None = None) -> _Drawing:
        return _Drawing(sampling, constraint, self._mx.random.key(sampling.seed))

    def sample(self, seq: int, sampler: _Drawing) -> int:
        self._sequences.check_logits(seq)
        return self._draw_first(self._logits, sampler)

    def step(self, seq: int, token: int, draft: Sequence[int], sampler: _Drawing) -> tuple[int, ...]:
        draft = allowed(draft[: self._max_draft], sampler.constraint)
        self._append(seq, self._sequences.settle(seq, MAX_OWED)[1])
        start, tokens = self._sequences.admit(seq, (token, *draft))
        n_owed = len(tokens) - 1 - len(draft)
        before = self._state(seq, start)
        self._logits = self._forward(seq, tokens, n_drawn=1 + len(draft))
        drawn = self._draws(self._logits, draft, sampler)
        missed = len(drawn) <= len(draft)
        if missed:
            self._put_back(seq, before)
        self._sequences.drew(seq, len(drawn), tokens[: n_owed + len(drawn)] if missed else ())
        return drawn

    def step_together(self, steps: Sequence[Step]) -> list[int | EngineError]:
        if not all(self._sequences.length(step.seq) for step in steps):  # its state is not there to be joined
            return [outcome(partial(self._step_alone, step)) for step in steps]
        for step in steps:
            self._append(step.seq, self._sequences.settle(step.seq)[1])
        for step in steps:
            self._sequences.admit(step.seq, (step.token,))
        logits = self._forward_together(steps)
        for step in steps:
            self._sequences.drew(step.seq, 1)
        return [outcome(partial(self._draw_first, logits[i : i + 1], step.sampler)) for i, step in enumerate(steps)]

    def _step_alone(self, step: Step) -> int:
        return self.step(step.seq, step.token, (), step.sampler)[0]

    def _draw_first(self, logits: Any, drawing: _Drawing) -> int:
        return self._draws(logits, (), drawing)[0]

    def snapshot(self, seq: int) -> Snapshot:
        self._append(seq, self._sequences.settle(seq)[1])
        return self._state(seq, self._sequences.length(seq))

    def _state(self, seq: int, n_tokens: int) -> Snapshot:
        """References, no copy: the model replaces recurrent arrays and never writes into them."""
        state = tuple(tuple(cache.cache) for cache in self._caches[seq] if _is_recurrent(cache))
        return Snapshot(n_tokens, sum(array.nbytes for array in _arrays(state)), state)

    def restore(self, seq: int, snapshot: Snapshot) -> None:
        self._sequences.check_cut(seq, snapshot)
        self._put_back(seq, snapshot)
        self._sequences.cut(seq, snapshot)

    def fork(self, seq: int, snapshot: Snapshot) -> int:
        """The child shares the attention rows of its parent. Nothing is copied."""
        self._sequences.check_cut(seq, snapshot)
        child = self._sequences.open()
        rows = self._rows[seq].family.fork(self._rows[seq], snapshot.n_tokens)
        shared = iter(rows.family.caches)
        self._rows[child] = rows
        self._caches[child] = [own if _is_recurrent(own) else next(shared) for own in self._model.make_cache()]
        self._put_back(child, snapshot)
        self._sequences.cut(child, snapshot)
        return child

    def dump(self, seq: int, snapshot: Snapshot) -> Payload:
        self._sequences.check_dump(seq, snapshot)
        rows = self._rows[seq]
        arrays = _arrays([rows.family.read(rows, snapshot.n_tokens), snapshot.state])
        raw = [self._mx.contiguous(array.flatten()).view(self._mx.uint8) for array in arrays]
        self._mx.eval(raw)
        return self._layout(snapshot.n_tokens), *[memoryview(array) for array in raw]

    def load(self, payload: Payload, n_tokens: int) -> tuple[int, Snapshot]:
        mx, shapes = self._mx, [kind.shape(n_tokens) for kind in self._kinds]
        sizes = [kind.dtype.size * prod(shape) for kind, shape in zip(self._kinds, shapes, strict=True)]
        if not payload or payload[0] != self._layout(n_tokens) or list(map(len, payload[1:])) != sizes:
            raise ModelBroken(f"a saved sequence of {n_tokens} tokens is cut off or not of this model")
        seq = self._open(self._sequences.open_at(n_tokens))
        pieces = zip(payload[1:], self._kinds, shapes, strict=True)
        arrays = iter([mx.array(memoryview(raw)).view(kind.dtype).reshape(shape) for raw, kind, shape in pieces])
        rows, caches = self._rows[seq], self._caches[seq]
        try:
            rows.family.append(rows, [(next(arrays), next(arrays)) for _ in rows.family.caches])
            for cache in filter(_is_recurrent, caches):
                cache.cache = [next(arrays) for _ in cache.cache]
            mx.eval([_held(cache) for cache in caches])
        except Exception:
            self.close(seq)
            raise
        return seq, self._state(seq, n_tokens)

    def _layout(self, n_tokens: int) -> bytes:
        return f"{self.info.state_format}, {n_tokens} tokens, {self._kinds}".encode()

    def rows_bytes(self) -> int:
        """Bytes of attention rows in memory: shared ones once, with the room that the cache objects keep ahead."""
        return sum(family.n_bytes for family in {rows.family for rows in self._rows.values()})

    def shutdown(self) -> None:
        self._caches.clear()
        self._rows.clear()
        self._model = self._logits = None
        self._mx.clear_cache()

    def _put_back(self, seq: int, snapshot: Snapshot) -> None:
        """Recurrent references as they were, attention rows cut. Lengths and padding of batches are never set here."""
        self._rows[seq].family.cut(self._rows[seq], snapshot.n_tokens)
        recurrent = (cache for cache in self._caches[seq] if _is_recurrent(cache))
        for cache, state in zip(recurrent, snapshot.state, strict=True):
            cache.cache = list(state)

    def _forward(self, seq: int, tokens: Sequence[int], n_drawn: int = 1) -> Any:
        """One pass; logits of the last `n_drawn` tokens. A whole chunk's would take gigabytes at a real vocabulary."""
        text, caches, rows = self._model.language_model, self._caches[seq], self._rows[seq]
        rows.family.seat(rows)
        hidden = text.model(self._mx.array([tokens]), cache=caches)[0, -n_drawn:]
        logits = self._head(hidden)
        self._mx.eval(logits, [_held(cache) for cache in caches])
        rows.family.grew(rows, len(tokens))
        self.n_evaluated += len(tokens)
        return logits

    def _head(self, hidden: Any) -> Any:
        text = self._model.language_model
        return text.model.embed_tokens.as_linear(hidden) if text.args.tie_word_embeddings else text.lm_head(hidden)

    def _forward_together(self, steps: Sequence[Step]) -> Any:
        """One pass with a token of each; logits, a row for each. No sequence of them is empty."""
        members = [self._rows[step.seq] for step in steps]
        columns = list(zip(*(self._caches[step.seq] for step in steps), strict=True))  # a layer's cache objects each
        attended = iter(self._together.attended(members))
        caches = [self._together.joined(each) if _is_recurrent(each[0]) else next(attended) for each in columns]
        hidden = self._model.language_model.model(self._mx.array([[step.token] for step in steps]), cache=caches)
        logits = self._head(hidden[:, -1])
        for each, cache in zip(columns, caches, strict=True):
            if _is_recurrent(cache):
                self._together.parted(cache, each)
        arrays = [_held(one) for each in columns if _is_recurrent(each[0]) for one in each]
        self._mx.eval(logits, arrays, [cache.held for cache in caches if not _is_recurrent(cache)])
        self._together.grew(members)
        self.n_evaluated += len(steps)
        return logits

    def _draws(self, logits: Any, draft: Sequence[int], drawing: _Drawing) -> tuple[int, ...]:
        """What is drawn along the draft, from its rows of logits. Greedy: all at once, not a wait for each."""
        mx = self._mx
        best = mx.argmax(logits, axis=-1)
        is_finite = mx.all(mx.isfinite(logits))
        mx.eval(best, is_finite)
        if not is_finite.item():
            raise ModelBroken("the model's logits are not numbers")
        if (constraint := drawing.constraint) is not None:
            return drawn_along(draft, lambda n: self._draw_masked(logits[n], drawing, constraint))
        if drawing.sampling.temperature <= 0:
            return drawn_along(draft, best.tolist().__getitem__)
        return drawn_along(draft, lambda n: int(self._draw(logits[n], drawing).item()))

    def _draw_masked(self, row: Any, drawing: _Drawing, constraint: Constraint) -> int:
        mx = self._mx
        row = mx.where(mx.array(memoryview(constraint.mask())), row, -mx.inf)
        drawn = mx.argmax(row) if drawing.sampling.temperature <= 0 else self._draw(row, drawing)
        token = int(drawn.item())
        constraint.accept(token)
        return token

    def _draw(self, row: Any, drawing: _Drawing) -> Any:
        """An exact draw. The filters look at the distribution before the temperature."""
        mx, sampling, logits = self._mx, drawing.sampling, row.astype(self._mx.float32)
        drawing.key, key = mx.random.split(drawing.key)
        order = mx.argsort(-logits)
        ranked = logits[order] - logits[order[0]]
        rank = mx.arange(ranked.size)
        keep = rank < (sampling.top_k or ranked.size)
        if sampling.top_p < 1:
            p = mx.softmax(mx.where(keep, ranked, -mx.inf))
            keep &= mx.cumsum(p) - p < sampling.top_p
        if sampling.min_p > 0:
            keep &= mx.exp(ranked) >= sampling.min_p
        scaled = ranked / max(sampling.temperature, _MIN_TEMPERATURE)
        return order[mx.random.categorical(mx.where(keep | (rank == 0), scaled, -mx.inf), key=key)]

    def _warm_up(self) -> tuple[int, int, list[_Kind]]:
        """Bytes of one attention row and of one snapshot, measured; what a dump holds; the first look at the logits."""
        seq = self.open()
        self.evaluate(seq, [0])
        self.sample(seq, self.sampler(Sampling()))
        rows = [cache for cache in self._caches[seq] if not _is_recurrent(cache)]
        row_bytes = sum((cache.keys.nbytes + cache.values.nbytes) // cache.keys.shape[2] for cache in rows)
        snapshot = self.snapshot(seq)
        dumped = self._rows[seq].family.read(self._rows[seq], 1)
        kinds = [_Kind(array.dtype, array.shape, has_rows=True) for array in _arrays(dumped)]
        kinds += [_Kind(array.dtype, array.shape, has_rows=False) for array in _arrays(snapshot.state)]
        self.close(seq)
        return row_bytes, snapshot.n_bytes, kinds


def _has_metal() -> bool:
    return sys.platform == "darwin" and platform.machine() == "arm64"


def _import_engine() -> tuple[Any, Any]:
    """mlx and mlx-lm's loader. mlx-lm lowers the limit of open files for the whole process, and fails where it can
    not: it is kept from trying, because a lowered hard limit can not be raised again without privilege."""
    if not _has_metal():
        os.environ.setdefault("MLX_DISABLE_COMPILE", "1")  # else g++ runs for seconds per kernel
    try:
        import resource
    except ImportError as error:
        raise EngineUnavailable("MLX does not run on this system") from error
    set_limit = resource.setrlimit
    resource.setrlimit = lambda *_: None
    try:
        import mlx.core as mx
        from mlx_lm.utils import load_model

        from inference.backends import mlx_scan, mlx_together
    finally:
        resource.setrlimit = set_limit
    mlx_scan.install()
    mlx_together.install()
    return mx, load_model


def gpu() -> Gpu | None:
    """What Metal lets a process use; None where there is no Metal."""
    mx, _ = _import_engine()
    if not mx.metal.is_available():
        return None
    device = mx.device_info()
    return Gpu(device["device_name"], device["max_recommended_working_set_size"], is_shared=True, kind="metal")


def _load(mx: Any, load_model: Any, path: Path, settings: EngineSettings) -> tuple[Any, dict[str, Any]]:
    """The model, its weights in memory. Off Metal in fp32: half precision mixtures fail or are imprecise there."""
    mx.set_cache_limit(settings.work_bytes)  # else MLX keeps freed buffers without a bound
    if mx.metal.is_available():
        most: int = mx.device_info()["max_recommended_working_set_size"]
        mx.set_wired_limit(min(settings.wired_bytes or most, most))
    try:
        model, config = load_model(path, lazy=True)
        if not mx.metal.is_available():
            model.set_dtype(mx.float32)
        mx.eval(model.parameters())
        if not mx.metal.is_available():
            _store_by_column(mx, model)
    except (ValueError, KeyError, TypeError, RuntimeError, OSError) as error:
        raise ModelBroken(f"mlx-lm does not load {path.name}: {type(error).__name__}: {error}") from error
    unknown = {type(cache).__name__ for cache in model.make_cache()} - {"ArraysCache", "KVCache"}
    if unknown:
        raise ModelBroken(f"the model keeps its state in {', '.join(sorted(unknown))}, which is not supported")
    return model, config


def _store_by_column(mx: Any, model: Any) -> None:
    """The BLAS of MLX's processor builds takes twice as long on `x @ weight.T` where the rows of `weight` lie in order,
    so its columns do. Doubles prefill there."""
    from mlx.nn import Linear
    from mlx_lm.models.switch_layers import SwitchLinear

    for module in model.modules():
        if isinstance(module, Linear | SwitchLinear):
            by_column = mx.contiguous(module.weight.swapaxes(-1, -2))
            mx.eval(by_column)
            module.weight = by_column.swapaxes(-1, -2)


def _is_recurrent(cache: Any) -> bool:
    return hasattr(cache, "cache")  # ArraysCache; a KVCache has keys and values


def _held(cache: Any) -> list[Any]:
    """What a cache object holds after an evaluation."""
    return list(cache.cache) if _is_recurrent(cache) else [cache.keys, cache.values]


def _arrays(tree: Any) -> list[Any]:
    """The arrays in nested dicts, lists and tuples; None where a state is still empty."""
    if tree is None:
        return []
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, list | tuple):
        return [tree]
    return [array for branch in tree for array in _arrays(branch)]
