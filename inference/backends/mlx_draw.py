"""Drawing tokens from rows of logits in MLX: greedy, along a draft, under a constraint, or exactly at random.

Knows no model and no sequences. mlx is handed in: it can be imported only when a model is loaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from inference.backends.sequences import drawn_along
from inference.errors import ModelBroken
from inference.generation import MIN_TEMPERATURE, Constraint, Sampling


@dataclass(slots=True)
class Drawing:
    """One job's sampling, its constraint and where its random numbers are."""

    mx: Any
    sampling: Sampling
    constraint: Constraint | None
    key: Any

    def draws(self, logits: Any, draft: Sequence[int] = ()) -> tuple[int, ...]:
        """What is drawn along the draft, from its rows of logits. Greedy: all at once, not a wait for each."""
        mx = self.mx
        best = mx.argmax(logits, axis=-1)
        is_finite = mx.all(mx.isfinite(logits))
        mx.eval(best, is_finite)
        if not is_finite.item():
            raise ModelBroken("the model's logits are not numbers")
        likeliest: list[int] = best.tolist()
        return drawn_along(draft, lambda n: self._drawn(logits[n], likeliest[n]))

    def _drawn(self, row: Any, best: int) -> int:
        """One token; `best` is the likeliest of all."""
        is_greedy, constraint = self.sampling.temperature <= 0, self.constraint
        if constraint is None or constraint.is_free:
            return best if is_greedy else int(self._draw(row).item())
        if is_greedy and constraint.allows((best,)):
            token = best
        else:
            row = self.mx.where(self.mx.array(memoryview(constraint.mask())), row, -self.mx.inf)
            token = int((self.mx.argmax(row) if is_greedy else self._draw(row)).item())
        constraint.accept(token)
        return token

    def _draw(self, row: Any) -> Any:
        """An exact draw. The filters look at the distribution before the temperature."""
        mx, sampling, logits = self.mx, self.sampling, row.astype(self.mx.float32)
        self.key, key = mx.random.split(self.key)
        order = mx.argsort(-logits)
        ranked = logits[order] - logits[order[0]]
        rank = mx.arange(ranked.size)
        keep = rank < (sampling.top_k or ranked.size)
        if sampling.top_p < 1:
            p = mx.softmax(mx.where(keep, ranked, -mx.inf))
            keep &= mx.cumsum(p) - p < sampling.top_p
        if sampling.min_p > 0:
            keep &= mx.exp(ranked) >= sampling.min_p
        scaled = ranked / max(sampling.temperature, MIN_TEMPERATURE)
        return order[mx.random.categorical(mx.where(keep | (rank == 0), scaled, -mx.inf), key=key)]
