"""SQL that turns the lines of event blocks into rows of ``events``, generated from the columns of the schema.

The lines were written by our collector: every known field once, each of the right type. So one
``json_transform`` with the structure of the union parses them, in DuckDB's threads. The view ``batch`` must
have the columns line, tenant, received_at, trust and line_number.

Nearly all events say what viewers did, and need half of the columns. They have Parquet files of their own
without the other half, which makes writing them a quarter cheaper; see ``schema.WATCHING``.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from clapometer.lake.delta.packing import is_packed
from clapometer.lake.published.views import scan
from clapometer.lake.schema import DATA_COLUMNS, EVENTS, WATCHING, WATCHING_COLUMNS, WIDE

_SQL_TYPES = {
    pa.string(): "VARCHAR", pa.int64(): "BIGINT", WIDE: "DECIMAL(20,0)", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN",
}  # fmt: skip
_ENVELOPE = {"type": "VARCHAR", "id": "VARCHAR", "source": "VARCHAR", "time": "TIMESTAMPTZ", "sentat": "TIMESTAMPTZ"}
_STORED = {field.name for field in EVENTS}
_KEPT = {column.name: column for column in DATA_COLUMNS if column.name in _STORED}
_WATCHING_TYPES = ", ".join(f"'{name}'" for name in WATCHING)
_WATCHING_TAGS = ", ".join(f"'clapometer.{name}.v1'" for name in WATCHING)

EVENT_KEY = "(md5_number_lower(concat_ws(chr(31), tenant, {event}source, {event}id)) >> 1)::BIGINT"
"""The 63-bit key of (tenant, source, id), of whatever ``event`` is."""
NEVER_LOST = ("clip_withdrawn", "viewer_erased")
"""Types of events that are done whatever id they bear: with other data it is another event, and no conflict."""
_BY_SECRET_KEY = "(trust = 'key')"  # noqa: S105 - no password
_NEVER_LOST = ", ".join(f"'{name}'" for name in NEVER_LOST)
_JUDGED = {
    "line_number": "line_number",
    "watching": f"coalesce(event.type IN ({_WATCHING_TAGS}), false)",
    # an instant that only DuckDB cannot read is no fault of the line
    "sound": "event.id IS NOT NULL AND event.source IS NOT NULL AND event.type IS NOT NULL AND "
    "CASE WHEN event.time IS NULL THEN json_extract_string(line, '$.time') IS NOT NULL ELSE true END",
}
JUDGED = tuple(_JUDGED)
"""Columns of a parsed batch that are not stored."""


def _hash(names: list[str]) -> str:
    """Returns 31 bits of DuckDB's hash of the payload: type, data, and whether a secret key sent it.

    The token is not kept, so it does not count.
    """
    quoted = ", ".join(f'"{name}"' for name in ["type", *names])
    return f"(hash({_BY_SECRET_KEY}, {quoted}) >> 33)::BIGINT"


_HASHES = {True: _hash([name for name in _KEPT if name in WATCHING_COLUMNS]), False: _hash(list(_KEPT))}
PAYLOAD_HASH = f"CASE WHEN type IN ({_WATCHING_TYPES}) THEN {_HASHES[True]} ELSE {_HASHES[False]} END"
"""Hash of the payload of any row of ``events``. It may differ between releases of DuckDB: so a difference is only
a hint, and the hashes are made anew from the columns before two events are said to differ."""

KEPT_APART = f"CASE WHEN type IN ({_NEVER_LOST}) THEN payload_hash ELSE {_BY_SECRET_KEY}::BIGINT END"
"""What is part of an event's identity besides its names: a browser takes no id from a server (ADR 18)."""


def with_hashes(paths: Sequence[Path]) -> str:
    """Returns a query for the rows of ``events`` in these files, with the hashes that packed files lack."""
    packed = [path for path in paths if is_packed(path)]
    kept = [path for path in paths if not is_packed(path)]
    made = f"SELECT * REPLACE ({EVENT_KEY.format(event='')} AS event_key, {PAYLOAD_HASH} AS payload_hash)"
    queries = [scan("events", kept)] if kept or not packed else []
    return " UNION ALL ".join([*queries, *([f"{made} FROM ({scan('events', packed)})"] if packed else [])])


def _structure(names: list[str]) -> str:
    """Returns the JSON structure that ``json_transform`` takes, quoted."""
    data: dict[str, object] = {}
    for name in names:
        folder = data
        column = _KEPT[name]
        for key in column.path[:-1]:
            folder = folder.setdefault(key, {})  # type: ignore[assignment]
        folder[column.path[-1]] = "JSON" if column.is_json else _SQL_TYPES[column.type]
    return json.dumps({**_ENVELOPE, "data": data}).replace("'", "''")


def _column(name: str, *, watching: bool) -> str:
    """Returns the expression of a data column."""
    column = _KEPT[name]
    value = "event.data." + ".".join(f'"{key}"' for key in column.path)
    if column.is_json:
        value += "::VARCHAR"
    if name == "prompt_id" and not watching:
        text, negative = "event.data.prompt.text", "event.data.prompt.negative"
        made = f"CASE WHEN {text} IS NOT NULL THEN md5({text} || chr(31) || coalesce({negative}, '')) END"
        value = f"coalesce({value}, event.data.prompt.hash, {made})"
    return value


_MAX_AGE_US = 3653 * 86_400_000_000
_MAX_TRANSIT_US = 5 * 60_000_000
_AGE = "(epoch_us(event.sentat) - epoch_us(event.time))"
_OFFSET = "(epoch_us(received_at) - epoch_us(event.sentat))"
# A clock that was wrong when the event happened was as wrong when it was sent. What came minutes after it was sent
# was on its way, nothing happens after it was received, and an age that cannot be is no age (ADR 17).
_TIME = (
    f"CASE WHEN {_OFFSET} NOT BETWEEN 0 AND {_MAX_TRANSIT_US} AND {_AGE} <= {_MAX_AGE_US} "
    f"THEN make_timestamptz(epoch_us(received_at) - greatest({_AGE}, 0)) ELSE event.time END"
)
_EXPRESSIONS = {
    "tenant": "tenant",
    "type": "split_part(event.type, '.', 2)",
    "source": "event.source",
    "id": "event.id",
    "time": _TIME,
    "client_time": "event.time",
    "received_at": "received_at",
    "trust": "trust",
}


def parse(*, watching: bool) -> str:
    """Returns the query for the rows of ``batch``: the columns of ``events`` but for the partition's, and ``JUDGED``.

    With ``watching`` the columns that watching events never fill are left out; of the others the payload hash is not
    the one to be stored then. Rows may come in any order: DuckDB's threads share the chunks of an Arrow table.
    """
    names = [name for name in _KEPT if name in WATCHING_COLUMNS or not watching]
    data = {name: _column(name, watching=watching) for name in names}
    columns = {**_EXPRESSIONS, "event_key": EVENT_KEY.format(event="event."), **data, **_JUDGED}
    parsed = ", ".join(f'{value} AS "{name}"' for name, value in columns.items())
    transformed = f"SELECT *, json_transform(line, '{_structure(names)}') AS event FROM batch"  # noqa: S608
    payload_hash = _HASHES[True] if watching else PAYLOAD_HASH
    return f"SELECT *, {payload_hash} AS payload_hash FROM (SELECT {parsed} FROM ({transformed}))"  # noqa: S608 - ours
