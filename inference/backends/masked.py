"""Drawing under a constraint, from logits that lie in this process's memory. Knows no engine.

The same filters in the same order as the engines' own samplers, on the distribution that is left when the mask has
taken what may not come and the rest is scaled to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import ModelBroken
from inference.generation import MIN_TEMPERATURE, Constraint, Sampling


@dataclass(slots=True)
class MaskedSampler:
    """One answer's constraint, and where its random numbers are. `plain`: the engine's own, once anything may come."""

    sampling: Sampling
    constraint: Constraint
    plain: Any = None
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.sampling.seed)

    def takes(self, best: int) -> bool:
        """Whether the likeliest of all tokens is what is drawn; then nobody need look at the others."""
        if self.sampling.temperature > 0 or not self.constraint.allows((best,)):
            return False
        self.constraint.accept(best)
        return True

    def draw(self, logits: Sequence[float]) -> int:
        """One token, and the constraint's step over it."""
        row = np.asarray(logits, np.float64)
        if not np.isfinite(row).all():
            raise ModelBroken("the model's logits are not numbers")
        allowed = np.flatnonzero(np.frombuffer(self.constraint.mask(), np.uint8))
        token = int(allowed[self._chosen(row[allowed])])
        self.constraint.accept(token)
        return token

    def _chosen(self, logits: NDArray[np.float64]) -> int:
        """An index into `logits`. What weighs nothing beside the best can not be reached."""
        if self.sampling.temperature <= 0:
            return int(np.argmax(logits))
        kept = self._kept(logits)
        below_best = logits[kept] - logits.max()
        reached = np.cumsum(np.exp(below_best / max(self.sampling.temperature, MIN_TEMPERATURE)))
        at = np.searchsorted(reached, self._random.random() * reached[-1], side="right")
        return int(kept[min(int(at), int(np.searchsorted(reached, reached[-1])))])

    def _kept(self, logits: NDArray[np.float64]) -> NDArray[np.intp]:
        """What the filters leave. Sorting a whole vocabulary takes tens of milliseconds: only where a filter asks."""
        kept = np.arange(logits.size)
        if 0 < self.sampling.top_k < logits.size:
            kept = np.argpartition(-logits, self.sampling.top_k - 1)[: self.sampling.top_k]
        if self.sampling.top_p < 1:
            kept = kept[np.argsort(-logits[kept], kind="stable")]
            weights = np.exp(logits[kept] - logits[kept[0]])
            before = (np.cumsum(weights) - weights) / weights.sum()
            kept = kept[(before < self.sampling.top_p) | (np.arange(kept.size) == 0)]
        if self.sampling.min_p > 0:
            kept = kept[np.exp(logits[kept] - logits.max()) >= self.sampling.min_p]
        return kept
