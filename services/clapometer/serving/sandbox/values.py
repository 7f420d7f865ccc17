"""Arrow columns as values that JSON and CSV can hold, also those for which Python has no type."""

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000}
_CYCLE_DAYS, _CYCLE_YEARS = 146_097, 400
_EPOCH = dt.date(1970, 1, 1).toordinal()
_INFINITE = {pa.types.is_date32: 2**31 - 1, pa.types.is_timestamp: 2**63 - 1}
Convert = Callable[[Any], Any]


def values(column: pa.Array) -> list[Any]:
    """Returns the cells of a column: maps as objects, whole decimals in full, NaN and infinity by name."""
    try:
        found = column.to_pylist()
    except (OverflowError, ValueError):  # a date beyond the years of Python
        found = [_python(scalar) for scalar in column]
    convert = _converter(column.type)
    return found if convert is None else [None if value is None else convert(value) for value in found]


def _converter(kind: pa.DataType) -> Convert | None:
    """Returns what makes values of JSON of a type's values; ``None`` where they are such already."""
    if pa.types.is_map(kind):
        return _map(_converter(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind) or pa.types.is_large_list(kind):
        return _list(_converter(kind.value_type))
    if pa.types.is_struct(kind):
        return _struct({field.name: convert for field in kind if (convert := _converter(field.type))})
    if pa.types.is_union(kind):
        return _loose
    return _leaf if pa.types.is_floating(kind) or pa.types.is_decimal(kind) else None


def _leaf(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _loose(value: Any) -> Any:
    """Converts a value whose type only it knows: a member of a union."""
    if isinstance(value, dict):
        return {key: _loose(item) for key, item in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return {_key(key): _loose(item) for key, item in value}
    if isinstance(value, list):
        return [_loose(item) for item in value]
    return _leaf(value) if isinstance(value, float | Decimal) else value


def _list(inner: Convert | None) -> Convert | None:
    return None if inner is None else lambda items: [None if item is None else inner(item) for item in items]


def _struct(inner: dict[str, Convert]) -> Convert | None:
    def convert(value: dict[str, Any]) -> dict[str, Any]:
        return {key: inner[key](item) if item is not None and key in inner else item for key, item in value.items()}

    return convert if inner else None


def _map(inner: Convert | None) -> Convert:
    def convert(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        return {_key(key): item if inner is None or item is None else inner(item) for key, item in pairs}

    return convert


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    return msgspec.json.encode(_loose(key), enc_hook=str).decode().strip('"')


def _python(scalar: pa.Scalar) -> Any:
    """Returns a scalar as Python has it; a date or time out of its range as text."""
    if not scalar.is_valid:
        found: Any = None
    elif isinstance(scalar, pa.MapScalar):
        found = [(_python(pair["key"]), _python(pair["value"])) for pair in scalar.values]
    elif isinstance(scalar, pa.ListScalar | pa.LargeListScalar | pa.FixedSizeListScalar):
        found = [_python(item) for item in scalar.values]
    elif isinstance(scalar, pa.StructScalar):
        found = {name: _python(item) for name, item in scalar.items()}
    elif isinstance(scalar, pa.UnionScalar):
        found = _python(scalar.value)
    else:
        try:
            found = scalar.as_py()
        except (OverflowError, ValueError):
            found = _far(scalar)
    return found


def _far(scalar: pa.Scalar) -> str:
    """Returns a date or time beyond the years of Python: ISO 8601 with a signed year, or DuckDB's infinity."""
    for holds, infinite in _INFINITE.items():
        if holds(scalar.type) and abs(scalar.value) == infinite:
            return "infinity" if scalar.value > 0 else "-infinity"
    if pa.types.is_date32(scalar.type):
        return _far_date(scalar.value)
    days, rest = divmod(scalar.value, _PER_DAY[scalar.type.unit])
    clock = dt.datetime(1, 1, 1, tzinfo=dt.UTC) + dt.timedelta(
        microseconds=rest * _PER_DAY["us"] // _PER_DAY[scalar.type.unit]
    )
    return f"{_far_date(days)}T{clock.time().isoformat()}{'Z' if scalar.type.tz else ''}"


def _far_date(days: int) -> str:
    cycles, day = divmod(days, _CYCLE_DAYS)
    near = dt.date.fromordinal(_EPOCH + day)
    year = near.year + _CYCLE_YEARS * cycles
    return f"{year:+05d}-{near:%m-%d}"
