"""``clapometer schedule``: waits in a small process, and trains in another one that ends with the training."""

import datetime as dt
import subprocess
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from clapometer.domain import TransientError
from clapometer.lifeline import start_child
from clapometer.operation import wiring
from clapometer.terminal.printing import echo_json

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.training.schedule import Tick


def schedule(
    every: Annotated[
        str | None, typer.Option(help="Interval such as 15m, or cron expression (UTC); else the setting.")
    ] = None,
) -> None:
    """Train at set times, never two at once, and make up for missed ones."""
    import structlog

    from clapometer.telemetry.exporter import process_registry, serve_metrics
    from clapometer.telemetry.trainer import TrainerMetrics
    from clapometer.training.schedule import Tick, run_schedule
    from clapometer.training.when import parse_when

    if every is not None:
        parse_when(every, "every")  # before anything starts
    settings, stop = wiring.begin("scheduler")
    if settings.label_rule is not None:  # reading it imports what else only training needs
        wiring.label_rule(settings.label_rule)  # its absence is told now, and not by each training
    logger = structlog.get_logger()
    child = Child()
    registry = process_registry()
    metrics = TrainerMetrics(registry, wiring.utc_now)
    spans = wiring.open_spans(settings, "scheduler")
    if settings.scheduler_port is not None:
        port = serve_metrics(registry, settings.host, settings.scheduler_port, "scheduler_port")
        logger.info("metrics", address=f"http://{settings.host}:{port}/metrics")

    def train() -> None:
        try:
            for line in child.run("due"):
                tick = msgspec.json.decode(line, type=Tick)
                metrics.ticked(tick)
                if spans is not None and tick.seconds:
                    told = {"clapometer.tenant": tick.tenant, "clapometer.result": tick.result}
                    spans.job("train", tick.seconds, told, failed=tick.result == "failed")
                _tell(tick)
        except TransientError as error:
            metrics.crashed()
            logger.error("training failed", reason=str(error))
        metrics.done()

    answers = [msgspec.json.decode(line, type=dt.datetime | None) for line in child.run("due", "--last")]
    try:
        run_schedule(
            train, every or settings.schedule, stop, last=answers[-1] if answers else None, clock=wiring.utc_now,
            cancel=child.stop, planned=lambda first: _announce(first, every or settings.schedule),
        )  # fmt: skip
    finally:
        if spans is not None:
            spans.close()


def due(
    last: Annotated[bool, typer.Option("--last", help="Only print when the latest run started.")] = False,
) -> None:
    """Train every tenant for whom something new came, and print what became of each as a line of JSON."""
    settings, stop = wiring.begin("trainer")
    from clapometer.training.planning import last_start, tenants

    lake = wiring.open_lake(settings)
    if last:
        _say(last_start(lake))
        return
    if not tenants(lake):
        return  # without the estimators, which a service that just started has no use for
    from clapometer.training.due import Training, train_due, until_stopped
    from clapometer.training.reading import Resources

    training = Training(
        lake=lake,
        clock=wiring.utc_now,
        rule=wiring.label_rule(settings.label_rule),
        parameters=wiring.parameters(settings),
        resources=Resources(threads=settings.threads, memory_limit=settings.memory_limit),
        seed=settings.seed,
        keep_runs=settings.keep_runs,
    )
    train_due(training, report=_say, progress=until_stopped(stop))


class Child:
    """A command of ours as a process of its own: one at a time, until it is stopped for good."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, *arguments: str) -> Iterator[bytes]:
        """Yields the lines that the command prints.

        Raises:
            TransientError: It failed, or was killed.
        """
        with self._lock:
            if self._stopped:
                return
            self._process = start_child(arguments, stdout=subprocess.PIPE)
        with self._process as process:
            assert process.stdout is not None
            yield from process.stdout
        if process.returncode and not self._stopped:
            msg = f"the process ended with code {process.returncode}; see above, or memory"
            raise TransientError(msg)

    def stop(self) -> None:
        """Asks the command to end, and starts none any more."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()


def _announce(first: dt.datetime, when: str) -> None:
    import structlog

    structlog.get_logger().info("schedule", first=f"{first:%a %Y-%m-%d %H:%M:%S} UTC", schedule=when)


def _say(what: object) -> None:
    echo_json(msgspec.json.encode(what))


def _tell(tick: "Tick") -> None:
    import structlog

    logger = structlog.get_logger()
    level = logger.error if tick.result == "failed" else logger.info
    level(f"training {tick.result}", tenant=tick.tenant, **({"reason": tick.reason} if tick.reason else {}))
