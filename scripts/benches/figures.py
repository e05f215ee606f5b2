"""What benches make of times: CPU and wall of a piece of work, and how a row of them is spread."""

import time
from collections.abc import Callable, Mapping, Sequence

from qwen_lsp.eval.quantiles import SLOW, quantile

type Figures = Mapping[str, float]


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU seconds of this process, and wall seconds."""
    cpu, wall = time.process_time(), time.monotonic()
    work()
    return time.process_time() - cpu, time.monotonic() - wall


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return quantile(values, 0.5), quantile(values, SLOW)


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile, as `name_median` and so on."""
    return {
        f"{name}_median": quantile(values, 0.5),
        f"{name}_p95": quantile(values, SLOW),
        f"{name}_p99": quantile(values, 0.99),
    }
