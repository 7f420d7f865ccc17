"""Rows taken out of, or changed in, the files of a table: for erasure, where a deletion has to reach the bytes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import duckdb
import pyarrow as pa
from deltalake.transaction import AddAction

from clapometer.domain import TransientError
from clapometer.lake.delta.files import DataFile
from clapometer.lake.delta.packing import suffix_of, write_tidily
from clapometer.lake.delta.table import CommitConflictError, Table
from clapometer.lake.duck import connect
from clapometer.lake.statements import quote
from clapometer.lake.tables import REWRITES, Lake

ATTEMPTS = 20


@dataclass(frozen=True)
class Edit:
    """What becomes of the rows ``t`` of a table; conditions are SQL over its columns and the tables of ``given``.

    Attributes:
        drop: Which rows go.
        change: Which rows change.
        values: What their columns become.
        given: Tables that the conditions read.
    """

    given: Mapping[str, pa.Table]
    drop: str = "false"
    change: str = "false"
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def touches(self) -> str:
        """Which rows are not left as they are."""
        return f"coalesce(({self.drop}) OR ({self.change}), false)"


Counted = Callable[[duckdb.DuckDBPyConnection, str], Mapping[str, str]]
"""Returns metadata for the commit, from a query for the rows that go."""


def rewrite(
    lake: Lake,
    name: str,
    edit: Edit | Callable[[Sequence[Path]], Edit],
    metadata: Counted = lambda _connection, _rows: {},
    *,
    txns: Mapping[str, int] = MappingProxyType({}),
) -> tuple[int, list[Path]]:
    """Applies an edit in one commit; returns the rows touched and the files that no longer belong to the table.

    Args:
        lake: The lake.
        name: Which table.
        edit: The edit, or what makes it from the files that it is to be applied to, again after every conflict.
        metadata: Makes the metadata of the commit.
        txns: Application transactions of the commit.

    Raises:
        TransientError: Others rewrote the table again and again meanwhile.
    """
    table = lake.open_table(name)
    for _ in range(ATTEMPTS):
        table.refresh()
        listed = table.files()
        local = table.local(listed)
        made = edit if isinstance(edit, Edit) else edit(local)
        with _connected(made) as connection:
            files = {str(path): file for path, file in zip(local, listed, strict=True)}
            touched = _touched(connection, list(files), made)
            if not touched:
                return 0, []
            gone = [files[path] for path in touched]
            rows = f"SELECT t.* FROM {_scan(touched)} t WHERE coalesce({made.drop}, false)"  # noqa: S608
            added = [new for file in gone for new in _rewrite_file(connection, table, file, made)]
            try:
                serial = (table.txn(REWRITES) or 0) + 1
                removed = table.removed(gone, data_change=False)
                table.commit([*added, *removed], {**txns, REWRITES: serial}, metadata(connection, rows))
            except CommitConflictError:
                table.delete(table.folder / action.path for action in added)
                continue
            return sum(touched.values()), [Path(path) for path in touched]
    msg = f"{name} was rewritten by others {ATTEMPTS} times meanwhile"
    raise TransientError(msg)


def stale_files(lake: Lake, name: str, edit: Edit) -> list[Path]:
    """Returns the files of older snapshots that are still on the disk and have rows that the edit touches."""
    table = lake.open_table(name)
    paths = [path for path in table.stale() if path.exists()]
    with _connected(edit) as connection:
        return [Path(path) for path in _touched(connection, [str(path) for path in paths], edit)]


def _touched(connection: duckdb.DuckDBPyConnection, paths: Sequence[str], edit: Edit) -> dict[str, int]:
    """Returns how many rows the edit touches, by file, where there are any."""
    if not paths:
        return {}
    source = _scan(paths)
    columns = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}  # noqa: S608
    # files of what viewers did lack columns: where none has one that changes, the condition cannot be asked
    touches = edit.touches if columns.issuperset(edit.values) else f"coalesce({edit.drop}, false)"
    rows = connection.execute(
        f"SELECT filename, count(*) FROM {source} t WHERE {touches} GROUP BY ALL ORDER BY ALL"  # noqa: S608
    ).fetchall()
    return dict(rows)


def _scan(paths: Sequence[str] | Mapping[str, int]) -> str:
    listed = ", ".join(quote(path) for path in paths)
    return f"read_parquet([{listed}], filename = true, union_by_name = true, hive_partitioning = false)"


def _rewrite_file(
    connection: duckdb.DuckDBPyConnection, table: Table, file: DataFile, edit: Edit
) -> Iterator[AddAction]:
    """Yields the file that takes the place of ``file``; none where no row is left."""
    source = f"read_parquet({quote(str(table.local([file])[0]))}, hive_partitioning = false)"
    columns = {name for name, *_ in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}  # noqa: S608
    changed = ", ".join(
        f"CASE WHEN coalesce({edit.change}, false) THEN {value} ELSE t.{column} END AS {column}"
        for column, value in edit.values.items()
        if column in columns
    )
    replaced = f"REPLACE ({changed})" if changed else ""
    values = dict(file.partition)
    path = table.new_file(values, suffix_of([file.path], packed=False))
    rows = f"SELECT t.* {replaced} FROM {source} t WHERE NOT coalesce({edit.drop}, false)"  # noqa: S608
    write_tidily(connection, table.folder.name, rows, path, in_order=True)
    ((left,),) = connection.execute(f"SELECT count(*) FROM read_parquet({quote(str(path))})").fetchall()  # noqa: S608
    if left:
        yield table.added(path, values, data_change=False)
    else:
        path.unlink()


@contextmanager
def _connected(edit: Edit) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(threads=1) as connection:
        for name, rows in edit.given.items():
            connection.register(f"given_{name}", rows)
            connection.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM given_{name}")  # noqa: S608
        yield connection
