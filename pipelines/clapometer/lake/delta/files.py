"""What a Delta table is made of: its Parquet files with their statistics, and the times of its versions."""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from clapometer.domain import InputError


@dataclass(frozen=True)
class DataFile:
    """A Parquet file of a table.

    Attributes:
        path: Relative to the table's folder.
        size: Bytes.
        rows: Number of rows.
        partition: Values of the partition columns.
    """

    path: str
    size: int
    rows: int
    partition: Mapping[str, str | None]


@dataclass(frozen=True)
class Commit:
    """What one commit of a table said about itself."""

    version: int
    metadata: Mapping[str, Any]


def version_at(delta: DeltaTable, log_entry: Callable[[int], bytes | None], moment: dt.datetime) -> int:
    """Returns the version that a table had at a time, leaving ``delta`` there.

    Raises:
        InputError: The table is younger, or its log does not reach back that far.
    """
    name = str(delta.table_uri).rstrip("/").rpartition("/")[2]
    try:
        delta.load_as_version(moment)
    except (DeltaError, OSError) as error:
        msg = f"{name} as of {moment.isoformat()} is no longer kept: {error}"
        raise InputError(msg, "as_of") from error
    version = delta.version()
    committed = _committed_at(log_entry(version) or b"")
    if committed is None or committed > moment:
        since = "" if committed is None else f" from {committed.isoformat()} on"
        msg = f"{name} is not kept as of {moment.isoformat()}, only{since or ' later'}"
        raise InputError(msg, "as_of")
    return version


def commit_infos(entry: bytes) -> Iterator[dict[str, Any]]:
    """Yields what an entry of the log says about its commit."""
    for line in entry.splitlines():
        if line.startswith(b'{"commitInfo"'):
            yield json.loads(line)["commitInfo"]


def new_files(entry: bytes) -> Iterator[DataFile]:
    """Yields the files with new rows that an entry of the log adds."""
    for line in entry.splitlines():
        action = json.loads(line).get("add") if line.startswith(b'{"add"') else None
        if action and action["dataChange"]:
            rows = json.loads(action["stats"] or "{}").get("numRecords", 0)
            yield DataFile(unquote(action["path"]), action["size"], rows, action["partitionValues"])


def _committed_at(entry: bytes) -> dt.datetime | None:
    for line in entry.splitlines():
        if info := json.loads(line).get("commitInfo"):
            return dt.datetime.fromtimestamp(info["timestamp"] / 1000, dt.UTC)
    return None


def split(table: pa.Table, columns: Sequence[str]) -> Iterator[tuple[dict[str, str | None], pa.Table]]:
    """Yields the rows of each partition with the partition's values."""
    if not table.num_rows:
        return
    if not columns:
        yield {}, table
        return
    (column,) = columns
    for value in pc.unique(table[column]).to_pylist():
        part = table if pc.count_distinct(table[column], mode="all").as_py() == 1 else None
        yield {column: text(value)}, part if part is not None else table.filter(pc.equal(table[column], value))


def text(value: object) -> str | None:
    """Returns a partition value as Delta's log writes it."""
    return None if value is None else str(value)


def statistics(parquet: pq.FileMetaData) -> str:
    """Returns the Delta statistics of a file: rows, and the ranges of its instants, by which readers skip it."""
    low: dict[str, str] = {}
    high: dict[str, str] = {}
    for group in range(parquet.num_row_groups):
        row_group = parquet.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            found = column.statistics
            if found is None or not found.has_min_max or not isinstance(found.min, dt.datetime):
                continue
            name = column.path_in_schema
            low[name] = min(low.get(name, "9"), _instant(found.min))
            high[name] = max(high.get(name, ""), _instant(found.max))
    return json.dumps({"numRecords": parquet.num_rows, "minValues": low, "maxValues": high, "nullCount": {}})


def _instant(value: dt.datetime) -> str:
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now_ms() -> int:
    """Returns the time in milliseconds since 1970, as Delta's log wants it."""
    return int(time.time() * 1000)
