"""What serving counts, and what the published lake says of training."""

import collections
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from clapometer.domain import ClapometerError
from clapometer.lake.statements import sql
from clapometer.serving.reading.published import Published, Stamp

BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
"""Upper bounds of the histogram of answer times, in seconds."""
_TOLD_SECONDS = 10.0
log = structlog.get_logger()


class ServingMetrics(Collector):
    """Counts of one serving process.

    Args:
        registry: Where the metrics go.
        file_age: Seconds since the published file was replaced; ``None`` where there is none.
        seconds: A clock that never runs back; by it log lines are spaced.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        file_age: Callable[[], float | None],
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = seconds
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
        self.unregistered = Counter(
            "clapometer_serving_unregistered_candidates",
            "Candidates of slates that no registration is known of",
            registry=registry,
        )
        self.limited = Counter(
            "clapometer_serving_limited_slates",
            "Slates refused, as there were too many for the viewer or the address",
            ["by"],
            registry=registry,
        )
        self._told: dict[str, tuple[float, int]] = {}
        self._refused: collections.Counter[str] = collections.Counter()
        self.refresh_failures = Counter(
            "clapometer_serving_refresh_failures", "Times that scores could not be refreshed", registry=registry
        )
        self._file_age = file_age
        registry.register(self)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Counts an answer."""
        self.requests.labels(route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def slate_limited(self, by: str) -> None:
        """Counts a slate that is refused; logged at most every ten seconds, for it may be an attack."""
        self.limited.labels(by).inc()
        self._refused[by] += 1
        now, (told_at, told) = self._clock(), self._told.get(by, (float("-inf"), 0))
        if now - told_at >= _TOLD_SECONDS:
            self._told[by] = now, self._refused[by]
            log.warning("slates refused: more than there may be", by=by, since_last_line=self._refused[by] - told)

    def collect(self) -> Iterator[Metric]:
        """Yields what is only known when it is asked for."""
        age = self._file_age()
        if age is not None:
            yield GaugeMetricFamily(
                "clapometer_serving_lake_age_seconds", "Since the published lake was replaced", value=age
            )


@dataclass(frozen=True)
class _Training:
    """How training was doing when a version of the file was published."""

    ranked_at: float | None = None
    seconds: float | None = None
    failing: int = 0


class TrainingMetrics(Collector):
    """Age and duration of training, from the records of the runs: the same wherever training runs.

    A version of the file is asked once. Nobody who may read metrics learns the name of a tenant.

    Args:
        registry: Where the metrics go.
        lake: The published file.
        clock: Returns the time, with its zone.
    """

    def __init__(self, registry: CollectorRegistry, lake: Published, clock: Callable[[], dt.datetime]) -> None:
        self._lake = lake
        self._clock = clock
        self._known: tuple[Stamp | None, _Training] = (None, _Training())
        self._lock = threading.Lock()
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Yields what the runs say; nothing of it while there is none, or the lake cannot be read."""
        try:
            known = self._training()
        except ClapometerError:
            return  # `/readyz` says why
        yield GaugeMetricFamily(
            "clapometer_serving_tenants_failing", "Tenants whose last training failed", value=known.failing
        )
        if known.ranked_at is not None:
            age = self._clock().timestamp() - known.ranked_at
            yield GaugeMetricFamily(
                "clapometer_serving_ranking_age_seconds",
                "Since the newest good training of any tenant began",
                value=age,
            )
        if known.seconds is not None:
            yield GaugeMetricFamily(
                "clapometer_serving_train_seconds", "How long the newest good training took", value=known.seconds
            )

    def _training(self) -> _Training:
        with self._lock:
            stamp = self._lake.stamp()
            if stamp is not None and stamp != self._known[0]:
                with self._lake.read() as connection:
                    row = connection.execute(sql("serving/reading/sql/training.sql")).fetchone()
                self._known = (stamp, _Training(*(row or ())))
            return self._known[1]
