"""What the collector counts. Plain numbers on the hot path; Prometheus reads them when it asks."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from clapometer.domain import ClapometerError, Trust

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
WEIGHTLESS: tuple[Trust, ...] = tuple(trust for trust in get_args(Trust) if trust not in ("key", "token"))
"""What is wrong with events that are stored and weigh nothing."""
"""Upper bounds of the histogram of answer times, in seconds."""


class CollectorMetrics(Collector):
    """Counts of one collector process; all of them are written by its event loop alone.

    Args:
        registry: Where the metrics go.
        pending_bytes: Bytes that wait for the event log.
        fill_ratio: How full the event log is, 0 to 1; may raise where that cannot be said.
    """

    def __init__(
        self, registry: CollectorRegistry, pending_bytes: Callable[[], int], fill_ratio: Callable[[], float]
    ) -> None:
        self.answers: Counter[int] = Counter()
        self.events: Counter[str] = Counter()
        self.received = 0
        self.append_failures = 0
        self.body_bytes = 0
        self.held_bytes = 0
        self._pending_bytes = pending_bytes
        self._fill_ratio = fill_ratio
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        registry.register(self)

    def answered(self, status: int, seconds: float) -> None:
        """Counts one answer and how long it took."""
        self.answers[status] += 1
        self._seconds += seconds
        self._buckets[bisect_left(BUCKETS, seconds)] += 1

    def collect(self) -> Iterator[Metric]:
        """Yields every metric as it stands."""
        answers = CounterMetricFamily("clapometer_collector_requests", "Requests answered", labels=["status"])
        for status, count in self.answers.items():
            answers.add_metric([str(status)], count)
        yield answers
        yield CounterMetricFamily(
            "clapometer_collector_received_events", "Events received, durable or not", value=self.received
        )
        events = CounterMetricFamily(
            "clapometer_collector_events",
            "Events that are durable, by verdict; of those accepted, what weighs nothing, by what is wrong with it",
            labels=["verdict"],
        )
        for verdict in ("accepted", "rejected", *WEIGHTLESS):
            events.add_metric([verdict], self.events[verdict])
        yield events
        yield CounterMetricFamily("clapometer_collector_body_bytes", "Bytes of bodies received", value=self.body_bytes)
        yield GaugeMetricFamily("clapometer_collector_held_bytes", "Bytes of bodies held now", value=self.held_bytes)
        yield GaugeMetricFamily(
            "clapometer_collector_pending_bytes", "Bytes that wait for the event log", value=self._pending_bytes()
        )
        yield CounterMetricFamily(
            "clapometer_collector_append_failures",
            "Requests that the event log could not take",
            value=self.append_failures,
        )
        yield from self._fill()
        yield self._histogram()

    def _fill(self) -> Iterator[Metric]:
        try:
            filled = self._fill_ratio()
        except ClapometerError:
            return  # `/readyz` says why
        yield GaugeMetricFamily(
            "clapometer_collector_log_fill_ratio", "How full the event log is, 0 to 1", value=filled
        )

    def _histogram(self) -> Metric:
        family = HistogramMetricFamily(
            "clapometer_collector_answer_seconds", "From the head of a request to its answer"
        )
        total, buckets = 0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([], buckets=buckets, sum_value=self._seconds)
        return family
