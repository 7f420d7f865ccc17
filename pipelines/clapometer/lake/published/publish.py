"""The one file that analysts open: views over the current snapshot, replaced atomically after each commit.

A live ``.duckdb`` file cannot be opened by a second process, read-only included. This one is never written
after it got its name: a reader sees the snapshot of the moment it opened the file, for as long as it likes,
and the next reader sees the next one. Storage version 1.2 is read by every DuckDB from 1.4 on.
"""

import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from clapometer.domain import ClapometerError
from clapometer.lake.delta.bucket import Bucket
from clapometer.lake.delta.durable import fsync
from clapometer.lake.published.catalogue import comment_statements, statements
from clapometer.lake.published.filling import WHY, Filling
from clapometer.lake.published.views import OTHER_EVENTS, sources
from clapometer.lake.specs import TABLES
from clapometer.lake.statements import quote
from clapometer.lake.tables import Lake

STORAGE_VERSION = "v1.2.0"
_COPY_HOURS = 1.0
"""How long a reader keeps the copy of a file that the lake replaced: whoever opened the published file may need it."""
_WRITES = 3
"""How often a file is written at most until it is filled up well: the first of a lake twice, most others once."""
_BLOCK_SIZE = 16_384
"""The smallest: most of the file is a few kilobytes of SQL, and all of it is synced at every publication."""


def publish(lake: Lake, *, upload: bool = True) -> dict[str, int]:
    """Replaces ``clapometer.duckdb`` by one over the latest version of every table; returns the versions.

    Processes that publish at once wait for each other, so that a newer file is never replaced by an older. For a lake
    on an object store the local file reads the local copy; the file in the bucket reads what lies beside it.

    Args:
        lake: The lake.
        upload: Replace the file in the bucket too, where there is one.

    Raises:
        TransientError: The object store does not answer.
    """
    storage = lake.storage
    with _alone(storage.cache / "publish.lock"):
        versions = lake.versions()
        path = storage.temporary(".duckdb")
        try:
            write_catalogue(lake, versions, path)
            path.chmod(0o400)
            fsync(path)
            path.rename(storage.published)
        finally:
            path.unlink(missing_ok=True)
        fsync(storage.root)
        if upload and storage.bucket is not None:
            _upload(lake, storage.bucket, versions)
    return versions


def follow(
    lake: Lake, stop: threading.Event, on_error: Callable[[Exception], None], *, interval_s: float = 2.0
) -> None:
    """Keeps the local file up to date with what others commit to an object store, until ``stop`` is set.

    A store that does not answer is told to ``on_error`` once, and asked again: readers keep what they have.
    """
    seen: dict[str, int] = {}
    failed = False
    while True:
        try:
            if lake.versions() != seen or not lake.storage.published.exists():
                seen = publish(lake, upload=False)
                lake.forget_copies(_COPY_HOURS)
            failed = False
        except (ClapometerError, OSError, duckdb.Error) as error:
            if not failed:
                on_error(error)
            failed = True
        if stop.wait(interval_s):
            return


def _upload(lake: Lake, bucket: Bucket, versions: Mapping[str, int]) -> None:
    path = lake.storage.temporary(".duckdb")
    try:
        write_catalogue(lake, versions, path, relative=True)
        bucket.upload(path, lake.storage.published.name)
    finally:
        path.unlink(missing_ok=True)


def write_catalogue(lake: Lake, versions: Mapping[str, int], path: Path, *, relative: bool = False) -> None:
    """Writes a file to ``path`` that shows the given version of every table, as analysts open it.

    With ``relative`` its views name files relative to the folder of the lake: wherever a copy of that is, DuckDB that
    is started there reads it.
    """
    try:
        _write_catalogue(lake, versions, path, relative=relative)
    except duckdb.Error:  # the template may be damaged; it is a copy of what we can make again
        for template in _templates(lake).glob("*.duckdb"):
            template.unlink(missing_ok=True)
        _write_catalogue(lake, versions, path, relative=relative)


def _write_catalogue(lake: Lake, versions: Mapping[str, int], path: Path, *, relative: bool) -> None:
    with lake.catalogues() as connection:
        template = _template(lake, connection)
        found = {name: lake.files(name, versions[name]) for name in TABLES}
        if relative:
            found = {name: [path.relative_to(lake.root) for path in paths] for name, paths in found.items()}
        queries = sources(found)
        filling = Filling(queries.values(), template.with_suffix(".relative" if relative else ".absolute"))
        # what a view reads is looked for when it is made
        connection.execute(f"SET file_search_path = {quote(str(lake.root) if relative else '')}")
        for _ in range(_WRITES):
            shutil.copyfile(template, path)
            with _attached(connection, path):
                _write(connection, queries, versions, filling)
            if filling.fits(path):
                break
        _check(connection, path)


def _write(
    connection: duckdb.DuckDBPyConnection, queries: Mapping[str, str], versions: Mapping[str, int], filling: Filling
) -> None:
    connection.execute("BEGIN")
    for name, query in queries.items():
        connection.execute(f'CREATE OR REPLACE VIEW files."{name}" AS {query}')
    connection.execute(f"COMMENT ON VIEW files.{OTHER_EVENTS} IS {quote(WHY + ' ' * filling.spaces)}")
    connection.executemany("INSERT INTO snapshot VALUES (?, ?, now())", list(versions.items()))
    connection.execute("COMMIT; CHECKPOINT written")


def _templates(lake: Lake) -> Path:
    """Returns the folder of what :func:`_template` made."""
    return lake.storage.cache / "catalogues"


def _template(lake: Lake, connection: duckdb.DuckDBPyConnection) -> Path:
    """Returns a catalogue without files, which is made once for each release of Clapometer and of DuckDB."""
    made_of = "\n".join([*statements(), duckdb.__version__, STORAGE_VERSION])
    folder = _templates(lake)
    path = folder / f"{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.duckdb"
    if not path.exists():
        folder.mkdir(exist_ok=True)
        half = lake.storage.temporary(".duckdb")
        try:
            _write_template(connection, half)
            fsync(half)
            half.rename(path)
        finally:
            half.unlink(missing_ok=True)
    return path


def _write_template(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    with _attached(connection, path):
        connection.execute("BEGIN; CREATE SCHEMA files")
        for name, query in sources(dict.fromkeys(TABLES, ())).items():
            connection.execute(f'CREATE VIEW files."{name}" AS {query}')
        for statement in statements():
            connection.execute(statement)
        connection.execute("CREATE TABLE snapshot (table_name VARCHAR, version BIGINT, published_at TIMESTAMPTZ)")
        connection.execute("COMMENT ON TABLE snapshot IS 'The version of each table that this file shows.'")
        columns: dict[str, list[str]] = {}
        for view, column in connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE database_name = 'written' AND schema_name = 'main' ORDER BY table_name, column_index"
        ).fetchall():
            columns.setdefault(view, []).append(column)
        for statement in comment_statements(columns):
            connection.execute(statement)
        connection.execute("COMMIT; CHECKPOINT written")


@contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    """Makes the file at ``path`` the current catalogue, and closes it afterwards."""
    options = f"STORAGE_VERSION '{STORAGE_VERSION}', BLOCK_SIZE {_BLOCK_SIZE}"
    connection.execute(f"ATTACH {quote(str(path))} AS written ({options})")
    try:
        connection.execute("USE written")
        yield
    except BaseException:
        with suppress(duckdb.Error):  # where no transaction had begun
            connection.execute("ROLLBACK")
        raise
    finally:
        connection.execute("USE memory; DETACH written")


def _check(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Opens the file as a reader will, before it gets its name: what cannot be read is never published."""
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
