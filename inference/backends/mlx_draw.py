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
        if (constraint := self.constraint) is not None:
            return drawn_along(draft, lambda n: self._draw_masked(logits[n], constraint))
        if self.sampling.temperature <= 0:
            return drawn_along(draft, best.tolist().__getitem__)
        return drawn_along(draft, lambda n: int(self._draw(logits[n]).item()))

    def _draw_masked(self, row: Any, constraint: Constraint) -> int:
        mx = self.mx
        row = mx.where(mx.array(memoryview(constraint.mask())), row, -mx.inf)
        drawn = mx.argmax(row) if self.sampling.temperature <= 0 else self._draw(row)
        token = int(drawn.item())
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
