"""What benches make of times: CPU and wall of a piece of work, and how a row of them is spread."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

type Figures = Mapping[str, float]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of this process, and wall seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    work()
    return time.process_time() - cpu, time.monotonic() - wall


def share(values: Sequence[float], of: float) -> float:
    """The value that so many are not above; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(of * len(ordered)) - 1)] if ordered else 0.0


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return share(values, 0.5), share(values, 0.95)


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile, as `name_median` and so on."""
    return {
        f"{name}_median": share(values, 0.5),
        f"{name}_p95": share(values, 0.95),
        f"{name}_p99": share(values, 0.99),
    }
