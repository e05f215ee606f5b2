"""One decoding pass for several sequences: a row of the batch for each, and attention on the rows where they lie.

mlx-lm's own batches want the rows of all sequences padded in one array. Here the layers run on the batch, and only
attention goes from sequence to sequence: for the seated member of a family it is what it is alone, for the others it
reads the family's shared rows in the seat and their own beside it, under one softmax. No row is copied for it.
Recurrent states are joined before the pass and taken apart after it. Knows no tokens and no model.
"""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models import qwen3_next
from mlx_lm.models.cache import ArraysCache

from inference.backends.mlx_rows import Rows

_fused = qwen3_next.scaled_dot_product_attention


def install() -> None:
    """Stand in for the attention of mlx-lm's layers, for the whole process: only `Attended` notices."""
    qwen3_next.scaled_dot_product_attention = _attention


def attended(members: Sequence[Rows]) -> list["Attended"]:
    """What stands for the cache objects of the attention layers, one per layer. Takes the seats."""
    seated = {rows.family: rows for rows in reversed(members)}  # the first of each family, the same in the next pass
    for family, rows in seated.items():
        family.seat(rows)
    for rows in members:
        if seated[rows.family] is not rows:
            rows.family.stand(rows)
    is_seated = [seated[rows.family] is rows for rows in members]
    offset = mx.array([rows.n_rows for rows in members])
    return [Attended(layer, members, is_seated, offset) for layer in range(len(members[0].family.caches))]


def grew(members: Sequence[Rows]) -> None:
    """Each has one row more in every layer."""
    for rows in members:
        rows.family.grew(rows, 1)


def joined(caches: Sequence[Any]) -> Any:
    """The states of one recurrent layer, a row of the batch each."""
    batch = ArraysCache(len(caches[0].cache))
    batch.cache = [mx.concatenate(list(arrays)) for arrays in zip(*(cache.cache for cache in caches), strict=True)]
    return batch


def parted(batch: Any, caches: Sequence[Any]) -> None:
    """Each its own again, copied: a slice would keep the states of all in memory."""
    for i, cache in enumerate(caches):
        cache.cache = [array[mx.array([i])] for array in batch.cache]


class Attended:
    """One layer's rows of all sequences in a pass. mlx-lm takes it for a cache object."""

    def __init__(self, layer: int, members: Sequence[Rows], is_seated: Sequence[bool], offset: Any) -> None:
        self.offset = offset
        self._layer = layer
        self._members = members
        self._is_seated = is_seated

    def make_mask(self, *_: Any, **__: Any) -> None:
        """One token each, which sees all of its own."""

    def update_and_fetch(self, keys: Any, values: Any) -> tuple[Any, Any]:
        """Appends a row to each; where they lie is asked by `attend`."""
        for i, (rows, sits) in enumerate(zip(self._members, self._is_seated, strict=True)):
            one = keys[i : i + 1], values[i : i + 1]
            if sits:
                rows.family.caches[self._layer].update_and_fetch(*one)
            else:
                rows.family.push(rows, self._layer, *one)
        return keys, values

    def attend(self, queries: Any, scale: float) -> Any:
        each = zip(self._members, self._is_seated, strict=True)
        return mx.concatenate([self._one(queries[i : i + 1], scale, rows, sits) for i, (rows, sits) in enumerate(each)])

    def _one(self, query: Any, scale: float, rows: Rows, sits: bool) -> Any:
        if sits:
            cache = rows.family.caches[self._layer]
            return _fused(query, *cache.keys_and_values(), cache=cache, scale=scale, mask=None)
        return _over_runs(query, rows.family.runs(rows, self._layer), scale)

    @property
    def held(self) -> list[Any]:
        """Arrays that the pass has made."""
        seats = [rows.family.caches[self._layer] for rows in self._members]
        tails = [rows.path[-1].parked[self._layer] for rows in self._members if rows.path[-1].parked]
        return [[seat.keys, seat.values] for seat in seats] + [list(tail) for tail in tails]


def _attention(queries: Any, keys: Any, values: Any, cache: Any, scale: float, mask: Any, sinks: Any = None) -> Any:
    if isinstance(cache, Attended):
        return cache.attend(queries, scale)
    return _fused(queries, keys, values, cache=cache, scale=scale, mask=mask, sinks=sinks)


def _over_runs(query: Any, runs: Sequence[tuple[Any, Any]], scale: float) -> Any:
    """Attention of one token over rows that lie in several arrays."""
    _, n_heads, _, dim = query.shape
    grouped = (query * scale).reshape(1, runs[0][0].shape[1], -1, dim)
    scores = mx.concatenate([grouped @ keys.swapaxes(-1, -2) for keys, _ in runs], axis=-1)
    shares = mx.softmax(scores, axis=-1, precise=True)
    seen, start = mx.zeros_like(grouped), 0
    for keys, values in runs:
        end = start + keys.shape[2]
        seen = seen + shares[..., start:end] @ values
        start = end
    return seen.reshape(1, n_heads, 1, dim)
