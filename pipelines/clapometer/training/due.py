"""What a scheduled time asks for: training of every tenant for whom something new came."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from deltalake.exceptions import DeltaError

from clapometer.domain import ClapometerError
from clapometer.folding.fold import Progress, silent
from clapometer.labels import DEFAULT_RULE, LabelRule
from clapometer.lake.lock import TrainingLockedError
from clapometer.lake.tables import Lake
from clapometer.training.parameters import DEFAULT_PARAMETERS, Parameters
from clapometer.training.planning import tenants
from clapometer.training.reading import UNLIMITED, Resources
from clapometer.training.runs import Run, read_runs
from clapometer.training.schedule import Report, Tick
from clapometer.training.train import Clock, train_once


class Stopped(ClapometerError):  # noqa: N818 - not a fault
    """Training was asked to stop."""


@dataclass(frozen=True)
class Training:
    """What is trained, and how.

    Attributes:
        lake: The lake.
        clock: Returns the time, with its zone.
        rule: What an outcome is worth.
        parameters: What else decides the result.
        resources: What the job may use.
        seed: Of all draws.
        keep_runs: Runs whose results stay in the lake.
    """

    lake: Lake
    clock: Clock
    rule: LabelRule = DEFAULT_RULE
    parameters: Parameters = DEFAULT_PARAMETERS
    resources: Resources = UNLIMITED
    seed: int = 0
    keep_runs: int = 100


def train_due(
    training: Training,
    *,
    force: bool = False,
    trigger: str = "schedule",
    report: Report | None = None,
    progress: Progress = silent,
) -> list[Tick]:
    """Trains every tenant for whom something new came since the last good run; returns what became of each."""
    ticks = []
    for tenant in tenants(training.lake):
        tick = _train(training, tenant, force, trigger, progress)
        ticks.append(tick)
        if report is not None:
            report(tick)
    return ticks


def _train(training: Training, tenant: str, force: bool, trigger: str, progress: Progress) -> Tick:
    try:
        if not force and (reason := nothing_new(training, tenant)):
            return Tick(tenant, "skipped", reason)
        done = train_once(
            training.lake,
            training.rule,
            clock=training.clock,
            tenant=tenant,
            seed=training.seed,
            trigger=trigger,
            parameters=training.parameters,
            resources=training.resources,
            keep_runs=training.keep_runs,
            progress=progress,
        )
    except TrainingLockedError as error:
        return Tick(tenant, "busy", str(error))
    except Exception as error:  # noqa: BLE001 - the job loop: what failed is told, and tried again next time
        return Tick(tenant, "failed", f"{type(error).__name__}: {error}")
    seconds = (done.run.finished_at - done.run.started_at).total_seconds()
    if done.run.status == "failed":
        return Tick(tenant, "failed", done.run.error or "", seconds)
    return Tick(tenant, "trained", seconds=seconds)


def nothing_new(training: Training, tenant: str) -> str:
    """Returns why a run would only repeat the last good one; empty where it would not."""
    good = [run for run in read_runs(training.lake, tenant) if run.status == "succeeded"]
    if not good or training.rule.maturity:
        return ""
    last = good[-1]
    asked = (training.rule, training.parameters, training.seed)
    if (last.rule, last.parameters, last.seed) != asked or not _same_events(training.lake, last):
        return ""
    return f"no event was stored since run {last.run_id} of {last.started_at.isoformat(timespec='seconds')}"


def _same_events(lake: Lake, last: Run) -> bool:
    """Whether the lake has the events that a run read; compaction makes versions, but neither adds nor drops rows."""
    read = last.snapshot["events"]
    if lake.version("events") == read:
        return True
    try:
        return lake.rows("events", read) == lake.rows("events")
    except DeltaError:
        return False  # forgotten by now: much has happened


def until_stopped(stop: threading.Event, progress: Progress = silent) -> Progress:
    """Returns a progress that ends the run under way at its next stage once ``stop`` is set."""

    def told(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            msg = f"stopped before {stage}: the process was asked to end"
            raise Stopped(msg)
        progress(stage, done, total)

    return told
