"""When to train, as people write it: an interval such as ``15m``, or a cron expression in UTC.

cron has dialects. Taken is what Debian's cron and Kubernetes read alike, and nothing else: 0 and 7 are Sunday, and a
time fires on days that fit the day of the month *or* that of the week where both are given. What the two read
differently, or one of them refuses, is refused here with the reason.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

from cronsim import CronSim, CronSimError

from clapometer.domain import InputError

_INTERVAL = re.compile(r"(?:every\s+)?([0-9]{1,9})\s*(s|m|h|d)", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST = dt.timedelta(days=366)
_FORMS = "write an interval such as 15m, 6h or 1d, or a cron expression in UTC such as `0 9 * * 1` (Mondays at 9)"

MACROS = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_ITEM = re.compile(r"(?:(?P<star>\*)|(?P<low>[0-9]+|[a-z]+)(?:-(?P<high>[0-9]+|[a-z]+))?)(?:/(?P<step>[0-9]+))?")


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 7, _DAYS),
)


@dataclass(frozen=True)
class Interval:
    """So long after the run before."""

    length: dt.timedelta

    def after(self, moment: dt.datetime) -> dt.datetime:
        """Returns the time that follows ``moment``."""
        return moment + self.length


@dataclass(frozen=True)
class Cron:
    """Times of the calendar, in UTC; ``text`` has five fields, of numbers, ``*``, lists, ranges and steps alone."""

    text: str

    def after(self, moment: dt.datetime) -> dt.datetime:
        """Returns the first time later than ``moment``."""
        found: dt.datetime = next(CronSim(self.text, moment.astimezone(dt.UTC)))
        return found


When = Interval | Cron


def parse_when(text: str, field: str = "schedule") -> When:
    """Returns what ``text`` says; ``field`` is what an error names.

    Raises:
        InputError: It is neither an interval nor a cron expression, or never comes.
    """
    found = _INTERVAL.fullmatch(text.strip())
    try:
        if found:
            return Interval(_length(int(found[1]) * _SECONDS[found[2].lower()]))
        return Cron(_cron(text))
    except ValueError as error:
        msg = f"{text!r} is no schedule: {error}; {_FORMS}"
        raise InputError(msg, field) from error


def _length(seconds: int) -> dt.timedelta:
    if not 0 < seconds <= _LONGEST.total_seconds():
        msg = f"an interval is longer than nothing and at most {_LONGEST.days} days"
        raise ValueError(msg)
    return dt.timedelta(seconds=seconds)


def _cron(text: str) -> str:
    """Returns a cron expression in numbers; raises ``ValueError`` where it is none, or not the same everywhere."""
    given = text.strip().lower()
    if given.startswith("@"):
        if given not in MACROS:
            msg = f"of the names with @ there are {', '.join(MACROS)}"
            raise ValueError(msg)
        given = MACROS[given]
    parts = given.split()
    if parts and parts[0].startswith(("tz=", "cron_tz=")):
        msg = "it names a time zone, and times are UTC"
        raise ValueError(msg)
    if len(parts) != len(_FIELDS):
        msg = f"a cron expression has five fields (minute, hour, day, month, day of the week), this has {len(parts)}"
        raise ValueError(msg)
    numbers = [_numbers(part, field) for part, field in zip(parts, _FIELDS, strict=True)]
    _refuse_two_meanings(numbers[2], numbers[4])
    spelt = " ".join(numbers)
    try:
        next(CronSim(spelt, dt.datetime(2000, 1, 1, tzinfo=dt.UTC)))
    except (CronSimError, StopIteration) as error:
        msg = "no such day ever comes"
        raise ValueError(msg) from error
    return spelt


def _numbers(part: str, field: _Field) -> str:
    """Returns a field with its names as numbers; raises ``ValueError``, naming it, where it is none."""
    items = part.split(",")
    try:
        if len(items) > 1 and any(item.startswith("*") for item in items):
            msg = "`*` in a list is not read alike everywhere; write `*` alone, or the numbers"
            raise ValueError(msg)
        return ",".join(_item(item, field) for item in items)
    except ValueError as error:
        msg = f"{field.name} {part!r}: {error}"
        raise ValueError(msg) from None


def _item(text: str, field: _Field) -> str:
    found = _ITEM.fullmatch(text)
    if found is None:
        msg = f"{text!r} is no number, range such as 1-5, or step such as */5"
        raise ValueError(msg)
    if found["step"] is not None and int(found["step"]) == 0:
        msg = "a step is at least 1"
        raise ValueError(msg)
    step = "" if found["step"] is None or int(found["step"]) == 1 else f"/{int(found['step'])}"
    if found["star"]:
        return f"*{step}"
    low = _number(found["low"], field)
    if found["high"] is None:
        if found["step"] is not None:
            msg = f"a step goes with a range: `{low}-{field.most}/{found['step']}`"
            raise ValueError(msg)
        return str(low)
    high = _number(found["high"], field)
    if high < low:
        msg = f"the range ends before it begins; write `{found['low']}-{field.most},{field.least}-{found['high']}`"
        raise ValueError(msg)
    return str(low) if low == high else f"{low}-{high}{step}"


def _number(text: str, field: _Field) -> int:
    if text in field.words:
        return field.words.index(text) + (field.least if field.words is _MONTHS else 0)
    if not text.isdigit() or not field.least <= int(text) <= field.most:
        names = f", or {field.words[0]} to {field.words[-1]}" if field.words else ""
        msg = f"{text!r} is not from {field.least} to {field.most}{names}"
        raise ValueError(msg)
    return int(text)


def _refuse_two_meanings(day: str, weekday: str) -> None:
    """Raises ``ValueError`` where cron takes days that fit both fields, and Kubernetes those that fit one of them."""
    if day != "*" and weekday != "*" and (day.startswith("*/") or weekday.startswith("*/")):
        msg = "a step from `*` beside another day field means both to cron and either to Kubernetes; list the days"
        raise ValueError(msg)
