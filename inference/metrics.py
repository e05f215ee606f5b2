"""The scheduler's counters as Prometheus text. Knows no HTTP; counts nothing itself."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from inference.stats import Stats
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
        begun = sum(n for n, _ in stats.queue_s.values())
        yield CounterMetricFamily("qwen_cache_lookups", "Jobs that looked for their prompt.", value=begun)
        yield CounterMetricFamily("qwen_cache_hits", "Jobs that found a part of their prompt.", value=stats.hits)
        held = stats.held
        yield CounterMetricFamily("qwen_cache_evictions", "Segments given up for room.", value=held.n_evicted)
        yield GaugeMetricFamily("qwen_cache_bytes", "Attention rows and snapshots held.", value=stats.cache_bytes)
        yield GaugeMetricFamily("qwen_cache_limit_bytes", "Of both, at most.", value=stats.cache_limit_bytes)
        yield GaugeMetricFamily("qwen_cache_rows_bytes", "Attention rows held, shared ones once.", value=held.rows)
        yield GaugeMetricFamily("qwen_cache_snapshots_bytes", "Recurrent snapshots held.", value=held.snapshots)
        yield GaugeMetricFamily("qwen_engine_rows_bytes", "Memory taken for attention rows.", value=held.engine_rows)
        yield GaugeMetricFamily("qwen_jobs_queued", "Jobs that have not begun.", value=stats.queued)
        yield GaugeMetricFamily("qwen_jobs_running", "Jobs that have begun.", value=stats.running)
        waits = SummaryMetricFamily("qwen_queue_seconds", "Time before a job began.", labels=["priority"])
        for priority, (n, wait_s) in sorted(stats.queue_s.items()):
            waits.add_metric([PRIORITY_NAMES[priority]], n, wait_s)
        yield waits
