"""Time travel: the lake as it was at a time, or when a run was recorded.

The versions of the tables are the exact answer. The log of a table that the loader commits to every second is kept for
a day only, and files that were merged since for as long: further back, what the lake knew is told from the rows that it
has now, by when they were received or recorded. That reaches back as far as the lake does, keeps no file for it, and
cannot show what was erased since.
"""

import datetime as dt
from dataclasses import dataclass

import duckdb
import msgspec

from clapometer.domain import InputError, nearest
from clapometer.lake.published.views import OTHER_EVENTS
from clapometer.lake.specs import SPECS, TABLES
from clapometer.lake.statements import quote, sql
from clapometer.lake.tables import Lake

RUN_ID = "clapometer.run_id"
"""Metadata of the commit that records a run."""
_FOLDED = """
WITH refresh_dates AS (
    SELECT DISTINCT CAST(time AT TIME ZONE 'UTC' AS DATE) AS shown_date FROM events WHERE type = 'impression'
),
settled AS (SELECT tenant, impression_id FROM events WHERE false),
shared_orders AS ({shared_orders})
SELECT * FROM ({outcomes})
"""


@dataclass(frozen=True)
class Then:
    """The lake as it was.

    Attributes:
        connection: With a view of every table, and those built on them.
        exact: Whether it reads the versions of that time; else what was received and recorded by then, in whole hours
            for the ledger, less what was erased since.
    """

    connection: duckdb.DuckDBPyConnection
    exact: bool


@dataclass(frozen=True)
class _Known:
    """Up to when events had been received, and runs recorded."""

    received: dt.datetime
    recorded: dt.datetime


def open_then(
    lake: Lake, as_of: dt.datetime | str, *, threads: int | None = None, memory_limit: str | None = None
) -> Then:
    """Returns the lake as it was at a time, or as a run read it and was recorded.

    Raises:
        InputError: There is no such run, or the lake had no event by then.
    """
    try:
        versions = versions_of_run(lake, as_of) if isinstance(as_of, str) else versions_at(lake, as_of)
        if all(path.exists() for name in versions for path in lake.files(name, versions[name])):
            return Then(lake.connect(versions, threads=threads, memory_limit=memory_limit), exact=True)
        reason = InputError(f"files of {as_of} were deleted since", "as_of")
    except InputError as error:
        reason = error
    known = _known(lake, as_of)
    if known is None:
        raise reason
    connection = lake.connect(threads=threads, memory_limit=memory_limit, told=lambda queries: _told(queries, known))
    return Then(connection, exact=False)


def versions_at(lake: Lake, moment: dt.datetime) -> dict[str, int]:
    """Returns the version that each table had at a time.

    Raises:
        InputError: The lake is younger than that, or no longer keeps it.
    """
    return {name: lake.version_at(name, moment) for name in TABLES}


def versions_of_run(lake: Lake, run_id: str) -> dict[str, int]:
    """Returns the versions that a run read, and those of the other tables when it was recorded.

    Raises:
        InputError: There is no such run, or the lake no longer keeps what it read.
    """
    for commit in lake.commits("runs", -1):
        if commit.metadata.get(RUN_ID) == run_id:
            recorded = dt.datetime.fromtimestamp(int(commit.metadata["timestamp"]) / 1000, dt.UTC)
            return versions_at(lake, recorded) | _snapshot(lake, run_id) | {"runs": commit.version}
    known = [commit.metadata[RUN_ID] for commit in lake.commits("runs", -1) if RUN_ID in commit.metadata]
    msg = f"{run_id!r} is neither a time (RFC 3339) nor a run that the lake knows{nearest(run_id, reversed(known))}"
    raise InputError(msg, "as_of")


def _snapshot(lake: Lake, run_id: str) -> dict[str, int]:
    with lake.connect() as con:
        ((text,),) = con.execute("SELECT snapshot FROM runs WHERE run_id = ?", [run_id]).fetchall()
    return msgspec.json.decode(text, type=dict[str, int])


def _known(lake: Lake, as_of: dt.datetime | str) -> _Known | None:
    """Returns what was known then; ``None`` where that is nothing."""
    with lake.connect(threads=1) as con:
        if isinstance(as_of, dt.datetime):
            known = _Known(as_of, as_of)
        else:
            times = "SELECT epoch_us(min(started_at)), epoch_us(max(finished_at)) FROM runs WHERE run_id = ?"
            ((started, finished),) = con.execute(times, [as_of]).fetchall()
            if started is None:
                return None
            known = _Known(_instant(started), _instant(finished))
        oldest = con.execute("SELECT epoch_us(min(received_at)) FROM events").fetchall()[0][0]
    return known if oldest is not None and _instant(oldest) <= known.received else None


def _instant(microseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)


def _told(queries: dict[str, str], known: _Known) -> dict[str, str]:
    """Returns the queries for the rows that were known then."""
    received, recorded = (f"TIMESTAMPTZ {quote(str(at))}" for at in (known.received, known.recorded))
    runs = f"SELECT run_id FROM ({queries['runs']}) WHERE finished_at <= {recorded}"  # noqa: S608
    given = {"received": received, "recorded": recorded, "runs": runs}
    conditions = {name: spec.known.format(**given) for name, spec in SPECS.items() if spec.known is not None}
    conditions[OTHER_EVENTS] = conditions["events"]
    told = {name: f"SELECT * FROM ({queries[name]}) WHERE {condition}" for name, condition in conditions.items()}  # noqa: S608
    return {
        **told,
        "outcomes": _FOLDED.format(
            outcomes=sql("lake/sql/outcomes.sql"), shared_orders=sql("lake/sql/shared_orders.sql")
        ),
    }
