"""MLX behind the contract, through mlx-lm's model and cache classes. Only this module and `mlx_*` know mlx and mlx-lm.

Written against mlx 0.32 and mlx-lm 0.32.2; whatever of theirs may move is touched here and nowhere else. Nothing is
imported before a model is loaded. Knows nothing of text: the tokenizer is handed in. Metal: not measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from math import prod
from pathlib import Path
from typing import Any

from inference.backends import mlx_load
from inference.backends.base import EngineSettings, ModelInfo, Payload, Snapshot, Step, Tokenizer
from inference.backends.mlx_draw import Drawing
from inference.backends.mlx_rows import Family, Rows
from inference.backends.sequences import MAX_OWED, Sequences, allowed, outcome
from inference.errors import EngineError, ModelBroken
from inference.generation import Constraint, Sampling
from inference.tokenizer import TextTokenizer


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
        self._mx, load_model = mlx_load.import_engine()
        self._together = import_module("inference.backends.mlx_together")  # it can import mlx-lm only now
        self._model, config = mlx_load.load(self._mx, load_model, path, settings)
        self._chunk = settings.chunk
        self._max_draft = max(0, settings.chunk - 1 - MAX_OWED)  # all in one pass, with what is owed
        self.n_evaluated = 0
        self._caches: dict[int, list[Any]] = {}
        self._rows: dict[int, Rows] = {}
        self._logits: Any = None  # of the sequence evaluated last; not computed before something is drawn from them
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
            clock=mlx_load.clock(self._mx),
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
        """Without the logits, and so without most of the last layer, which only they need."""
        for offset in range(0, len(tokens), self._chunk):
            self._logits = self._forward(seq, tokens[offset : offset + self._chunk])

    def sampler(self, sampling: Sampling, constraint: Constraint | None = None) -> Drawing:
        return Drawing(self._mx, sampling, constraint, self._mx.random.key(sampling.seed))

    def sample(self, seq: int, sampler: Drawing) -> int:
        self._sequences.check_logits(seq)
        return sampler.draws(self._logits)[0]

    def step(self, seq: int, token: int, draft: Sequence[int], sampler: Drawing) -> tuple[int, ...]:
        draft = allowed(draft[: self._max_draft], sampler.constraint)
        self._append(seq, self._sequences.settle(seq, MAX_OWED)[1])
        start, tokens = self._sequences.admit(seq, (token, *draft))
        n_owed = len(tokens) - 1 - len(draft)
        before = self._state(seq, start)
        self._logits = self._forward(seq, tokens, n_drawn=1 + len(draft))
        drawn = sampler.draws(self._logits, draft)
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
        return [outcome(partial(_first, step.sampler, logits[i : i + 1])) for i, step in enumerate(steps)]

    def _step_alone(self, step: Step) -> int:
        return self.step(step.seq, step.token, (), step.sampler)[0]

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
        """One pass; logits of the last `n_drawn` tokens, not computed yet: a whole chunk's can be gigabytes."""
        text, caches, rows = self._model.language_model, self._caches[seq], self._rows[seq]
        self._logits = None  # what was not computed holds on to rows: they would be copied, not written behind
        rows.family.seat(rows)
        hidden = text.model(self._mx.array([tokens]), cache=caches)[0, -n_drawn:]
        logits = self._head(hidden)
        self._mx.eval([_held(cache) for cache in caches])
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


def _first(drawing: Drawing, logits: Any) -> int:
    return drawing.draws(logits)[0]


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
