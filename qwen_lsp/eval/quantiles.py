"""How eval and the benches read a median or a 95th percentile off a row of numbers. Imports nothing heavy."""

import math
from collections.abc import Sequence

SLOW = 0.95  # of all came at least as fast


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
