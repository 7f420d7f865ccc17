"""A batch of lines as rows of ``events``: parsed once, in DuckDB, and written as Parquet files of the new ones."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction
from numpy.typing import NDArray

from clapometer.domain import ClapometerError
from clapometer.lake.delta.packing import ROW_GROUP
from clapometer.lake.delta.table import Table
from clapometer.lake.duck import connect
from clapometer.lake.event_rows import JUDGED, KEPT_APART, NEVER_LOST, PAYLOAD_HASH, parse, with_hashes
from clapometer.lake.schema import EVENTS, WATCHING_SUFFIX
from clapometer.lake.statements import sql
from clapometer.loading.blocks import chunked
from clapometer.loading.duplicates import Fingerprint

_UNIQUE = {"id", "impression_id", "left_impression_id", "right_impression_id", "order_id", "played_segments"}
_DICTIONARIES = [field.name for field in EVENTS if field.type == pa.string() and field.name not in _UNIQUE]
_INSTANTS = [field.name for field in EVENTS if pa.types.is_timestamp(field.type)]
_NOBODY = pa.table({"line_number": pa.array([], pa.int64()), "payload_hash": pa.array([], pa.int64())})


class MalformedLineError(ClapometerError):
    """A block holds a line that our collector cannot have written."""


@dataclass(frozen=True, eq=False)
class Parsed:
    """The events of a batch.

    Attributes:
        rows: Each event, in the order of the log, without the columns that watching events never fill.
        others: Those that are not watching events, with all columns, in any order; ``line_number`` says which they
            are. Where there are none it lacks columns too.
    """

    rows: pa.Table
    others: pa.Table

    @property
    def keys(self) -> NDArray[np.int64]:
        """The key of each event."""
        keys: NDArray[np.int64] = self.rows["event_key"].to_numpy()
        return keys

    def fingerprints(self, positions: NDArray[np.int64]) -> list[Fingerprint]:
        """Returns the fingerprints of the events at some positions of the batch."""
        hashes = self.rows["payload_hash"].to_numpy().copy()
        hashes[self.others["line_number"].to_numpy()] = self.others["payload_hash"].to_numpy()
        asked = self.rows.select(["tenant", "source", "id", "type", "trust"]).take(pa.array(positions))
        return [
            ((tenant, source, id_, payload if kind in NEVER_LOST else int(trust == "key")), payload)
            for tenant, source, id_, kind, trust, payload in zip(
                *(column.to_pylist() for column in asked.columns), hashes[positions].tolist(), strict=True
            )
        ]

    def files(self, kept: NDArray[np.bool_]) -> Iterator[tuple[dt.date, str, pa.Table]]:
        """Yields the rows to be stored, per day of receipt and watching events apart, and how the file's name ends."""
        watching = self.rows["watching"].to_numpy()
        parts = {
            WATCHING_SUFFIX: _only(self.rows, kept & watching),
            ".parquet": _only(self.others, kept[self.others["line_number"].to_numpy()]),
        }
        for suffix, rows in parts.items():
            for day, in_day in _by_day(rows) if len(rows) else ():
                yield day, suffix, in_day.drop_columns(list(JUDGED))


NOTHING = Parsed(_NOBODY, _NOBODY)
"""What stands for the events of a batch without blocks, which is not parsed: its columns are missing."""


class Parser:
    """Parses batches in a DuckDB of its own; threads may share it.

    Attributes:
        parsed: How many batches were parsed.
    """

    def __init__(self, events: Table, *, spill: Path, threads: int, memory_limit: str) -> None:
        self._events = events
        self._connection = connect(threads=threads, memory_limit=memory_limit, temp_directory=str(spill))
        self._lookups = self._connection.cursor()
        self._lock = threading.Lock()
        self.parsed = 0
        self._parse, self._parse_watching = parse(watching=False), parse(watching=True)

    def close(self) -> None:
        """Closes the connection."""
        self._lookups.close()
        self._connection.close()

    def parse(self, lines: pa.Table) -> Parsed:
        """Returns the events of a batch.

        Raises:
            MalformedLineError: A line is not JSON, or lacks what every event has.
        """
        batch = lines.append_column("line_number", pa.array(np.arange(len(lines))))
        with self._lock:
            self.parsed += 1
            try:
                rows = _in_order(self._query(self._parse_watching, batch))
            except duckdb.InvalidInputException as error:
                raise MalformedLineError(str(error)) from error
            if not pc.all(rows["sound"], min_count=0).as_py():
                msg = "a line has no id, source, time or type"
                raise MalformedLineError(msg)
            if pc.all(rows["watching"], min_count=0).as_py():
                return Parsed(rows, _NOBODY)
            others = chunked(batch.filter(pc.invert(rows["watching"])))
            return Parsed(rows, self._query(self._parse, others))

    def stored(self, keys: list[int], *, since: str) -> dict[int, list[Fingerprint]]:
        """Returns the fingerprints of events by their keys, of days from ``since`` on, the first received first."""
        files = [file for file in self._events.files() if (file.partition["received_date"] or "") >= since]
        paths = self._events.local(files)
        events = f"({with_hashes(paths)})"
        query = sql("loading/sql/stored_fingerprints.sql").format(
            payload_hash=PAYLOAD_HASH, kept_apart=KEPT_APART, events=events
        )
        found: dict[int, list[Fingerprint]] = {}
        for key, *identity, payload in self._lookups.execute(query, [keys]).fetchall():
            tenant, source, id_, kept_apart = identity
            found.setdefault(key, []).append(((tenant, source, id_, kept_apart), payload))
        return found

    def write(self, parsed: Parsed, kept: NDArray[np.bool_]) -> list[AddAction]:
        """Writes the kept events of a batch as durable files."""
        added = []
        for day, suffix, rows in parsed.files(kept):
            values: dict[str, str | None] = {"received_date": str(day)}
            path = self._events.new_file(values, suffix)
            # light compression is quick: upkeep soon rewrites these files with more of it
            pq.write_table(
                rows, path, row_group_size=ROW_GROUP, compression="zstd", compression_level=1,
                use_dictionary=_DICTIONARIES, write_statistics=_INSTANTS, store_schema=False,
            )  # fmt: skip
            added.append(self._events.added(path, values))
        return added

    def _query(self, query: str, batch: pa.Table) -> pa.Table:
        self._connection.register("batch", batch)
        try:
            return self._connection.sql(query).to_arrow_table()
        finally:
            self._connection.unregister("batch")


def _in_order(rows: pa.Table) -> pa.Table:
    """Returns the rows by line number, without copying: DuckDB mixes chunks, not what is in them."""
    numbers = rows["line_number"].to_numpy()
    starts = np.flatnonzero(np.diff(numbers, prepend=-2) != 1)
    ends = np.append(starts[1:], len(numbers))
    order = np.argsort(numbers[starts])
    return (
        pa.concat_tables([rows.slice(starts[at], ends[at] - starts[at]) for at in order]) if len(starts) > 1 else rows
    )


def _only(rows: pa.Table, kept: NDArray[np.bool_]) -> pa.Table:
    return rows if kept.all() else rows.filter(pa.array(kept))


def _by_day(rows: pa.Table) -> Iterator[tuple[dt.date, pa.Table]]:
    days = pc.cast(rows["received_at"], pa.date32(), safe=False)
    values = pc.unique(days).to_pylist()
    for value in values:
        yield value, rows if len(values) == 1 else rows.filter(pc.equal(days, value))
