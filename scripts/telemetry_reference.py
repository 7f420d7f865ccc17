"""Writes docs/reference/prometheus.md from what the processes export: ``python scripts/telemetry_reference.py``."""

import datetime as dt
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from clapometer.collector.metrics import CollectorMetrics
from clapometer.http.connections import ConnectionLimits, Connections
from clapometer.lake.published.publish import publish
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.loading.loader import LoadReport
from clapometer.serving.metrics import ServingMetrics, TrainingMetrics
from clapometer.serving.reading.published import Published
from clapometer.telemetry.exporter import process_registry
from clapometer.telemetry.loader import LoaderMetrics
from clapometer.telemetry.trainer import TrainerMetrics
from clapometer.training.schedule import Tick

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "prometheus.md"
HEAD = """\
# Metrics for Prometheus

Generated from the code by `scripts/telemetry_reference.py`; do not edit. What the numbers mean when they are wrong:
[the runbook](../how-to/runbook.md). The numbers of rankings are another matter: [Metrics](metrics.md).

Collector and serving answer `/metrics` on their own port; the loader on `loader_port` (or `--metrics-port`), the
scheduler on `scheduler_port`. None of them names a tenant, a viewer or a key.
"""
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def noon() -> dt.datetime:
    """Returns a time."""
    return NOON


def collector(registry: CollectorRegistry, _folder: Path) -> None:
    """Makes the collector's metrics, with one of each label."""
    CollectorMetrics(registry, lambda: 0, lambda: 0.0).answered(202, 0.001)
    Connections(ConnectionLimits(), part="collector", registry=registry)


def loader(registry: CollectorRegistry, _folder: Path) -> None:
    """Makes the loader's metrics, with one of each label."""
    LoaderMetrics(registry, noon).loaded(LoadReport(reasons={"reason": 1}, lag={0: 0}))


def scheduler(registry: CollectorRegistry, _folder: Path) -> None:
    """Makes the scheduler's metrics."""
    TrainerMetrics(registry, noon).ticked(Tick("default", "trained", seconds=1.0))


def serving(registry: CollectorRegistry, folder: Path) -> None:
    """Makes serving's metrics over a lake with one run."""
    lake = Lake(folder / "lake")
    schema, _ = TABLES["runs"]
    run = dict.fromkeys(schema.names) | {
        "run_id": "r", "tenant": "default", "status": "succeeded", "started_at": NOON, "finished_at": NOON,
    }  # fmt: skip
    lake.append("runs", pa.Table.from_pylist([run], schema=schema))
    publish(lake)
    metrics = ServingMetrics(registry, lambda: 0.0)
    metrics.requests.labels("/", "200")
    metrics.seconds.labels("/")
    metrics.slots.labels("true")
    Connections(ConnectionLimits(), part="serving", registry=registry)
    TrainingMetrics(registry, Published(lake.storage.published), noon)


def process(registry: CollectorRegistry, _folder: Path) -> None:
    """Makes what every process says of itself."""
    registry.register(process_registry())  # type: ignore[arg-type]


PARTS: dict[str, Callable[[CollectorRegistry, Path], None]] = {
    "Collector": collector, "Loader": loader, "Scheduler": scheduler, "Serving": serving, "Every process": process,
}  # fmt: skip


def families(make: Callable[[CollectorRegistry, Path], None]) -> list[Metric]:
    """Returns what a part exports."""
    registry = CollectorRegistry()
    with tempfile.TemporaryDirectory() as folder:
        make(registry, Path(folder))
        return list(registry.collect())


def telemetry_reference() -> str:
    """Returns the page of all metrics."""
    parts = [HEAD]
    for title, make in PARTS.items():
        parts.append(f"\n## {title}\n\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
        parts += _rows(families(make))
    return "".join(parts)


def _rows(found: Iterable[Metric]) -> Iterable[str]:
    for family in sorted(found, key=lambda each: each.name):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        shown = ", ".join(f"`{label}`" for label in labels)
        yield f"| `{name}` | {family.type} | {shown} | {family.documentation.rstrip('.')} |\n"


if __name__ == "__main__":
    PAGE.write_text(telemetry_reference())
