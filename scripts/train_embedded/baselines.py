"""What a completion must beat: the commonest training line that begins like this one, and a 6-gram over tokens."""

from __future__ import annotations

import bisect
from collections import Counter

import numpy as np
from numpy.typing import NDArray

HASH = np.uint64(0x9E3779B97F4A7C15)


class FrequentLine:
    """Lines of the training texts, without indentation, with their counts."""

    def __init__(self, texts: list[str]) -> None:
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(line.strip() for line in text.split("\n"))
        self.lines = sorted(line for line in counts if line)
        self.counts = [counts[line] for line in self.lines]

    def rest(self, line_prefix: str) -> str:
        """What follows `line_prefix` in the commonest line that starts so; empty when none does."""
        start = line_prefix.lstrip()
        low = bisect.bisect_left(self.lines, start)
        high = bisect.bisect_left(self.lines, start + "\U0010ffff")
        longer = [i for i in range(low, high) if len(self.lines[i]) > len(start)]
        best = max(longer, key=self.counts.__getitem__, default=None)
        return "" if best is None else self.lines[best][len(start) :]


class SixGram:
    """Greedy 6-gram with back-off to shorter contexts; tables are sorted arrays of (context hash, next token)."""

    def __init__(self, ids: NDArray[np.uint16]) -> None:
        self.tables = [self.table(ids.astype(np.uint64), n) for n in range(5, 0, -1)]
        self.unigrams = np.bincount(ids, minlength=1)

    @staticmethod
    def hashed(columns: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
        """One 64-bit number per row of the columns, the low 12 bits free for the next token."""
        value = np.zeros_like(columns[0])
        for column in columns:
            value = (value ^ (column + np.uint64(1))) * HASH
        return value << np.uint64(12)

    def table(self, ids: NDArray[np.uint64], n: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """Sorted keys (context hash + next token) and counts for contexts of n tokens."""
        columns = [ids[i : len(ids) - n + i] for i in range(n)]
        keys, counts = np.unique(self.hashed(columns) | ids[n:], return_counts=True)
        return keys, counts

    def next(self, context: list[int], allowed: NDArray[np.bool_]) -> int:
        """The commonest allowed token after the longest context that was seen."""
        for n, (keys, counts) in zip(range(5, 0, -1), self.tables, strict=False):
            if len(context) < n:
                continue
            base = self.hashed([np.array([t], np.uint64) for t in context[-n:]])[0]
            low, high = np.searchsorted(keys, [base, base + np.uint64(4096)])
            ranked = sorted(range(low, high), key=lambda i: -int(counts[i]))
            found = next((int(keys[i] - base) for i in ranked if allowed[int(keys[i] - base)]), None)
            if found is not None:
                return found
        return next(int(i) for i in np.argsort(-self.unigrams) if allowed[int(i)])
