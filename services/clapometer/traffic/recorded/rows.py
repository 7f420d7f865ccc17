"""Flat rows to events: the path of a field is the name of its column."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from clapometer.domain import Event, InputError, decode_event
from clapometer.lake.schema import DATA_COLUMNS
from clapometer.traffic.recorded.cells import cell, is_missing, moment, text

_ENVELOPE = ("type", "id", "source", "time", "subject", "sentat", "traceparent")
_TIMES = ("time", "sentat")
_COLUMNS = {column.name: column for column in DATA_COLUMNS}
_BY_PATH = {
    ".".join(column.path[:depth]): column.name
    for column in reversed(DATA_COLUMNS)
    for depth in range(1, len(column.path) + 1)
}
"""The column of a field, and of an object the first of its columns."""
_PATH = re.compile(r"\bdata\.([a-z0-9_]+(?:\.[a-z0-9_]+)*)")
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
        given = {name: value for name, value in row.items() if not is_missing(value)}
        refuse_unknown(given)
        envelope: dict[str, Any] = {"specversion": "1.0", "source": self.source, "data": {}}
        for name, value in given.items():
            if name in _ENVELOPE:
                envelope[name] = self._context(name, value)
            else:
                _put(envelope["data"], _COLUMNS[name].path, cell(_COLUMNS[name], value))
        try:
            return decode_event(msgspec.json.encode(envelope))
        except InputError as error:
            raise InputError(_in_columns(error.reason), _in_columns(error.field)) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError(str(error)) from error

    def _context(self, name: str, value: Any) -> Any:
        if name in _TIMES:
            return moment(name, value, assume_utc=self.assume_utc)
        written = text(name, value)
        return f"{_PREFIX}{written}{_SUFFIX}" if name == "type" and not written.startswith(_PREFIX) else written


def refuse_unknown(names: Iterable[str], where: str = "") -> None:
    """Refuses columns that no event has, and those that are there twice.

    Raises:
        InputError: Names the first of them, and the nearest known one.
    """
    known = [*_ENVELOPE, *_COLUMNS]
    seen = set()
    for name in names:
        if name in seen:
            msg = f"two columns are called `{name}`; which one is meant?"
            raise InputError(msg, where)
        seen.add(name)
        if not name:
            msg = "a column has no name; leave it out (pandas: `index=False`)"
            raise InputError(msg, where)
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean `{close[0]}`?" if close else f"; known are {', '.join(known)}"
            msg = f"unknown column `{name}`{hint}"
            raise InputError(msg, where)


def _in_columns(words: str) -> str:
    """Returns the words with columns for fields."""
    return _PATH.sub(lambda path: _BY_PATH.get(path[1], path[0]), words)


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value
