"""A batch of lines in DuckDB: who its events are, and its new events as Parquet files of ``events``."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction
from numpy.typing import NDArray

from clapometer.domain import ClapometerError
from clapometer.jobs.batch import chunked
from clapometer.jobs.verdicts import Fingerprint
from clapometer.lake import sql
from clapometer.lake.commit import Table
from clapometer.lake.event_rows import FINGERPRINTS, IDENTIFY, PAYLOAD_HASH, parse
from clapometer.lake.schema import WATCHING_SUFFIX
from clapometer.lake.statements import quote
from clapometer.lake.views import scan

_PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 40960"
"""Small groups keep memory low, and light compression is quick: upkeep soon rewrites these files with more of both."""


class MalformedLineError(ClapometerError):
    """A block holds a line that our collector cannot have written."""


class Parser:
    """Parses one batch after another in a DuckDB connection of its own."""

    def __init__(self, events: Table, *, spill: Path, threads: int, memory_limit: str) -> None:
        self._events = events
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": str(spill),
        }
        self._connection = duckdb.connect(config=config)
        self._connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        self._parse, self._parse_watching = parse(watching=False), parse(watching=True)
        self._parse_fingerprints = parse(watching=False, with_line_number=True)
        self._batch = pa.table({})

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def identify(self, lines: pa.Table) -> pa.Table:
        """Takes up a batch; returns its lines' columns with source, id, event_key and watching.

        Raises:
            MalformedLineError: A line is not JSON, or lacks what every event has.
        """
        try:
            found = self._query(IDENTIFY, lines)
        except duckdb.InvalidInputException as error:
            raise MalformedLineError(str(error)) from error
        if not pc.all(found["sound"], min_count=0).as_py():
            msg = "a line has no id, source, time or type"
            raise MalformedLineError(msg)
        self._batch = lines
        for name in ("source", "id", "event_key", "watching"):
            self._batch = self._batch.append_column(name, found[name])
        return self._batch

    def fingerprints(self, positions: NDArray[np.int64]) -> list[Fingerprint]:
        """Returns the fingerprints of the events at some positions of the batch."""
        return [
            ((tenant, source, id_), payload)
            for tenant, source, id_, payload in _tuples(
                self._query(FINGERPRINTS.format(parsed=self._parse_fingerprints), self._batch.take(pa.array(positions)))
            )
        ]

    def stored(self, keys: list[int]) -> dict[int, list[Fingerprint]]:
        """Returns the fingerprints of the events that the lake has under these keys, the first received first."""
        paths = self._events.local(self._events.files())
        events = f"({scan('events', paths)})"
        query = sql("stored_fingerprints").format(payload_hash=PAYLOAD_HASH, events=events)
        found: dict[int, list[Fingerprint]] = {}
        for key, tenant, source, id_, payload in self._connection.execute(query, [keys]).fetchall():
            found.setdefault(key, []).append(((tenant, source, id_), payload))
        return found

    def write(self, kept: NDArray[np.bool_]) -> list[AddAction]:
        """Writes the kept events of the batch: durable files per day of receipt, watching events apart."""
        rows = self._batch if kept.all() else self._batch.filter(pa.array(kept))
        added = []
        for day, in_day in _split(rows, pc.cast(rows["received_at"], pa.date32(), safe=False)):
            values: dict[str, str | None] = {"received_date": str(day)}
            for watching, part in _split(in_day, in_day["watching"]):
                path = self._events.new_file(values, WATCHING_SUFFIX if watching else ".parquet")
                query = self._parse_watching if watching else self._parse
                self._query_into(f"COPY ({query}) TO {quote(str(path))} ({_PARQUET})", part)
                added.append(self._events.added(path, values))
        return added

    def _query(self, query: str, batch: pa.Table) -> pa.Table:
        """Returns the result in the order of ``batch``: DuckDB returns the chunks of Arrow tables in any order."""
        self._connection.register("batch", batch.append_column("line_number", pa.array(np.arange(len(batch)))))
        try:
            found = self._connection.sql(query).to_arrow_table()
            return found.take(pc.sort_indices(found["line_number"])).drop_columns("line_number")
        finally:
            self._connection.unregister("batch")

    def _query_into(self, statement: str, batch: pa.Table) -> None:
        self._connection.register("batch", batch)
        try:
            self._connection.execute(statement)
        finally:
            self._connection.unregister("batch")


def _split(rows: pa.Table, by: pa.ChunkedArray) -> Iterator[tuple[object, pa.Table]]:
    """Yields the rows of each value of ``by``, in chunks that threads can share."""
    values = pc.unique(by).to_pylist()
    for value in values:
        yield value, chunked(rows if len(values) == 1 else rows.filter(pc.equal(by, value)))


def _tuples(table: pa.Table) -> list[tuple[str, str, str, int]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
