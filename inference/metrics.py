"""The scheduler's counters as Prometheus text. Knows no HTTP; counts nothing itself."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from inference.scheduler import Stats
from inference.wire.requests import PRIORITIES

PRIORITY_NAMES = {priority: name for name, priority in PRIORITIES.items()}


def exposition(stats: Callable[[], Stats]) -> Callable[[], bytes]:
    """A function that renders the counters as they are when it is called."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_StatsCollector(stats))
    return lambda: generate_latest(registry)


class _StatsCollector(Collector):
    """Reads `stats` once per scrape, so that all figures are of one moment."""

    def __init__(self, stats: Callable[[], Stats]) -> None:
        self._stats = stats

    def describe(self) -> list[Metric]:
        return []  # else the registry would collect at once to learn the names

    def collect(self) -> Iterator[Metric]:
        stats = self._stats()
        yield CounterMetricFamily(
            "qwen_tokens_evaluated", "Tokens that went through the model.", value=stats.tokens_evaluated
        )
        yield CounterMetricFamily("qwen_tokens_reused", "Prompt tokens found in the cache.", value=stats.tokens_reused)
        jobs = CounterMetricFamily("qwen_jobs", "Jobs ended.", labels=["priority", "outcome"])
        for (priority, outcome), count in sorted(stats.jobs.items()):
            jobs.add_metric([PRIORITY_NAMES[priority], outcome], count)
        yield jobs
        yield CounterMetricFamily("qwen_preemptions", "Jobs set aside for a more urgent one.", value=stats.preemptions)
        yield GaugeMetricFamily("qwen_cache_bytes", "Attention rows and snapshots held.", value=stats.cache_bytes)
        yield GaugeMetricFamily("qwen_jobs_queued", "Jobs that have not begun.", value=stats.queued)
        yield GaugeMetricFamily("qwen_jobs_running", "Jobs that have begun.", value=stats.running)
        n, wait_s = stats.queue_s
        yield SummaryMetricFamily("qwen_queue_seconds", "Time before a job began.", count_value=n, sum_value=wait_s)
