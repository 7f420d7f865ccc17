"""Files that are read more often than written: how rows are ordered and encoded in them, and what is left out.

Parquet compresses each column by itself. So what viewers did is brought into an order in which what repeats stands
together: an impression and all that answers it; ids and instants are kept as differences from the row before, and so
are names and watch times of which a sample takes less room that way than what each group of rows repeats once.
What other columns tell is left out: the id of an impression's event where it is that of the impression, as the
player's SDK makes it, and, of days that no repeated event is looked for in, the hashes of key and payload.

References:
    Parquet encodings, https://parquet.apache.org/docs/file-format/data-pages/encodings/
"""

import io
from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from clapometer.lake.schema import EVENTS, WATCHING_SUFFIX, WEIGHTLESS_SUFFIX
from clapometer.lake.statements import quote

PACKED = ".packed"
"""In the names of files of ``events`` without the hashes."""
TIDY = "FORMAT parquet, COMPRESSION lz4_raw, DICTIONARY_SIZE_LIMIT 60000"
"""How DuckDB writes tables other than ``events``, which are read much more than they are kept: LZ4 takes 45 % more disk
than Zstandard, and questions a tenth less time. Ids that repeat within a group of 122,880 rows, as those of clips and
viewers do, are kept once: queries take a tenth less time, and the file is as large."""
ROW_GROUP = 122_880
_ORDER = "date_trunc('hour', received_at), impression_id, time, id"
_IDS = {"id", "impression_id", "left_impression_id", "right_impression_id", "order_id"}
_DIFFERENCES = {
    "DELTA_BYTE_ARRAY": ("clip_id", "viewer_id", "session_id", "slate_id"),
    "DELTA_BINARY_PACKED": ("watched_ms", "total_ms"),
}
"""Columns of which it depends on the data whether differences take less than a dictionary, by how those are kept."""
_HASHES = ("event_key", "payload_hash")
_MILLISECONDS = pa.timestamp("ms", tz="UTC")


def is_packed(path: str | Path) -> bool:
    """Returns whether a file lacks the hashes."""
    return PACKED in Path(path).suffixes


def suffix_of(paths: Iterable[str | Path], *, packed: bool) -> str:
    """Returns how the name of a file with the rows of ``paths``, which have the same columns, has to end."""
    listed = [str(path) for path in paths]
    special = (
        suffix for suffix in (WATCHING_SUFFIX, WEIGHTLESS_SUFFIX) if all(path.endswith(suffix) for path in listed)
    )
    ending = next(special, ".parquet")
    return (PACKED if packed or any(map(is_packed, listed)) else "") + ending


def write_tidily(
    connection: duckdb.DuckDBPyConnection, table: str, query: str, path: Path, *, in_order: bool = False
) -> None:
    """Writes the rows of ``table`` that a query gives to a new file, whose name says what is left out; not synced.

    Args:
        connection: To ask with.
        table: Whose rows.
        query: For the rows.
        path: Of the new file.
        in_order: The rows are to stay in the order in which they come.

    Raises:
        duckdb.OutOfMemoryException: The connection's memory is too little to bring them into order.
    """
    if table != "events":
        connection.execute(f"COPY ({query}) TO {quote(str(path))} ({TIDY})")
        return
    coarse = _whole_milliseconds(connection, query)
    hashes = "".join(f", NULL::BIGINT AS {name}" for name in _HASHES if is_packed(path))
    # Registrations gain nothing by it, and DuckDB does not sort rows of so many columns in little memory.
    order = f"ORDER BY {_ORDER}" if path.name.endswith(WATCHING_SUFFIX) and not in_order else ""
    rows = connection.sql(
        "SELECT * REPLACE (CASE WHEN type = 'impression' AND id = impression_id THEN NULL ELSE id END AS id"  # noqa: S608
        f"{hashes}) FROM ({query}) {order}"
    ).to_arrow_reader(ROW_GROUP)
    schema = pa.schema([field.with_type(_MILLISECONDS) if field.name in coarse else field for field in rows.schema])
    try:
        first = next(rows, pa.RecordBatch.from_pylist([], rows.schema)).cast(schema)
        with pq.ParquetWriter(path, schema, **_options(schema, _shorter_as_differences(first))) as writer:
            writer.write_batch(first, ROW_GROUP)
            for batch in rows:
                writer.write_batch(batch.cast(schema), ROW_GROUP)
    except OSError as error:  # as which pyarrow hands on whatever DuckDB raises by now
        if "Out of Memory" not in str(error):
            raise
        raise duckdb.OutOfMemoryException(str(error)) from error


def _whole_milliseconds(connection: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    """Returns the instants that are whole milliseconds in all rows: there the smaller number says as much."""
    names = [field.name for field in EVENTS if pa.types.is_timestamp(field.type)]
    columns = ", ".join(f"bool_and(epoch_us({name}) % 1000 = 0)" for name in names)
    found = connection.execute(f"SELECT {columns} FROM ({query})").fetchall()[0]  # noqa: S608 - our own names
    return {name for name, whole in zip(names, found, strict=True) if whole}


def _shorter_as_differences(sample: pa.RecordBatch) -> dict[str, str]:
    """Returns the columns of the first rows that take less room as differences than with a dictionary, and how."""
    found = {}
    for encoding, names in _DIFFERENCES.items():
        for name in names:
            column = sample.select([name])
            if _written(column, {name: encoding}) < _written(column, {}):
                found[name] = encoding
    return found


def _written(rows: pa.RecordBatch, differences: dict[str, str]) -> int:
    """Returns how many bytes a file of such rows takes."""
    file = io.BytesIO()
    with pq.ParquetWriter(file, rows.schema, **_options(rows.schema, differences)) as writer:
        writer.write_batch(rows, ROW_GROUP)
    return file.tell()


def _options(schema: pa.Schema, differences: dict[str, str]) -> dict[str, object]:
    """Returns how ``events`` are written: ids, instants and such columns as differences, else a dictionary a group."""
    encodings = dict(differences)
    for field in schema:
        if field.name in _IDS:
            encodings[field.name] = "DELTA_BYTE_ARRAY"
        elif pa.types.is_timestamp(field.type) or field.name == "payload_hash":
            encodings[field.name] = "DELTA_BINARY_PACKED"
        elif field.name == "event_key":
            encodings[field.name] = "PLAIN"
        elif field.name == "propensity":
            encodings[field.name] = "BYTE_STREAM_SPLIT"
    return {
        "compression": "zstd", "compression_level": 6, "column_encoding": encodings, "store_schema": False,
        "use_dictionary": [name for name in schema.names if name not in encodings],
        "write_statistics": [field.name for field in schema if pa.types.is_timestamp(field.type)],
    }  # fmt: skip


__all__ = ["PACKED", "ROW_GROUP", "TIDY", "is_packed", "suffix_of", "write_tidily"]
