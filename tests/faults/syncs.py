"""fsync that fails: nothing is acknowledged, and what failed once is not taken for durable later."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.faults.bench import Bench, library, started
from tests.faults.system import System
from tests.faults.trial import Outcome, Trial, judge, trial

FLUSHING = "log.flush.interval.messages=1\n"
"""Kafka leaves syncing to the operating system unless told otherwise."""


def failing_syncs(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields an outcome for each part whose disk fails to sync."""
    for part in {"embedded": ("collector", "loader"), "kafka": ("broker", "loader")}[log]:
        name = f"fsync of the {part} fails with EIO for {bench.hold_s / 3:.0f} s"
        yield bench.tried(name, log, lambda part=part, name=name: _fail(bench, log, part, name))


def _fail(bench: Bench, log: str, part: str, name: str) -> Outcome:
    with bench.folder() as folder:
        control = folder / "fails"
        preload = {"LD_PRELOAD": str(library("fsync", folder)), "FAULTS_FSYNC": str(control)}
        options: dict[str, Any] = {"preload": {part: preload}}
        if part == "broker":
            options = {"broker": {"preload": preload, "properties": FLUSHING}}
        with started(folder, log, **options) as system, trial(system, f"fsync-{part}") as running:
            for number in range(bench.repeats // 2):
                _once(running, system, control, part, bench.hold_s / 3, kill=number % 2 == 1)
            return judge(running, name)


def _once(running: Trial, system: System, control: Path, part: str, seconds: float, *, kill: bool) -> None:
    process = {"collector": system.collector, "loader": system.loaders[0], "broker": system.broker}[part]
    assert process is not None

    def end() -> None:
        control.unlink()
        if kill or part == "broker":  # Kafka ends when it cannot sync, and is somebody else's to start again
            process.kill()
            process.start()

    with running.fault(end):
        control.touch()
        if part == "collector":
            system.probe()  # what was underway may still be acknowledged
            running.probe(seconds, {503})
            assert not system.is_ready(), "ready, while nothing can be made durable"
        else:
            running.probe(seconds, {202} if part == "loader" else {202, 503})
