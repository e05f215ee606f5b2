"""Attention rows of sequences that began as one: what they share is stored once, and switching costs only tails.

A `Family` has one set of mlx-lm's KVCache objects, one per attention layer, and in them the rows of the sequence that
is *seated*: its attention runs on them as it would without us, at the same speed and to the same bit. The other
members have in memory of their own only the rows that the seated one does not share; taking the seat swaps those
with the seated one's. Sequences that share nothing are families of their own and never disturb each other.

Knows no model, no tokens and no recurrent state. The KVCache objects grow by steps of 256 rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

SLACK = 1024  # rows: a seat this much longer than what it is needed for is cut to size, at the cost of a copy


@dataclass(slots=True, eq=False)
class Piece:
    """A run of rows, from one branch point to the next, on the path of every sequence that shares it."""

    start: int
    end: int
    parked: list[tuple[Any, Any]] | None = None  # keys and values per layer; None: in the KVCache objects


@dataclass(slots=True, eq=False)
class Rows:
    """One sequence's rows: pieces, each beginning where the last one ends."""

    family: "Family"
    path: list[Piece] = field(default_factory=list)

    @property
    def n_rows(self) -> int:
        return self.path[-1].end if self.path else 0


class Family:
    """All sequences forked from one another, and the KVCache objects they take turns in."""

    def __init__(self, mx: Any, caches: Iterable[Any]) -> None:
        self._mx = mx
        self.caches = list(caches)
        self._members: list[Rows] = []
        self._seated: list[Piece] = []  # what the KVCache objects hold; pieces without an owner are garbage

    def open(self) -> Rows:
        self._members.append(Rows(self))
        return self._members[-1]

    def close(self, rows: Rows) -> None:
        """Rows that no other member shares are freed."""
        self._members.remove(rows)
        self._shrink()
        self._merge()

    def fork(self, rows: Rows, n_rows: int) -> Rows:
        """A new member that shares the first `n_rows` rows. Copies nothing that is seated."""
        self._split(rows, n_rows)
        child = self.open()
        child.path = [piece for piece in rows.path if piece.end <= n_rows]
        return child

    def cut(self, rows: Rows, n_rows: int) -> None:
        """Keep the first `n_rows` rows."""
        if n_rows < rows.n_rows:
            self._split(rows, n_rows)
            rows.path = [piece for piece in rows.path if piece.end <= n_rows]
            self._shrink()

    def seat(self, rows: Rows) -> None:
        """Have the KVCache objects hold exactly these rows, so that the model can append to them."""
        n_same = self._n_same(rows)
        self._park(self._seated[n_same:])
        self._seated = list(rows.path)
        self._set_offset(rows.path[n_same - 1].end if n_same else 0)
        for piece in rows.path[n_same:]:
            assert piece.parked is not None
            for cache, (keys, values) in zip(self.caches, piece.parked, strict=True):
                cache.update_and_fetch(keys, values)
            self._mx.eval([(cache.keys, cache.values) for cache in self.caches])
            piece.parked = None  # only now: one piece at a time is in memory twice

    def read(self, rows: Rows, n_rows: int) -> list[tuple[Any, Any]]:
        """The first `n_rows` rows, keys and values per layer, copied from wherever they are. Nobody changes seats."""
        seat = [(cache.keys, cache.values) for cache in self.caches]
        runs = []
        for piece in rows.path:
            if piece.start < n_rows:
                source, start = (seat, piece.start) if piece.parked is None else (piece.parked, 0)
                run = slice(start, start + min(piece.end, n_rows) - piece.start)
                runs.append([(keys[..., run, :], values[..., run, :]) for keys, values in source])
        layers = [zip(*pairs, strict=True) for pairs in zip(*runs, strict=True)]
        joined = [
            (self._mx.concatenate(keys, axis=-2), self._mx.concatenate(values, axis=-2)) for keys, values in layers
        ]
        return self._copy(joined, slice(None))

    def append(self, rows: Rows, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Rows from elsewhere, keys and values per layer, behind those of a sequence."""
        self.seat(rows)
        before = rows.n_rows
        for cache, (keys, values) in zip(self.caches, pairs, strict=True):
            cache.update_and_fetch(keys, values)
        self._mx.eval([(cache.keys, cache.values) for cache in self.caches])
        self.grew(rows, self.caches[0].offset - before)

    def grew(self, rows: Rows, n_rows: int) -> None:
        """The model has appended `n_rows` rows to the seated sequence."""
        last = rows.path[-1] if rows.path else None
        if last is not None and self._n_owners(last) == 1:
            last.end += n_rows
        else:
            rows.path.append(Piece(rows.n_rows, rows.n_rows + n_rows))
            self._seated = list(rows.path)

    def stand(self, rows: Rows) -> None:
        """Rows can be pushed onto this member while another has the seat: a piece of its own is parked at its end."""
        last = rows.path[-1]
        if last.parked is None or self._n_owners(last) > 1:
            rows.path.append(Piece(rows.n_rows, rows.n_rows, []))

    def push(self, rows: Rows, layer: int, keys: Any, values: Any) -> None:
        """One layer's next row of a member that stands. When all layers have theirs, it `grew`."""
        parked = rows.path[-1].parked
        assert parked is not None
        if layer == len(parked):
            parked.append((keys, values))
        else:
            pairs = zip(parked[layer], (keys, values), strict=True)
            old_and_new = [self._mx.concatenate([old, new], axis=-2) for old, new in pairs]
            parked[layer] = (old_and_new[0], old_and_new[1])

    def runs(self, rows: Rows, layer: int) -> list[tuple[Any, Any]]:
        """Where one layer's rows of a member that stands lie, first to last; those in the seat are one run."""
        n_seated = max((piece.end for piece in rows.path if piece.parked is None), default=0)
        cache = self.caches[layer]
        seated = [(cache.keys[..., :n_seated, :], cache.values[..., :n_seated, :])] if n_seated else []
        return seated + [piece.parked[layer] for piece in rows.path if piece.parked is not None]

    @property
    def n_bytes(self) -> int:
        """Held in memory: shared rows once, and the seat's spare room."""
        pieces = {id(piece): piece for rows in self._members for piece in rows.path}
        parked = [array for piece in pieces.values() for pair in piece.parked or () for array in pair]
        n_bytes: int = sum(cache.nbytes for cache in self.caches) + sum(array.nbytes for array in parked)
        return n_bytes

    def _n_owners(self, piece: Piece) -> int:
        return sum(piece in rows.path for rows in self._members)

    def _n_same(self, rows: Rows) -> int:
        """How many of the leading pieces of a path are seated."""
        pairs = zip(self._seated, rows.path, strict=False)
        return next((i for i, (a, b) in enumerate(pairs) if a is not b), min(len(self._seated), len(rows.path)))

    def _split(self, rows: Rows, at: int) -> None:
        """Make `at` a border between pieces, for every member on whose path it lies."""
        whole = next((piece for piece in rows.path if piece.start < at < piece.end), None)
        if whole is None:
            return
        upper, lower = Piece(whole.start, at), Piece(at, whole.end)
        if whole.parked is not None:
            n_upper = at - whole.start
            upper.parked = self._copy(whole.parked, slice(None, n_upper))
            lower.parked = self._copy(whole.parked, slice(n_upper, None))
        for path in (self._seated, *(member.path for member in self._members)):
            if whole in path:
                i = path.index(whole)
                path[i : i + 1] = [upper, lower]

    def _merge(self) -> None:
        """Borders where no paths part any more go, or a long-lived sequence would collect them for ever."""
        for upper, lower in list(pairwise(self._seated)):
            if self._n_owners(upper) == self._n_owners(lower):  # who has the lower one has the upper one
                lower.start = upper.start
                for path in (self._seated, *(member.path for member in self._members)):
                    if upper in path:
                        path.remove(upper)

    def _park(self, pieces: list[Piece]) -> None:
        """Copy rows out of the seat before others are written over them; what has no owner is forgotten."""
        seat = [(cache.keys, cache.values) for cache in self.caches]
        for piece in pieces:
            if self._n_owners(piece):
                piece.parked = self._copy(seat, slice(piece.start, piece.end))

    def _copy(self, pairs: list[tuple[Any, Any]], run: slice) -> list[tuple[Any, Any]]:
        copies = [(self._mx.contiguous(k[..., run, :]), self._mx.contiguous(v[..., run, :])) for k, v in pairs]
        self._mx.eval(copies)
        return copies

    def _set_offset(self, n_rows: int) -> None:
        """Not by trimming: after a failure in the middle of the model the layers' offsets differ."""
        for cache in self.caches:
            cache.offset = n_rows

    def _shrink(self) -> None:
        """Give back the room of rows that nobody has any more, if it is much."""
        while self._seated and not self._n_owners(self._seated[-1]):
            self._seated.pop()
        n_rows = max((rows.n_rows for rows in self._members), default=0)
        for cache in self.caches:
            if cache.keys is not None and cache.keys.shape[2] - n_rows > SLACK:
                kept = self._copy([(cache.keys, cache.values)], slice(None, n_rows))
                cache.keys, cache.values = kept[0] if n_rows else (None, None)
