"""When to train: at set times, never two at once, caught up after downtime. What is done then is the caller's."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Literal

import msgspec
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger

from clapometer.training.when import When, parse_when


class Tick(msgspec.Struct, frozen=True):
    """What became of one scheduled time.

    Attributes:
        tenant: Whose ranking.
        result: trained, skipped (nothing new), busy (another process trains) or failed.
        reason: Why it was skipped, or failed.
        seconds: How long it took.
    """

    tenant: str
    result: Literal["trained", "skipped", "busy", "failed"]
    reason: str = ""
    seconds: float = 0.0


Report = Callable[[Tick], None]


def next_time(when: When, last: dt.datetime | None, now: dt.datetime) -> dt.datetime:
    """Returns when to train next: now, where a time since the ``last`` run was missed, or there was none."""
    return now if last is None else max(when.after(last), now)


def run_schedule(
    train: Callable[[], None],
    when: str,
    stop: threading.Event,
    *,
    last: dt.datetime | None,
    clock: Callable[[], dt.datetime],
    cancel: Callable[[], None] = lambda: None,
    planned: Callable[[dt.datetime], None] = lambda _: None,
) -> None:
    """Calls ``train`` at the times of ``when`` until ``stop`` is set; then ``cancel``, and waits for the call to end.

    A time that was missed since the ``last`` run started, while nothing ran, is made up for once. ``planned`` is told
    the first time.

    Raises:
        InputError: ``when`` is neither an interval nor a cron expression.
    """
    parsed = parse_when(when)
    first = next_time(parsed, last, clock())
    planned(first)
    scheduler = BackgroundScheduler(timezone=dt.UTC)
    scheduler.add_job(
        train,
        _Times(parsed),
        next_run_time=first,
        max_instances=1,
        coalesce=True,
        misfire_grace_time=None,
    )
    scheduler.start()
    try:
        stop.wait()
    finally:
        cancel()
        scheduler.shutdown(wait=True)


class _Times(BaseTrigger):  # type: ignore[misc]  # apscheduler has no types
    """The times of ``when``, for apscheduler: each from the one before, so that no drift adds up."""

    def __init__(self, when: When) -> None:
        self._when = when

    def get_next_fire_time(self, previous_fire_time: dt.datetime | None, now: dt.datetime) -> dt.datetime:
        return self._when.after(previous_fire_time or now)
