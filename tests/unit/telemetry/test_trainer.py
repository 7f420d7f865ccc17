"""What the scheduler tells Prometheus of the trainings that it asked for."""

import datetime as dt

from prometheus_client import CollectorRegistry

from clapometer.telemetry.trainer import TrainerMetrics
from clapometer.training.schedule import Tick

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)


def test_trainings_are_counted_by_what_became_of_them_and_timed_if_they_ran() -> None:
    registry = CollectorRegistry()
    metrics = TrainerMetrics(registry, lambda: NOON)
    for tick in (Tick("a", "trained", seconds=2.5), Tick("b", "skipped"), Tick("c", "failed", "no disk", 0.5)):
        metrics.ticked(tick)
    metrics.crashed()
    metrics.done()

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"clapometer_trainer_{name}", labels)

    results = {result: value("ticks_total", result=result) for result in ("trained", "skipped", "busy", "failed")}
    assert results == {"trained": 1, "skipped": 1, "busy": 0, "failed": 1}
    assert (value("train_seconds_count"), value("train_seconds_sum")) == (2, 3.0)
    assert value("crashes_total") == 1
    assert value("last_tick_timestamp_seconds") == NOON.timestamp()
