"""Cells of files to values of JSON: the column of the event model decides what a cell is, not the file's own type.

A value comes over whole or is refused with the reason; nothing is rounded, cut or guessed.
"""

import datetime as dt
import math
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from clapometer.domain import InputError
from clapometer.lake.schema import DataColumn

EXACT = 2**53
"""Up to here a float holds every whole number; beyond, it may stand for one that was rounded."""
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(\.[0-9]*)?|(\.[0-9]+))([eE][+-]?[0-9]+)?")
_MAX_DIGITS = 40
_TRUTH = {"true": True, "t": True, "1": True, "1.0": True, "false": False, "f": False, "0": False, "0.0": False}
_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"), (int, "a whole number"), ((float, Decimal), "a number"),
    (dt.datetime, "a time"), (dt.date, "a date"), (dt.time, "a time of day"), (dt.timedelta, "a duration"),
    ((bytes, str), "text"), (list, "a list"), (dict, "an object"),
)  # fmt: skip
_WHOLE, _FLOAT, _BOOL, _TEXT = "a whole number", "a number", "true or false", "text"


def cell(column: DataColumn, value: Any) -> Any:
    """Returns the value of a column as JSON has it.

    Raises:
        InputError: The value is not the column's, or would not come over whole.
    """
    if isinstance(value, InputError):
        raise value
    return _reader(column)(column.name, value)


def is_missing(value: Any) -> bool:
    """Returns whether a cell holds nothing: null, empty text, or the NaN that stands for null in a column of floats."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def text(name: str, value: Any) -> str:
    """Returns the text that a cell holds: numbers, dates and UUIDs as they are written.

    Raises:
        InputError: It has no one way to be written, such as a time or a list.
    """
    if isinstance(value, InputError):
        raise value
    if isinstance(value, bytes):
        return _utf8(name, value)
    written = str(value) if isinstance(value, str | uuid.UUID) else _number_text(name, value) or _date_text(value)
    if written is None:
        raise _refusal(name, value, _TEXT)
    return written


def _number_text(name: str, value: Any) -> str | None:
    if isinstance(value, float) and value.is_integer() and abs(value) <= EXACT and name.endswith("id"):
        return str(int(value))  # a column of whole ids, of which some cells are missing
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return format(value, "f") if isinstance(value, Decimal) and value.is_finite() else None


def _date_text(value: Any) -> str | None:
    if isinstance(value, dt.datetime):  # a reader may have taken a date for a time
        return value.date().isoformat() if value.time() == dt.time() and value.tzinfo is None else None
    return value.isoformat() if isinstance(value, dt.date) else None


def moment(name: str, value: Any, *, assume_utc: bool) -> dt.datetime | str:
    """Returns the time that a cell holds; text that is none is left for the decoder to refuse.

    Raises:
        InputError: It is no time, or has no zone and none may be assumed.
    """
    if isinstance(value, InputError):
        raise value
    found = value
    if isinstance(value, bytes):
        found = _utf8(name, value)
    if isinstance(found, str):
        try:
            found = dt.datetime.fromisoformat(found.strip())
        except ValueError:
            return str(found)
    elif isinstance(found, dt.date) and not isinstance(found, dt.datetime):
        found = dt.datetime(found.year, found.month, found.day)  # noqa: DTZ001 - judged below
    if not isinstance(found, dt.datetime):
        raise _refusal(name, value, "a time such as 2026-01-31T12:00:00Z")
    if found.tzinfo is None and not assume_utc:
        msg = "has no zone; end it with Z or an offset such as +02:00, or take such times as UTC (`--assume-utc`)"
        raise InputError(msg, name)
    return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found


def _reader(column: DataColumn) -> Callable[[str, Any], Any]:
    if column.is_json:
        return _json
    if pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
        return _whole
    if pa.types.is_floating(column.type):
        return _float
    return _bool if pa.types.is_boolean(column.type) else text


def _whole(name: str, value: Any) -> int:
    number = _number(name, value, _WHOLE)
    if number != number.to_integral_value():
        raise _refusal(name, value, _WHOLE)
    if abs(number) > EXACT and _was_float(value):
        msg = f"{_shown(value)} is a floating point number beyond 2^53, so it may have been rounded; write the column \
as whole numbers or text"
        raise InputError(msg, name)
    return int(number)


def _float(name: str, value: Any) -> float:
    number = float(_number(name, value, _FLOAT))
    if not math.isfinite(number):
        raise _refusal(name, value, _FLOAT)
    if isinstance(value, int | Decimal) and Decimal(value) not in {Decimal(number), Decimal(repr(number))}:
        msg = f"{_shown(value)} has more digits than a floating point number keeps; round it"
        raise InputError(msg, name)
    return number


def _bool(name: str, value: Any) -> bool:
    known = _TRUTH.get(text(name, value).strip().lower()) if isinstance(value, str | bytes) else None
    if isinstance(value, bool | int | float | Decimal) and value in (0, 1):
        known = bool(value)
    if known is None:
        raise _refusal(name, value, _BOOL)
    return known


def _json(name: str, value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return _plain(name, value)
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _refusal(name, value, "JSON") from error


def _plain(name: str, value: Any) -> Any:
    """Returns a nested value as JSON has it; what a struct has in other rows only is left out."""
    if isinstance(value, dict):
        given = {text(name, key): item for key, item in value.items() if not is_missing(item) or item == ""}
        return {key: _plain(name, item) for key, item in given.items()}
    if isinstance(value, list):
        return [_plain(name, item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise _refusal(name, value, _FLOAT)
    if isinstance(value, Decimal):
        return _float(name, value) if value != value.to_integral_value() else int(value)
    return value if value is None or isinstance(value, str | bool | int | float) else text(name, value)


def _number(name: str, value: Any, due: str) -> Decimal:
    written = _utf8(name, value) if isinstance(value, bytes) else value
    if isinstance(written, str):
        written = written.strip()
        if not _NUMBER.fullmatch(written):
            raise _refusal(name, value, due)
    elif isinstance(written, bool) or not isinstance(written, int | float | Decimal):
        raise _refusal(name, value, due)
    number = Decimal(written)
    if not number.is_finite() or (due == _WHOLE and number.adjusted() > _MAX_DIGITS):
        raise _refusal(name, value, due)
    return number


def _was_float(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, str) and not value.strip().lstrip("+-").isdigit())


def _utf8(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        msg = "holds bytes that are no UTF-8 text; write it as text"
        raise InputError(msg, name) from error


def _refusal(name: str, value: Any, due: str) -> InputError:
    kind = next((said for kinds, said in _KINDS if isinstance(value, kinds)), type(value).__name__)
    said = "is not " if kind == "text" else f"is {kind}, not "
    return InputError(f"{_shown(value)} {said}{due}; write it as {due}", name)


def _shown(value: Any) -> str:
    shown = str(value) if isinstance(value, Decimal | dt.date | dt.time | dt.timedelta | uuid.UUID) else repr(value)
    return shown if len(shown) <= 100 else shown[:100] + "…"
