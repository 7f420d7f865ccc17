"""The lake: the tables of ``schema.TABLES`` as Delta tables under one folder."""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from clapometer.domain import TerminalError
from clapometer.lake.delta.columns import bring_columns_up_to_date
from clapometer.lake.delta.files import Commit
from clapometer.lake.delta.format import bring_up_to_date
from clapometer.lake.delta.storage import Storage
from clapometer.lake.delta.table import CommitConflictError, Table
from clapometer.lake.duck import connect
from clapometer.lake.published.views import create_views, sources
from clapometer.lake.specs import TABLES

LOADED = ("events", "rejected", "ledger")
"""Tables that the loader commits to every second."""
LOADED_LOG_DAYS = 1
"""As long as files outlive their merging; a commit lists the whole log: with 20,000 entries it takes 50 ms."""
LOG_DAYS = 7
REWRITES = "clapometer-rewrites"
"""Application transaction of every commit that removes files: two of them at once conflict, as they must."""


class Lake:
    """Tables with snapshots: a version of a table is a list of Parquet files that never changes.

    Processes may share a lake; threads may share an object. Tables are created when first used.

    Args:
        root: Its folder, or its place on an object store with the folder of a local copy.

    Raises:
        InputError: The bucket does not exist, or may not be used.
        TransientError: The object store does not answer.
    """

    def __init__(self, root: Path | str | Storage) -> None:
        self.storage = root if isinstance(root, Storage) else Storage(Path(root).absolute())
        self.storage.prepare()
        bring_up_to_date(self.storage)
        self._tables: dict[str, Table] = {}
        self._catalogues: duckdb.DuckDBPyConnection | None = None
        self._lock = threading.RLock()

    @property
    def root(self) -> Path:
        """The folder of the lake, or of the local copy."""
        return self.storage.root

    def append(
        self,
        name: str,
        rows: pa.Table,
        txns: Mapping[str, int] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Adds rows to a table, durably and atomically; returns the version that has them.

        ``txns`` are application transactions and ``metadata`` goes into the table's history with the commit.

        Raises:
            CommitConflictError: Another process committed one of ``txns`` since this one read the table.
            TerminalError: The rows lack a column of the table, or one has another type.
        """
        with self._lock:
            table = self.table(name)
            return table.commit(table.write(conform(name, rows)), txns or {}, metadata)

    def overwrite_partitions(
        self,
        name: str,
        rows: pa.Table,
        dates: Iterable[dt.date] | None,
        txns: Mapping[str, int] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Replaces all rows of the given partition dates (of the whole table where ``None``) by ``rows``.

        Raises:
            CommitConflictError: Another process rewrote the table at the same time.
            TerminalError: ``rows`` has a date that is not replaced, or does not fit the table.
        """
        with self._lock:
            table = self.table(name)
            table.refresh()
            replaced = None if dates is None else {str(date) for date in dates}
            added = table.write(conform(name, rows))
            if replaced is not None and (foreign := _dates(action.partition_values for action in added) - replaced):
                msg = f"rows of {name} for {sorted(foreign)} were given, but only {sorted(replaced)} is replaced"
                raise TerminalError(msg)
            gone = [file for file in table.files() if replaced is None or _dates([file.partition]) <= replaced]
            serial = (table.txn(REWRITES) or 0) + 1
            return table.commit([*added, *table.removed(gone)], {**(txns or {}), REWRITES: serial}, metadata)

    def version(self, name: str) -> int:
        """Returns the latest version of a table."""
        with self._lock:
            return self.table(name).refresh()

    def versions(self) -> dict[str, int]:
        """Returns the latest version of every table: a snapshot to read, or to name in a run record."""
        return {name: self.version(name) for name in TABLES}

    def version_at(self, name: str, moment: dt.datetime) -> int:
        """Returns the version that a table had at a time.

        Raises:
            InputError: The table is younger, or its log does not reach back that far.
        """
        with self._lock:
            return self.table(name).version_at(moment)

    def files(self, name: str, version: int | None = None) -> list[Path]:
        """Returns the Parquet files of a version of a table, the latest where none is given."""
        with self._lock:
            table = self.table(name)
            if version is None:
                table.refresh()
            return sorted(table.local(table.files(version)))

    def rows(self, name: str, version: int | None = None) -> int:
        """Returns how many rows a version of a table has, without reading them."""
        with self._lock:
            table = self.table(name)
            if version is None:
                table.refresh()
            return sum(file.rows for file in table.files(version))

    def txn(self, name: str, app_id: str) -> int | None:
        """Returns the number that ``app_id`` committed last to a table; ``None`` where it never did."""
        with self._lock:
            table = self.table(name)
            table.refresh()
            return table.txn(app_id)

    def commits(self, name: str, after: int) -> Iterator[Commit]:
        """Yields the commits of a table later than version ``after``, oldest first."""
        with self._lock:
            table = self.table(name)
            table.refresh()
            yield from list(table.commits(after))

    def delete(self, paths: Iterable[Path]) -> None:
        """Deletes files of tables that no commit needs any more, from the object store too if the lake is there.

        Raises:
            TransientError: The object store does not answer.
        """
        for path in paths:
            self.table(path.relative_to(self.root).parts[0]).delete([path])

    def forget_copies(self, grace_hours: float) -> None:
        """Deletes the local copies, as old as that, of files that a lake on an object store does not have any more."""
        for name in TABLES:
            self.table(name).forget(grace_hours)

    def connect(
        self,
        versions: Mapping[str, int] | None = None,
        *,
        threads: int | None = None,
        memory_limit: str | None = None,
        told: Callable[[dict[str, str]], dict[str, str]] = dict,
    ) -> duckdb.DuckDBPyConnection:
        """Returns a DuckDB connection in memory with a view of every table, and those built on them.

        The views read exactly the given versions (the latest where a table is not named), whatever is
        committed later. ``memory_limit`` is DuckDB's, such as ``"2GB"``; what does not fit spills to disk.
        ``told`` may put other queries in the place of those for the tables' rows.
        """
        spill = str(self.storage.scratch / "spill")
        connection = connect(threads=threads, memory_limit=memory_limit, temp_directory=spill)
        wanted = versions or {}
        create_views(connection, told(sources({name: self.files(name, wanted.get(name)) for name in TABLES})))
        return connection

    @contextmanager
    def catalogues(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yields an empty DuckDB to attach catalogues to; opening one takes longer than writing a catalogue."""
        with self._lock:
            if self._catalogues is None:
                self._catalogues = connect(threads=1)
            try:
                yield self._catalogues
            except duckdb.Error:
                self._catalogues.close()
                self._catalogues = None
                raise

    def table(self, name: str) -> Table:
        """Returns the Delta table ``name``, as of its last refresh; every method of the lake may refresh it."""
        with self._lock:
            if name not in self._tables:
                self._tables[name] = self.open_table(name)
            return self._tables[name]

    def open_table(self, name: str) -> Table:
        """Returns the Delta table ``name`` as an object of the caller's own: only the caller refreshes it.

        Whoever reads a table, decides, and commits with an application transaction needs that: a commit
        conflicts with what others committed since the last refresh.
        """
        schema, partition_by = TABLES[name]
        log_days = LOADED_LOG_DAYS if name in LOADED else LOG_DAYS
        table = Table(self.storage.table(name), schema, partition_by, self.storage.bucket, log_days=log_days)
        bring_columns_up_to_date(table)
        return table


def conform(name: str, rows: pa.Table) -> pa.Table:
    """Returns the rows with exactly the columns and types of the table.

    Raises:
        TerminalError: A column is missing or cannot be cast.
    """
    schema, _ = TABLES[name]
    try:
        return rows.select(schema.names).cast(schema)
    except (KeyError, ValueError, pa.ArrowException) as error:
        msg = f"rows do not fit the table {name}: {error}"
        raise TerminalError(msg) from error


def _dates(partitions: Iterable[Mapping[str, str | None]]) -> set[str]:
    return {value for partition in partitions for value in partition.values() if value is not None}


__all__ = ["REWRITES", "Commit", "CommitConflictError", "Lake", "conform"]
