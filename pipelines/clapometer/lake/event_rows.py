"""SQL that turns the lines of event blocks into rows of ``events``, generated from the columns of the schema.

The lines were written by our collector: every known field once, each of the right type. So one
``json_transform`` with the structure of the union parses them, in DuckDB's threads. The view ``batch`` must
have the columns line, tenant, received_at, trust and event_key; line_number too where the answer has an order.

Nearly all events say what viewers did, and need half of the columns. They have Parquet files of their own
without the other half, which makes writing them a quarter cheaper; see ``schema.WATCHING``.
"""

import json

import pyarrow as pa

from clapometer.lake.schema import DATA_COLUMNS, EVENTS, WATCHING, WATCHING_COLUMNS

_SQL_TYPES = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}
_ENVELOPE = {"type": "VARCHAR", "id": "VARCHAR", "source": "VARCHAR", "time": "TIMESTAMPTZ", "sentat": "TIMESTAMPTZ"}
_STORED = {field.name for field in EVENTS}
_KEPT = {column.name: column for column in DATA_COLUMNS if column.name in _STORED}
_WATCHING_TYPES = ", ".join(f"'{name}'" for name in WATCHING)
_WATCHING_TAGS = ", ".join(f"'clapometer.{name}.v1'" for name in WATCHING)

IDENTIFY = f"""
SELECT
    line_number,
    fields[1] AS source,
    fields[2] AS id,
    (md5_number_lower(concat_ws(chr(31), tenant, fields[1], fields[2])) >> 1)::BIGINT AS event_key,
    coalesce(fields[4] IN ({_WATCHING_TAGS}), false) AS watching,
    list_count(fields) = 4 AS sound
FROM (
    SELECT line_number, tenant, json_extract_string(line, ['$.source', '$.id', '$.time', '$.type']) AS fields
    FROM batch
)
"""  # noqa: S608 - our own names
"""Source, id, the 63-bit key of (tenant, source, id), and whether it is a watching event, for each line number."""


def _hash(names: list[str]) -> str:
    """Returns DuckDB's hash of the payload: type and data. The token is not kept, so it does not count."""
    quoted = ", ".join(f'"{name}"' for name in ["type", *names])
    return f"(hash({quoted}) >> 1)::BIGINT"


_HASHES = {True: _hash([name for name in _KEPT if name in WATCHING_COLUMNS]), False: _hash(list(_KEPT))}
PAYLOAD_HASH = f"CASE WHEN type IN ({_WATCHING_TYPES}) THEN {_HASHES[True]} ELSE {_HASHES[False]} END"
"""Hash of the payload of any row of ``events``. It may differ between releases of DuckDB: so a difference is only
a hint, and the hashes are made anew from the columns before two events are said to differ."""


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


_AGE = "(epoch_us(event.sentat) - epoch_us(event.time))"
_MAX_AGE_US = 3653 * 86_400_000_000
_EXPRESSIONS = {
    "tenant": "tenant",
    "type": "split_part(event.type, '.', 2)",
    "source": "event.source",
    "id": "event.id",
    # A clock that was wrong when the event happened was as wrong when it was sent. An age that cannot be is no age.
    "time": f"CASE WHEN {_AGE} BETWEEN 0 AND {_MAX_AGE_US} THEN make_timestamptz(epoch_us(received_at) - {_AGE}) "
    "ELSE event.time END",
    "client_time": "event.time",
    "received_at": "received_at",
    "trust": "trust",
    "event_key": "event_key",
}


FINGERPRINTS = "SELECT line_number, tenant, source, id, payload_hash FROM ({parsed})"
"""Who each event is, and the hash of what it says, for each line number; ``parsed`` is from `parse`."""


def parse(*, watching: bool, with_line_number: bool = False) -> str:
    """Returns the query for the rows of ``batch``, in the columns of ``events`` but for the partition's.

    With ``watching`` all of ``batch`` must be watching events; the columns that these never fill are left out.
    Rows come in any order: DuckDB's threads share the chunks of an Arrow table and do not wait for each other.
    """
    names = [name for name in _KEPT if name in WATCHING_COLUMNS or not watching]
    columns = {**_EXPRESSIONS, **{name: _column(name, watching=watching) for name in names}}
    if with_line_number:
        columns["line_number"] = "line_number"
    parsed = ", ".join(f'{value} AS "{name}"' for name, value in columns.items())
    transformed = f"SELECT * EXCLUDE line, json_transform(line, '{_structure(names)}') AS event FROM batch"  # noqa: S608
    payload_hash = _HASHES[True] if watching else PAYLOAD_HASH
    return f"SELECT *, {payload_hash} AS payload_hash FROM (SELECT {parsed} FROM ({transformed}))"  # noqa: S608 - ours
