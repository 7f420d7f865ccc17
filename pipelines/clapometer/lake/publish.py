"""The one file that analysts open: views over the current snapshot, replaced atomically after each commit.

A live ``.duckdb`` file cannot be opened by a second process, read-only included. This one is never written
after it got its name: a reader sees the snapshot of the moment it opened the file, for as long as it likes,
and the next reader sees the next one. Storage version 1.2 is read by every DuckDB from 1.4 on.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clapometer.lake.schema import TABLES
from clapometer.lake.storage import fsync
from clapometer.lake.tables import Lake
from clapometer.lake.views import create_views, quote

STORAGE_VERSION = "v1.2.0"


def publish(lake: Lake) -> dict[str, int]:
    """Replaces ``clapometer.duckdb`` by one over the latest version of every table; returns the versions.

    Processes that publish at once wait for each other, so that a newer file is never replaced by an older.
    """
    storage = lake.storage
    with _alone(storage.cache / "publish.lock"):
        versions = lake.versions()
        path = storage.temporary(".duckdb")
        try:
            _write(lake, versions, path)
            _check(lake, path)
            path.chmod(0o444)
            fsync(path)
            path.rename(storage.published)
        finally:
            path.unlink(missing_ok=True)
        fsync(storage.root)
    return versions


def _write(lake: Lake, versions: dict[str, int], path: Path) -> None:
    """Writes a catalogue of the given versions."""
    with lake.catalogues() as connection:
        connection.execute(f"ATTACH {quote(str(path))} AS published (STORAGE_VERSION '{STORAGE_VERSION}')")
        try:
            connection.execute("USE published; BEGIN")
            create_views(connection, {name: lake.files(name, versions[name]) for name in TABLES})
            connection.execute("CREATE TABLE snapshot (table_name VARCHAR, version BIGINT, published_at TIMESTAMPTZ)")
            connection.executemany("INSERT INTO snapshot VALUES (?, ?, now())", list(versions.items()))
            connection.execute("COMMENT ON TABLE snapshot IS 'The version of each table that this file shows.'")
            connection.execute("COMMIT; CHECKPOINT published")
        finally:
            connection.execute("USE memory; DETACH published")


def _check(lake: Lake, path: Path) -> None:
    """Opens the file as a reader will, before it gets its name: what cannot be read is never published."""
    with lake.catalogues() as connection:
        connection.execute(f"ATTACH {quote(str(path))} AS checked (READ_ONLY)")
        try:
            connection.execute("SELECT count(*) FROM checked.snapshot").fetchone()
        finally:
            connection.execute("DETACH checked")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds an advisory lock that dies with the process."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
