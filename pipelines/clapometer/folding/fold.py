"""Events to outcomes: folds again only the days that something new was said about."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
from deltalake.exceptions import DeltaError
from deltalake.transaction import AddAction

from clapometer.folding.files import rest_of_shared, write_outcomes
from clapometer.lake.delta.table import CommitConflictError
from clapometer.lake.published.views import scan
from clapometer.lake.statements import sql
from clapometer.lake.tables import REWRITES, Lake

FOLDED = "outcomes-of-events"
"""Application transaction of ``outcomes``: the version of ``events`` that it was folded from."""

ROWS_AT_ONCE = 1_000_000
"""Impressions that are folded in one query, at most, where they are of more than a few days."""
_ATTEMPTS = 3

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class RefreshReport:
    """What a refresh of the outcomes did.

    Attributes:
        events_version: Snapshot of ``events`` that the outcomes now stand for.
        outcomes_version: Their snapshot.
        dates: Days that were folded again, in order.
        rows: Outcomes of those days.
    """

    events_version: int
    outcomes_version: int
    dates: tuple[dt.date, ...]
    rows: int


def silent(stage: str, done: int, total: int) -> None:
    """Shows no progress."""


def refresh_outcomes(
    lake: Lake,
    *,
    events_version: int | None = None,
    full: bool = False,
    days_at_once: int = 7,
    rows_at_once: int = ROWS_AT_ONCE,
    threads: int | None = None,
    memory_limit: str | None = None,
    progress: Progress = silent,
) -> RefreshReport:
    """Brings ``outcomes`` up to a snapshot of ``events``; the result does not depend on how often this is called.

    Args:
        lake: The lake.
        events_version: Snapshot to fold; the latest where it is not given.
        full: Fold every day, whatever was folded before.
        days_at_once: Days folded in one query, at least; memory, not the result, depends on it.
        rows_at_once: More days are folded in it as long as their impressions are no more than that.
        threads: For DuckDB.
        memory_limit: For DuckDB, which spills to the lake's disk beyond it.
        progress: Is told the days done.

    Raises:
        CommitConflictError: Others rewrote the table again and again meanwhile.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            return _refresh(
                lake,
                lake.version("events") if events_version is None else events_version,
                full=full,
                step=(days_at_once, rows_at_once),
                limits=(threads, memory_limit),
                progress=progress,
            )
        except CommitConflictError:  # compaction, mostly: what was folded has to be written over its files
            if not left:
                raise
    raise AssertionError


def _refresh(
    lake: Lake,
    version: int,
    *,
    full: bool,
    step: tuple[int, int],
    limits: tuple[int | None, str | None],
    progress: Progress,
) -> RefreshReport:
    known = lake.txn("outcomes", FOLDED)
    folded = None if full else known
    if folded is not None and folded >= version:
        return RefreshReport(folded, lake.version("outcomes"), (), 0)
    read = {"events": version, "outcomes": lake.version("outcomes")}
    with lake.connect(read, threads=limits[0], memory_limit=limits[1]) as con:
        dates = _touch(con, lake, folded, version)
        rows = _fold(con, lake, dates, version, known=known, rebuild=folded is None, step=step, progress=progress)
    return RefreshReport(version, lake.version("outcomes"), tuple(dates), rows)


def _touch(con: duckdb.DuckDBPyConnection, lake: Lake, folded: int | None, version: int) -> list[dt.date]:
    """Creates the tables that the fold reads, limits ``events`` to what it needs, returns the days to fold."""
    moved = None if folded is None else _moved_files(lake, folded, version)
    if moved is None:  # nothing to build on: every day there is
        con.execute(
            "CREATE TEMP TABLE dates AS SELECT DISTINCT CAST(time AT TIME ZONE 'UTC' AS DATE) AS shown_date "
            "FROM memory.main.events WHERE type = 'impression' ORDER BY ALL"
        )
        con.execute("CREATE TEMP VIEW outcomes AS SELECT * FROM memory.main.outcomes WHERE false")
    else:
        for name, files in zip(("came", "gone"), moved, strict=True):
            con.execute(f"CREATE TEMP VIEW {name} AS {scan('events', files)}")
        con.execute(f"CREATE TEMP TABLE touched AS {sql('folding/sql/touched.sql')}")
        con.execute(f"CREATE TEMP TABLE dates AS {sql('folding/sql/dates.sql')}")
    dates = [row[0] for row in con.execute("SELECT shown_date FROM dates").fetchall()]
    con.execute(f"CREATE TEMP TABLE shared_orders AS {sql('lake/sql/shared_orders.sql')}")
    # What answers an impression is received two days before its day at the earliest (outcomes.sql).
    since = min(dates, default=dt.date.max) - dt.timedelta(days=2)
    con.execute(f"CREATE TEMP VIEW events AS SELECT * FROM memory.main.events WHERE received_date >= DATE '{since}'")  # noqa: S608
    con.execute("CREATE TEMP TABLE refresh_dates AS FROM dates")
    con.execute(f"CREATE TEMP TABLE settled AS {sql('folding/sql/settled.sql')}")
    return dates


def _moved_files(lake: Lake, old: int, new: int) -> tuple[list[Path], list[Path]] | None:
    """Returns the files that only the new and only the old snapshot has; None where the old one is forgotten."""
    try:
        before = set(lake.files("events", old))
    except DeltaError:
        return None
    after = set(lake.files("events", new))
    gone = sorted(before - after)
    return (sorted(after - before), gone) if all(path.exists() for path in gone) else None


def _fold(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    dates: Sequence[dt.date],
    version: int,
    *,
    known: int | None,
    rebuild: bool,
    step: tuple[int, int],
    progress: Progress,
) -> int:
    """Writes the outcomes of ``dates`` and commits them at once; returns how many there are."""
    table = lake.table("outcomes")
    table.refresh()
    if table.txn(FOLDED) != known:
        msg = "another process refreshed the outcomes first"
        raise CommitConflictError(msg)
    serial = (table.txn(REWRITES) or 0) + 1
    replaced = {str(day) for day in dates}
    gone = [file for file in table.files() if rebuild or file.partition["shown_date"] in replaced]
    if dates and not rebuild:
        gone += rest_of_shared(con, table)
    actions: list[AddAction] = []
    rows = done = 0
    for days in _batches(con, *step):
        progress("outcomes", done, len(dates))
        con.execute(
            "CREATE OR REPLACE TEMP TABLE refresh_dates AS SELECT unnest(CAST(? AS DATE[])) AS shown_date", [days]
        )
        con.execute(f"CREATE OR REPLACE TEMP TABLE folded AS {sql('lake/sql/outcomes.sql')}")
        rows += con.execute("SELECT count(*) FROM folded").fetchall()[0][0]
        if not done and not rebuild:
            con.execute("INSERT INTO folded BY NAME FROM rest")
        actions += write_outcomes(con, table)
        done += len(days)
    table.commit([*actions, *table.removed(gone)], {FOLDED: version, REWRITES: serial})
    progress("outcomes", len(dates), len(dates))
    return rows


def _batches(con: duckdb.DuckDBPyConnection, least_days: int, most_rows: int) -> Iterator[list[dt.date]]:
    """Yields the days to fold: so many together, and more where they have few impressions."""
    counted = con.execute(
        "SELECT shown_date, count(time) FROM dates LEFT JOIN ("
        "    SELECT CAST(time AT TIME ZONE 'UTC' AS DATE) AS shown_date, time FROM events WHERE type = 'impression'"
        ") USING (shown_date) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    days: list[dt.date] = []
    rows = 0
    for day, count in counted:
        if len(days) >= least_days and rows + count > most_rows:
            yield days
            days, rows = [], 0
        days.append(day)
        rows += count
    if days:
        yield days
