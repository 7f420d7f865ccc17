"""What the loader counts, for Prometheus."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clapometer.domain import CODES

if TYPE_CHECKING:  # this module is imported with the command line
    from clapometer.loading.loader import LoadReport

BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram of commit times, in seconds."""


class LoaderMetrics(Collector):
    """Counts of one loader process.

    Args:
        registry: Where the metrics go.
        clock: Returns the time, with its zone.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], dt.datetime]) -> None:
        self._clock = clock
        self._events = Counter("clapometer_loader_events", "Events loaded, by verdict", ["verdict"], registry=registry)
        self._rejected = Counter(
            "clapometer_loader_rejected", "Events rejected, by code", ["reason"], registry=registry
        )
        self._blocks = Counter("clapometer_loader_blocks", "Blocks loaded", registry=registry)
        self._bytes = Counter("clapometer_loader_bytes", "Bytes of blocks loaded", registry=registry)
        self._failures = Counter("clapometer_loader_failures", "Loads that failed", registry=registry)
        self._seconds = Histogram(
            "clapometer_loader_commit_seconds",
            "From a batch asked for to its commit, published or not",
            buckets=BUCKETS,
            registry=registry,
        )
        self._freshness = Gauge(
            "clapometer_loader_freshness_seconds",
            "From receipt of the oldest event of the last batch to when readers saw it",
            registry=registry,
        )
        self._lag = Gauge("clapometer_loader_lag_records", "Records that wait", ["partition"], registry=registry)
        self._looked = Gauge(
            "clapometer_loader_last_look_timestamp_seconds", "When the loader last looked at the log", registry=registry
        )
        self._newest: dt.datetime | None = None
        self._oldest: dt.datetime | None = None
        self._waiting = 0
        self._parsed = 0
        self._lock = threading.Lock()
        for verdict in ("stored", "duplicate", "conflict", "suppressed"):
            self._events.labels(verdict)
        for code in CODES:
            self._rejected.labels(code)
        registry.register(self)

    def loaded(self, report: "LoadReport") -> None:
        """Counts one look of the loader at its log."""
        now = self._clock()
        with self._lock:
            for verdict in ("stored", "duplicate", "conflict", "suppressed"):
                self._events.labels(verdict).inc(getattr(report, verdict))
            for code, count in report.reasons.items():
                self._rejected.labels(code).inc(count)
            if report.blocks:
                self._blocks.inc(report.blocks)
                self._bytes.inc(report.bytes)
                self._seconds.observe(report.seconds)
            self._oldest = min((at for at in (self._oldest, report.oldest) if at is not None), default=None)
            if report.published and self._oldest is not None:
                self._freshness.set((now - self._oldest).total_seconds())
                self._oldest = None
            self._newest = report.newest or self._newest
            self._waiting = sum(report.lag.values())
            self._parsed = report.parsed
            self._lag.clear()
            for partition, records in report.lag.items():
                self._lag.labels(partition).set(records)
            self._looked.set(now.timestamp())

    def failed(self) -> None:
        """Counts a load that failed."""
        self._failures.inc()

    def collect(self) -> Iterator[Metric]:
        """Yields what is only known when it is asked for."""
        behind = 0.0
        if self._waiting and self._newest is not None:
            behind = max(0.0, (self._clock() - self._newest).total_seconds())
        yield GaugeMetricFamily(
            "clapometer_loader_lag_seconds", "Since receipt of the last event loaded, while records wait", value=behind
        )
        yield CounterMetricFamily(
            "clapometer_loader_parsed_batches", "Batches parsed: none while nothing comes", value=self._parsed
        )
