"""When to train: at set times, never two at once, caught up after downtime. What is done then is the caller's."""

from __future__ import annotations

import datetime as dt
import re
import threading
from collections.abc import Callable
from typing import Any, Literal

import msgspec
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from clapometer.domain import InputError

_INTERVAL = re.compile(r"(?:every\s+)?(\d+)\s*(s|m|h|d)", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


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


def run_schedule(
    train: Callable[[], None],
    when: str,
    stop: threading.Event,
    *,
    last: dt.datetime | None,
    clock: Callable[[], dt.datetime],
    cancel: Callable[[], None] = lambda: None,
) -> None:
    """Calls ``train`` at the times of ``when`` until ``stop`` is set; then ``cancel``, and waits for the call to end.

    A time that was missed since the ``last`` run started, while nothing ran, is made up for once.

    Raises:
        InputError: ``when`` is neither an interval nor a cron expression.
    """
    parsed = parse_when(when)
    first = next_time(parsed, last, clock())
    scheduler = BackgroundScheduler(timezone=dt.UTC)
    scheduler.add_job(
        train,
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
        cancel()
        scheduler.shutdown(wait=True)


def _trigger(when: dt.timedelta | str, first: dt.datetime) -> Any:
    if isinstance(when, dt.timedelta):
        return IntervalTrigger(seconds=int(when.total_seconds()), start_date=first, timezone=dt.UTC)
    return CronTrigger.from_crontab(when, timezone=dt.UTC)
