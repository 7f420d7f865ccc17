"""A batch of lines in DuckDB: who its events are, and its new events as Parquet files of ``events``."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction
from numpy.typing import NDArray

from clapometer.domain import ClapometerError
from clapometer.jobs.batch import chunked
from clapometer.jobs.verdicts import Fingerprint
from clapometer.lake import Lake, sql
from clapometer.lake.event_rows import IDENTIFY, PAYLOAD_HASH, parse
from clapometer.lake.views import quote, scan


class MalformedLineError(ClapometerError):
    """A block holds a line that our collector cannot have written."""


class Parser:
    """Parses one batch after another in a DuckDB connection of its own."""

    def __init__(self, lake: Lake, *, threads: int, memory_limit: str) -> None:
        self._lake = lake
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": threads,
            "memory_limit": memory_limit,
            "temp_directory": str(lake.storage.scratch / "spill"),
        }
        self._connection = duckdb.connect(config=config)
        self._connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        self._parse = parse()
        self._batch = pa.table({})

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def identify(self, lines: pa.Table) -> pa.Table:
        """Takes up a batch; returns its lines' columns with source, id and event_key.

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
        for name in ("source", "id", "event_key"):
            self._batch = self._batch.append_column(name, found[name])
        return self._batch

    def fingerprints(self, positions: NDArray[np.int64]) -> list[Fingerprint]:
        """Returns the fingerprints of the events at some positions of the batch."""
        return [
            ((tenant, source, id_), payload)
            for tenant, source, id_, payload in _tuples(
                self._query(
                    f"SELECT tenant, source, id, payload_hash FROM ({self._parse})",  # noqa: S608 - ours
                    self._batch.take(pa.array(positions)),
                )
            )
        ]

    def stored(self, keys: list[int]) -> dict[int, list[Fingerprint]]:
        """Returns the fingerprints of the events that the lake has under these keys, the first received first."""
        events = f"({scan('events', self._lake.files('events'))})"
        query = sql("stored_fingerprints").format(payload_hash=PAYLOAD_HASH, events=events)
        found: dict[int, list[Fingerprint]] = {}
        for key, tenant, source, id_, payload in self._connection.execute(query, [keys]).fetchall():
            found.setdefault(key, []).append(((tenant, source, id_), payload))
        return found

    def write(self, kept: NDArray[np.bool_]) -> list[AddAction]:
        """Writes the kept events of the batch, one durable file per day of receipt."""
        table = self._lake.table("events")
        rows = self._batch if kept.all() else chunked(self._batch.filter(pa.array(kept)))
        days = pc.cast(rows["received_at"], pa.date32(), safe=False)
        distinct = pc.unique(days).to_pylist()
        added = []
        for day in distinct:
            part = rows if len(distinct) == 1 else chunked(rows.filter(pc.equal(days, pa.scalar(day, pa.date32()))))
            values: dict[str, str | None] = {"received_date": str(day)}
            path = table.new_file(values)
            self._query_into(f"COPY ({self._parse}) TO {quote(str(path))} (FORMAT parquet, COMPRESSION zstd)", part)
            added.append(table.added(path, values))
        return added

    def _query(self, query: str, batch: pa.Table) -> pa.Table:
        self._connection.register("batch", batch)
        try:
            return self._connection.sql(query).to_arrow_table()
        finally:
            self._connection.unregister("batch")

    def _query_into(self, statement: str, batch: pa.Table) -> None:
        self._connection.register("batch", batch)
        try:
            self._connection.execute(statement)
        finally:
            self._connection.unregister("batch")


def _tuples(table: pa.Table) -> list[tuple[str, str, str, int]]:
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
