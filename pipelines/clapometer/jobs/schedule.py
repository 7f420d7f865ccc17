"""Scheduled retraining: at set times, never two at once, caught up after downtime, skipped when nothing is new."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from deltalake.exceptions import DeltaError

from clapometer.domain import ClapometerError, InputError
from clapometer.jobs.outcomes import Progress, silent
from clapometer.jobs.rankings import DEFAULT_PARAMETERS, Parameters
from clapometer.jobs.runs import Run, read_runs
from clapometer.jobs.train import UNLIMITED, Clock, Resources, TrainReport, tenants, train_once
from clapometer.jobs.training_lock import TrainingLockedError
from clapometer.labels import DEFAULT_RULE, LabelRule
from clapometer.lake import Lake

_INTERVAL = re.compile(r"(?:every\s+)?(\d+)\s*(s|m|h|d)", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Stopped(ClapometerError):  # noqa: N818 - not a fault
    """Training was asked to stop."""


@dataclass(frozen=True)
class Tick:
    """What became of one scheduled time.

    Attributes:
        tenant: Whose ranking.
        result: trained, skipped (nothing new), busy (another process trains) or failed.
        reason: Why it was skipped, or failed.
        report: Of the run, where there was one.
    """

    tenant: str
    result: Literal["trained", "skipped", "busy", "failed"]
    reason: str = ""
    report: TrainReport | None = None


Report = Callable[[Tick], None]


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


def parse_when(text: str) -> dt.timedelta | str:
    """Returns an interval (``15m``, ``every 1h``), or the cron expression that ``text`` is (UTC).

    Raises:
        InputError: It is neither.
    """
    found = _INTERVAL.fullmatch(text.strip())
    if found:
        interval = dt.timedelta(seconds=int(found[1]) * _SECONDS[found[2].lower()])
        if interval:
            return interval
    try:
        CronTrigger.from_crontab(text, timezone=dt.UTC)
    except ValueError as error:
        msg = f"{text!r} is neither an interval such as 15m or 1h nor a cron expression such as */15 * * * *: {error}"
        raise InputError(msg, "schedule") from error
    return text


def next_time(when: dt.timedelta | str, last: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    """Returns when to train next: now, where a time since the ``last`` run was missed, or there was none."""
    if last is None:
        return now
    if isinstance(when, dt.timedelta):
        due = last + when
    else:
        due = CronTrigger.from_crontab(when, timezone=dt.UTC).get_next_fire_time(None, last + dt.timedelta(seconds=1))
    return max(due, now) if due is not None else now


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
    if done.run.status == "failed":
        return Tick(tenant, "failed", done.run.error or "", done)
    return Tick(tenant, "trained", report=done)


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


def run_schedule(
    training: Training,
    when: str,
    stop: threading.Event,
    *,
    report: Report | None = None,
    progress: Progress = silent,
) -> None:
    """Trains at the times of ``when`` until ``stop`` is set; a run under way ends at its next stage then.

    A time that was missed while nothing ran is made up for once. A failed run is recorded, told, and tried again
    at the next time.

    Raises:
        InputError: ``when`` is neither an interval nor a cron expression.
    """
    parsed = parse_when(when)
    now = training.clock()
    first = next_time(parsed, _last_start(training.lake), now)

    def stoppable(stage: str, done: int, total: int) -> None:
        if stop.is_set():
            msg = f"stopped before {stage}: the process was asked to end"
            raise Stopped(msg)
        progress(stage, done, total)

    scheduler = BackgroundScheduler(timezone=dt.UTC)
    scheduler.add_job(
        lambda: train_due(training, report=report, progress=stoppable),
        _trigger(parsed, first),
        next_run_time=first,
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,
    )
    scheduler.start()
    try:
        stop.wait()
    finally:
        scheduler.shutdown(wait=True)


def _trigger(when: dt.timedelta | str, first: dt.datetime) -> Any:
    if isinstance(when, dt.timedelta):
        return IntervalTrigger(seconds=int(when.total_seconds()), start_date=first, timezone=dt.UTC)
    return CronTrigger.from_crontab(when, timezone=dt.UTC)


def _last_start(lake: Lake) -> dt.datetime | None:
    runs = read_runs(lake)
    return max((run.started_at for run in runs), default=None)


__all__ = [
    "Stopped",
    "Tick",
    "Training",
    "next_time",
    "nothing_new",
    "parse_when",
    "run_schedule",
    "train_due",
]
