"""``clapometer load``: one loader, alone or in a group that shares the partitions of a Kafka topic."""

import threading
from typing import TYPE_CHECKING, Annotated

import typer

from clapometer.operation import wiring

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from collections.abc import Callable

    from clapometer.loading.loader import Loader, LoadReport
    from clapometer.settings import Settings


def load(
    once: Annotated[
        bool, typer.Option("--once", help="Load what the log holds now, all of its partitions, then end.")
    ] = False,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Serve /metrics there; else the setting `loader_port`.")
    ] = None,
) -> None:
    """Load the event log into the lake, each event exactly once; loaders of one Kafka topic share its partitions."""
    import structlog

    settings, stop = wiring.begin("loader")
    logger = structlog.get_logger()
    log = wiring.open_log(settings)
    share = None if once else wiring.open_share(settings)
    loader = wiring.open_loader(settings, log, share)

    def tell(report: "LoadReport") -> None:
        if report.corrupt:
            logger.error("corrupt blocks were set aside in `rejected`", blocks=report.corrupt)
        if report.blocks:
            logger.debug("loaded", stored=report.stored, duplicate=report.duplicate, rejected=report.rejected)

    try:
        if once:
            _load_all(loader, tell)
        else:
            _load_until(stop, loader, settings, settings.loader_port if metrics_port is None else metrics_port, tell)
    finally:
        loader.close()
        if share is not None:
            share.close()
        log.close()


def _load_all(loader: "Loader", tell: "Callable[[LoadReport], None]") -> None:
    while True:
        report = loader.load_once()
        tell(report)
        if not report.more:
            return


def _load_until(
    stop: threading.Event,
    loader: "Loader",
    settings: "Settings",
    port: int | None,
    tell: "Callable[[LoadReport], None]",
) -> None:
    import structlog

    from clapometer.operation.damage import damage_behind
    from clapometer.telemetry.exporter import process_registry, serve_metrics
    from clapometer.telemetry.loader import LoaderMetrics

    logger = structlog.get_logger()
    registry = process_registry()
    metrics = LoaderMetrics(registry, wiring.utc_now)
    spans = wiring.open_spans(settings, "loader")
    if port is not None:
        chosen = serve_metrics(registry, settings.host, port, "--metrics-port")
        logger.info("metrics", address=f"http://{settings.host}:{chosen}/metrics")

    def report(done: "LoadReport") -> None:
        tell(done)
        metrics.loaded(done)
        if spans is not None and done.blocks:
            told = ("blocks", "bytes", "stored", "duplicate", "rejected", "version")
            spans.job("commit", done.seconds, {f"clapometer.{name}": getattr(done, name) for name in told})

    def fail(error: Exception) -> None:
        told = {"damage": said} if (said := damage_behind(settings)) else {}
        logger.error("load failed; trying again", error=str(error), **told)
        metrics.failed()

    try:
        loader.run(stop, on_report=report, on_error=fail)
    finally:
        if spans is not None:
            spans.close()
