"""The published file, open: a snapshot per version of the file, a cursor per request."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from clapometer.domain import TransientError
from clapometer.lake.duck import connect
from clapometer.serving.reading.errors import NotPublishedError

Stamp = tuple[int, int, int]
_TRIES = 8


class _Snapshot:
    """One version of the file. It is closed when it is neither the newest nor in use."""

    def __init__(self, stamp: Stamp, connection: duckdb.DuckDBPyConnection) -> None:
        self.stamp = stamp
        self.connection = connection
        self.readers = 0
        self.retired = False


class Published:
    """Reads ``clapometer.duckdb`` and follows its replacements; threads may share it.

    The file is attached to a database in memory: DuckDB keeps one instance per path and process, so that opening
    the path again would show the replaced file for as long as one reader of it is left.
    """

    def __init__(self, path: Path, *, threads: int = 2, memory_limit: str = "1GB") -> None:
        self.path = path
        self._threads, self._memory_limit = threads, memory_limit
        self._lock = threading.Lock()
        self._current: _Snapshot | None = None

    def stamp(self) -> Stamp | None:
        """Returns what identifies the file's present version; ``None`` where there is no file yet."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def taken_away(self) -> bool:
        """Returns whether a file that was read is there no more; what it said goes on being answered."""
        return self._current is not None and self.stamp() is None

    @contextmanager
    def read(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Gives a cursor over the newest version of the file, which stays the same until it is handed back.

        Raises:
            NotPublishedError: There is no file yet.
            TransientError: It cannot be opened, or a file behind it cannot be read.
        """
        snapshot = self._acquire()
        try:
            with snapshot.connection.cursor() as cursor:
                cursor.execute("USE published")
                yield cursor
        except duckdb.IOException as error:
            msg = "a file of the lake cannot be read; try again, and see `clapometer doctor` where it stays so"
            raise TransientError(msg) from error
        finally:
            self._release(snapshot)

    def close(self) -> None:
        """Closes the file once nobody reads it; calling it twice is harmless."""
        with self._lock:
            self._retire()

    def _acquire(self) -> _Snapshot:
        with self._lock:
            stamp = self.stamp()
            if self._current is None or (stamp is not None and stamp != self._current.stamp):
                opened = self._open(stamp)
                self._retire()
                self._current = opened
            self._current.readers += 1
            return self._current

    def _open(self, stamp: Stamp | None) -> _Snapshot:
        """Opens the newest version.

        DuckDB 2.0 reads the head of a file, closes it, and opens the path again for the rest: where the file was
        replaced in between, the two do not fit ("No more data remaining in MetadataReader"), and it is opened anew.
        """
        for _ in range(_TRIES - 1):
            try:
                return self._open_once(stamp)
            except TransientError:
                stamp = self.stamp()
        return self._open_once(stamp)

    def _open_once(self, stamp: Stamp | None) -> _Snapshot:
        if stamp is None:
            raise NotPublishedError
        connection = connect(threads=self._threads, memory_limit=self._memory_limit)
        try:
            connection.execute("SET parquet_metadata_cache = true")  # the files of the lake never change
            quoted = str(self.path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS published (READ_ONLY)")
        except duckdb.Error as error:
            connection.close()
            msg = "the published lake cannot be opened; `clapometer doctor` says why"
            raise TransientError(msg) from error
        return _Snapshot(stamp, connection)

    def _retire(self) -> None:
        if self._current is not None:
            self._current.retired = True
            if self._current.readers == 0:
                self._current.connection.close()
            self._current = None

    def _release(self, snapshot: _Snapshot) -> None:
        with self._lock:
            snapshot.readers -= 1
            if snapshot.retired and snapshot.readers == 0:
                snapshot.connection.close()
