"""SQL that turns the lines of event blocks into rows of ``events``, generated from the columns of the schema.

The lines were written by our collector: every known field once, each of the right type. So one
``json_transform`` with the structure of the union parses them, in DuckDB's threads. The view ``batch`` must
have the columns line, tenant, received_at, trust and event_key.
"""

import json

import pyarrow as pa

from clapometer.lake.schema import DATA_COLUMNS, EVENTS

_SQL_TYPES = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}
_ENVELOPE = {"type": "VARCHAR", "id": "VARCHAR", "source": "VARCHAR", "time": "TIMESTAMPTZ", "sentat": "TIMESTAMPTZ"}
_KEPT = [column for column in DATA_COLUMNS if column.name != "token"]

IDENTIFY = """
SELECT
    fields[1] AS source,
    fields[2] AS id,
    (md5_number_lower(concat_ws(chr(31), tenant, fields[1], fields[2])) >> 1)::BIGINT AS event_key,
    list_count(fields) = 4 AS sound
FROM (SELECT tenant, json_extract_string(line, ['$.source', '$.id', '$.time', '$.type']) AS fields FROM batch)
"""
"""Source, id and the 63-bit key of (tenant, source, id), in the order of ``batch``."""

PAYLOAD = ", ".join(f'"{name}"' for name in ("type", *(column.name for column in _KEPT)))
"""What makes two events of one id the same: type and data. The token is not kept, so it does not count."""

PAYLOAD_HASH = f"(hash({PAYLOAD}) >> 1)::BIGINT"
"""DuckDB's hash of the payload. It may differ between releases of DuckDB: so a difference is only a hint, and
the columns are compared before two events are said to differ."""


def _structure() -> str:
    """Returns the JSON structure that ``json_transform`` takes."""
    data: dict[str, object] = {}
    for column in _KEPT:
        folder = data
        for key in column.path[:-1]:
            folder = folder.setdefault(key, {})  # type: ignore[assignment]
        folder[column.path[-1]] = "JSON" if column.is_json else _SQL_TYPES[column.type]
    return json.dumps({**_ENVELOPE, "data": data})


def _column(name: str) -> str:
    """Returns the expression of a data column."""
    (column,) = [column for column in _KEPT if column.name == name]
    value = "event.data." + ".".join(f'"{key}"' for key in column.path)
    if column.is_json:
        value += "::VARCHAR"
    if name == "prompt_id":
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


def parse() -> str:
    """Returns the query for the rows of ``batch``, in the columns of ``events`` but for the partition's."""
    columns = [field.name for field in EVENTS if field.name not in ("payload_hash", "received_date")]
    parsed = ", ".join(f'{_EXPRESSIONS.get(name) or _column(name)} AS "{name}"' for name in columns)
    structure = _structure().replace("'", "''")
    transformed = f"SELECT * EXCLUDE line, json_transform(line, '{structure}') AS event FROM batch"  # noqa: S608 - ours
    return f"SELECT *, {PAYLOAD_HASH} AS payload_hash FROM (SELECT {parsed} FROM ({transformed}))"  # noqa: S608 - ours
