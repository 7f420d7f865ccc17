"""What the scheduler counts of training, for Prometheus."""

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:  # this module is imported with the command line
    from clapometer.training.schedule import Tick

BUCKETS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds of the histogram of training times, in seconds."""


class TrainerMetrics:
    """Counts of one scheduler process.

    Args:
        registry: Where the metrics go.
        clock: Returns the time, with its zone.
    """

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], dt.datetime]) -> None:
        self._clock = clock
        self._ticks = Counter(
            "clapometer_trainer_ticks",
            "Scheduled trainings of a tenant, by what became of them",
            ["result"],
            registry=registry,
        )
        self._seconds = Histogram(
            "clapometer_trainer_train_seconds",
            "How long trainings took, good or not",
            buckets=BUCKETS,
            registry=registry,
        )
        self._crashes = Counter(
            "clapometer_trainer_crashes", "Training processes that were killed or failed as a whole", registry=registry
        )
        self._looked = Gauge(
            "clapometer_trainer_last_tick_timestamp_seconds",
            "When a scheduled time was last dealt with, whatever came of it",
            registry=registry,
        )
        for result in ("trained", "skipped", "busy", "failed"):
            self._ticks.labels(result)

    def ticked(self, tick: "Tick") -> None:
        """Counts what became of one tenant at one scheduled time."""
        self._ticks.labels(tick.result).inc()
        if tick.seconds:
            self._seconds.observe(tick.seconds)

    def crashed(self) -> None:
        """Counts a training process that did not end well."""
        self._crashes.inc()

    def done(self) -> None:
        """Notes that a scheduled time was dealt with."""
        self._looked.set(self._clock().timestamp())
