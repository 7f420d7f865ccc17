"""Which files outcomes are in: work is by rows then, however many days those are of.

A day with many outcomes has a file of its own, in its partition; days with few share files, which are in none. What
nobody vouches for is in files apart, which no training reads.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

import duckdb
from deltalake.transaction import AddAction

from clapometer.lake.delta.files import DataFile
from clapometer.lake.delta.packing import ROW_GROUP, TIDY
from clapometer.lake.delta.table import Table
from clapometer.lake.published.views import SHOWN_DATE, scan
from clapometer.lake.schema import WEIGHTLESS_SUFFIX
from clapometer.lake.statements import quote

__all__ = ["rest_of_shared", "write_outcomes"]

FEW = 10_000
"""A day with fewer outcomes shares its file."""
SHARED_ROWS = ROW_GROUP
"""Outcomes of a shared file, at most: so many are copied where one of its days is folded again."""
MOST_SMALL = 8
"""Shared files that are less than half full, of which there may be so many before they become one."""


def write_outcomes(con: duckdb.DuckDBPyConnection, table: Table) -> Iterator[AddAction]:
    """Writes the rows of ``folded`` to files of outcomes, and yields the actions that add them."""
    counts = con.execute(
        "SELECT coalesce(trust NOT IN ('key', 'token'), true) AS weightless, shown_date, count(*) FROM folded "
        "GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    for weightless, days in groupby(counts, itemgetter(0)):
        for own, dates in _files((day, rows) for _, day, rows in days):
            values = {"shown_date": own}
            path = table.new_file(values, WEIGHTLESS_SUFFIX if weightless else ".parquet")
            con.execute(
                "COPY (SELECT * EXCLUDE (shown_date) FROM folded "  # noqa: S608 - our own path
                "WHERE coalesce(trust NOT IN ('key', 'token'), true) = ? "
                "AND shown_date IN (SELECT unnest(CAST(? AS DATE[]))) "
                f"ORDER BY tenant, clip_id, impression_id) TO {quote(str(path))} ({TIDY})",
                [weightless, dates],
            )
            yield table.added(path, values)


def _files(days: Iterable[tuple[dt.date, int]]) -> Iterator[tuple[str | None, list[dt.date]]]:
    """Yields the days of each file, in order, and the one that it is the partition of, if any."""
    together: list[dt.date] = []
    rows = 0
    for day, count in days:
        if count >= FEW:
            yield str(day), [day]
            continue
        if together and rows + count > SHARED_ROWS:
            yield None, together
            together, rows = [], 0
        together.append(day)
        rows += count
    if together:
        yield None, together


def rest_of_shared(con: duckdb.DuckDBPyConnection, table: Table) -> list[DataFile]:
    """Returns the shared files to be replaced where ``dates`` are folded again, and creates ``rest``.

    They are those with one of these days, and all small ones once they are many. ``rest`` has their outcomes of other
    days, which are to be written along.
    """
    shared = [file for file in table.files() if file.partition["shown_date"] is None]
    paths = dict(zip(map(str, table.local(shared)), shared, strict=True))
    replaced = set(_with_dates(con, list(paths)))
    small = [path for path, file in paths.items() if file.rows < SHARED_ROWS // 2]
    if len(small) >= MOST_SMALL:
        replaced.update(small)
    rows = scan("outcomes", [table.folder / paths[path].path for path in sorted(replaced)])
    con.execute(f"CREATE TEMP TABLE rest AS FROM ({rows}) ANTI JOIN dates USING (shown_date)")
    return [file for path, file in paths.items() if path in replaced]


def _with_dates(con: duckdb.DuckDBPyConnection, paths: list[str]) -> list[str]:
    """Returns the files that have an outcome of one of ``dates``."""
    if not paths:
        return []
    found = con.execute(
        f"SELECT DISTINCT filename FROM (SELECT filename, {SHOWN_DATE} AS shown_date "  # noqa: S608 - our own SQL
        "FROM read_parquet(?, filename = true, hive_partitioning = false)) SEMI JOIN dates USING (shown_date)",
        [paths],
    ).fetchall()
    return [path for (path,) in found]
