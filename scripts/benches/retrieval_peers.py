"""What retrieval is compared with: symbols that share rare words, and a map of the repository by PageRank."""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qwen_lsp.context.pack import estimate
from qwen_lsp.eval.masked import Masked, Places
from qwen_lsp.index.snapshot import IndexSnapshot

RARE_FILES = 50
NEAR_CHARS = 2_000
DAMPING = 0.85
STEPS = 30
MOST_LISTED = 2_000
COMMON_DEFINITIONS = 5  # names with more of them tell little
LONG_NAME_CHARS = 8
_WORD = re.compile(r"[^\W\d]\w{2,}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a prompt holds of a file, as a range of the file's text."""

    path: str
    start: int
    end: int
    n_tokens: int = 0


def cut(best: Sequence[Shown], n_tokens: int) -> Sequence[Shown]:
    """As many of the best as fit; what is too long is left out."""
    shown, left = [], n_tokens
    for each in best:
        if each.n_tokens <= left:
            left -= each.n_tokens
            shown.append(each)
    return shown


def rare_words(root: Path, snapshot: IndexSnapshot, masked: Masked) -> Sequence[Shown]:
    """Whole symbols, best first, by the sum of the rarities of the words that they share with the cursor's part."""
    near = masked.text[max(masked.offset - NEAR_CHARS, 0) : masked.offset + NEAR_CHARS // 2]
    chunks = []
    for ranked in snapshot.rare_terms(_WORD.findall(near), RARE_FILES):
        outline = snapshot.file(ranked.path)
        if ranked.path == masked.path or outline is None:
            continue
        text = (root / ranked.path).read_text("utf-8", "replace")
        weights = {term: 1 / (1 + place) + 1 for place, term in enumerate(ranked.terms)}
        for each in outline.definitions:
            body = text[each.start : each.end]
            words = set(_WORD.findall(body))
            score = sum(weight for term, weight in weights.items() if term in words) / (1 + math.log(1 + len(words)))
            if score and each.body_start is not None:
                chunks.append((-score, ranked.path, each.start, each.end, estimate(body)))
    return [Shown(path, start, end, cost) for _, path, start, end, cost in sorted(chunks)]


class Map:
    """Files point to the files that define what they use; who is pointed at from the open file ranks high.

    An edge for each name that a file has and another defines, heavier for names that tell more. Signatures are listed
    by what flows along the edges of their names.
    """

    def __init__(self, root: Path, paths: Sequence[str], places: Places) -> None:
        self._paths, self._places = list(paths), places
        self._number = {path: number for number, path in enumerate(paths)}
        self._names = sorted(places)
        ids = {name: number for number, name in enumerate(self._names)}
        rows: list[tuple[int, int, int, float]] = []
        for path in paths:
            counts = Counter(_WORD.findall((root / path).read_text("utf-8", "replace")))
            for name, count in counts.items():
                defining = {other for other, _ in places.get(name, ())} - {path}
                weight = math.sqrt(count) * _telling(name, len(defining)) if defining else 0.0
                if len(defining) <= 4 * COMMON_DEFINITIONS:  # the rest is a big part of the edges and of no weight
                    rows += [(self._number[path], self._number[other], ids[name], weight) for other in defining]
        self._source, self._target, self._name = (
            np.array([row[column] for row in rows], dtype=np.int64) for column in range(3)
        )
        self._weight = np.array([row[3] for row in rows])

    def shown(self, masked: Masked) -> Callable[[int], Sequence[Shown]]:
        """What the map lists within a budget: signatures, best first."""
        best = self._best(masked)
        return lambda n_tokens: cut(best, n_tokens)

    def _best(self, masked: Masked) -> Sequence[Shown]:
        flow = self._flow(masked)
        unique, inverse = np.unique(self._target * len(self._names) + self._name, return_inverse=True)
        totals = np.bincount(inverse, flow)
        best: list[Shown] = []
        seen: set[str] = {masked.path}
        for place in np.argsort(-totals, kind="stable")[:MOST_LISTED]:
            target, name = divmod(int(unique[place]), len(self._names))
            path = self._paths[target]
            for of, definition in self._places[self._names[name]] if path != masked.path else ():
                if of == path:
                    cost = estimate(definition.signature + "\n") + (0 if path in seen else estimate(path))
                    best.append(Shown(path, definition.name_start, definition.name_start + 1, cost))
                    seen.add(path)
        return best

    def _flow(self, masked: Masked) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """What flows along each edge, starting at the open file, which does not know the masked line."""
        n_files, here = len(self._paths), self._number[masked.path]
        hidden = [number for number, name in enumerate(self._names) if name in masked.hard]
        weight = np.where((self._source == here) & np.isin(self._name, hidden), 0.0, self._weight)
        out = np.bincount(self._source, weight, minlength=n_files)
        share = weight / np.maximum(out, 1e-12)[self._source]
        start = np.zeros(n_files)
        start[here] = 1.0
        rank = start
        for _ in range(STEPS):
            moved = np.bincount(self._target, rank[self._source] * share, minlength=n_files)
            lost = 1.0 - moved.sum()  # files that use nothing
            rank = DAMPING * (moved + lost * start) + (1 - DAMPING) * start
        return rank[self._source] * share


def _telling(name: str, n_files: int) -> float:
    weight = 1.0
    if len(name) >= LONG_NAME_CHARS and ("_" in name or (name != name.lower() and name != name.upper())):
        weight *= 10
    if name.startswith("_"):
        weight *= 0.1
    return weight * 0.1 if n_files > COMMON_DEFINITIONS else weight
