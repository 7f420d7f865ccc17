"""What serving counts."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Upper bounds of the histogram of answer times, in seconds."""


class ServingMetrics(Collector):
    """Counts of one serving process.

    Args:
        registry: Where the metrics go.
        file_age: Seconds since the published file was replaced; ``None`` where there is none.
    """

    def __init__(self, registry: CollectorRegistry, file_age: Callable[[], float | None]) -> None:
        self.requests = Counter(
            "clapometer_serving_requests", "Requests answered", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "clapometer_serving_answer_seconds",
            "From a request to its answer",
            ["route"],
            buckets=BUCKETS,
            registry=registry,
        )
        self.slots = Counter("clapometer_serving_slots", "Slots filled", ["explored"], registry=registry)
        self.refresh_failures = Counter(
            "clapometer_serving_refresh_failures", "Times that scores could not be refreshed", registry=registry
        )
        self._file_age = file_age
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yields what is only known when it is asked for."""
        age = self._file_age()
        if age is not None:
            yield GaugeMetricFamily(
                "clapometer_serving_lake_age_seconds", "Since the published lake was replaced", value=age
            )
