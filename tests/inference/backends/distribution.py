"""What sampling should draw, computed the plain way, and how far draws are from it."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.generation import Sampling

SAMPLINGS = (
    Sampling(temperature=1.0),
    Sampling(temperature=1.3, top_k=20),
    Sampling(temperature=0.7, top_p=0.3),
    Sampling(temperature=1.0, min_p=0.3),
    Sampling(temperature=0.8, top_k=200, top_p=0.5, min_p=0.2),
    Sampling(temperature=1.0, top_p=0.0),
)
N_DRAWS = 1000
_BINS = 8


def expected(logits: Sequence[float], sampling: Sampling) -> NDArray[np.float64]:
    """Filters in the order top-k, top-p, min-p on the plain distribution; then the temperature."""
    values = np.array(logits, dtype=np.float64)
    order = np.argsort(-values, kind="stable")[: sampling.top_k or None]
    ranked = _softmax(values[order])
    before = np.concatenate([[0.0], np.cumsum(ranked)[:-1]])
    keep = (before < sampling.top_p) & (ranked >= sampling.min_p * ranked[0])
    keep[0] = True
    result = np.zeros_like(values)
    result[order[keep]] = _softmax(values[order[keep]] / sampling.temperature)
    return result


def distance(draws: Sequence[int], wanted: NDArray[np.float64]) -> float:
    """Total variation over bins of about equal mass; 1 where something impossible was drawn."""
    counts = Counter(draws)
    if any(wanted[token] == 0 for token in counts):
        return 1.0
    bins = np.minimum(np.cumsum(wanted[np.argsort(-wanted)]) * _BINS, _BINS - 1).astype(int)
    drawn, mass = np.zeros(_BINS), np.zeros(_BINS)
    for index, token in zip(bins, np.argsort(-wanted), strict=True):
        drawn[index] += counts[int(token)] / len(draws)
        mass[index] += wanted[token]
    return float(np.abs(drawn - mass).sum() / 2)


def _softmax(values: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(values - values.max())
    return powers / powers.sum()  # type: ignore[no-any-return]
