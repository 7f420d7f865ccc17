"""Flat rows to events: the path of a field is the name of its column."""

import datetime as dt
import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from clapometer.domain import Event, InputError, decode_event
from clapometer.lake import DATA_COLUMNS

_ENVELOPE = ("type", "id", "source", "time", "subject", "sentat", "traceparent")
_TIMES = ("time", "sentat")
_COLUMNS = {column.name: column for column in DATA_COLUMNS}
_TRUTH = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
_PREFIX, _SUFFIX = "clapometer.", ".v1"


@dataclass(frozen=True)
class RowDecoder:
    """Turns rows into events.

    Attributes:
        source: CloudEvents source of rows that name none.
        assume_utc: Whether times without a zone are UTC.
    """

    source: str
    assume_utc: bool

    def event(self, row: Mapping[str, Any]) -> Event:
        """Returns the event that the row spells.

        Raises:
            InputError: It spells none; names the column or field, the problem and the fix.
        """
        given = {name: value for name, value in row.items() if value is not None and value != ""}
        refuse_unknown(given)
        envelope: dict[str, Any] = {"specversion": "1.0", "source": self.source, "data": {}}
        for name, value in given.items():
            if name in _ENVELOPE:
                envelope[name] = self._context(name, value)
            else:
                _put(envelope["data"], _COLUMNS[name].path, _cell(name, value))
        try:
            return decode_event(msgspec.json.encode(envelope))
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(str(error)) from error

    def _context(self, name: str, value: Any) -> Any:
        if name == "type" and isinstance(value, str) and not value.startswith(_PREFIX):
            return f"{_PREFIX}{value}{_SUFFIX}"
        return self._time(value) if name in _TIMES else value

    def _time(self, value: Any) -> Any:
        moment = value
        if isinstance(value, str):
            try:
                moment = dt.datetime.fromisoformat(value)
            except ValueError:
                return value  # decoding says what is wrong with it
        if isinstance(moment, dt.datetime) and moment.tzinfo is None and self.assume_utc:
            return moment.replace(tzinfo=dt.UTC)
        return moment


def refuse_unknown(names: Iterable[str], where: str = "") -> None:
    """Refuses columns that no event has.

    Raises:
        InputError: Names the first of them and the nearest known one.
    """
    known = [*_ENVELOPE, *_COLUMNS]
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(known)}"
            msg = f"unknown column `{name}`{hint}"
            raise InputError(msg, where)


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value


def _cell(name: str, value: Any) -> Any:
    """Returns the value as JSON has it; text of CSV becomes what the column holds."""
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{value} is not a number"
        raise InputError(msg, name)
    if not isinstance(value, str):
        return value
    column = _COLUMNS[name]
    try:
        return _parsed(value, column.type, column.is_json)
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        msg = f"{value[:100]!r} is not {'JSON' if column.is_json else f'of type {column.type}'}"
        raise InputError(msg, name) from error


def _parsed(text: str, kind: pa.DataType, is_json: bool) -> Any:
    if is_json:
        return msgspec.json.decode(text)
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_boolean(kind):
        return _TRUTH[text.strip().lower()]
    if pa.types.is_floating(kind):
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    return text
