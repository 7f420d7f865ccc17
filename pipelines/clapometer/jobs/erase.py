"""Erasure: what a viewer did is taken out of every file, and the files that had it are deleted.

A deleted row of a table format is still on the disk, so files are written anew without it and the old ones removed at
once, those of older snapshots included: the one case in which a file goes under a reader. The job takes its orders
from the lake (``viewer_erased`` events), and the orders go last, in the commit that takes out the viewer's events: a
crash at any point leaves it to be done again.

References:
    Regulation (EU) 2016/679 (GDPR), Article 17.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import duckdb
import msgspec
import pyarrow as pa

from clapometer.eventlog import EventLog
from clapometer.jobs.kept import drop_kept
from clapometer.jobs.rewriting import Edit, rewrite, stale_files
from clapometer.lake import TABLES, Lake, publish
from clapometer.lake.ledger import LedgerEntry, settle, to_metadata
from clapometer.lake.schema import WATCHING_SUFFIX
from clapometer.lake.views import scan

Clock = Callable[[], dt.datetime]

IMPRESSION_COLUMNS = ("impression_id", "left_impression_id", "right_impression_id")
_VIEWER = "EXISTS (SELECT 1 FROM erased e WHERE e.tenant = t.tenant AND e.viewer_id = t.viewer_id)"
_IMPRESSION = "EXISTS (SELECT 1 FROM seen e WHERE e.tenant = t.tenant AND e.impression_id = t.{column})"
_CREATOR = "EXISTS (SELECT 1 FROM erased e WHERE e.tenant = t.tenant AND e.viewer_id = t.lineage_creator_id)"
_QUOTED = (
    "EXISTS (SELECT 1 FROM erased e WHERE e.tenant = t.tenant AND CASE t.encoding WHEN 'base64' "
    "THEN contains(hex(from_base64(t.raw)), hex(encode('\"' || e.viewer_id || '\"'))) "
    "ELSE contains(t.raw, '\"' || e.viewer_id || '\"') END)"
)
_BLANK = {"raw": "''", "encoding": "'erased'", "id": "NULL", "source": "NULL"}
"""What becomes of a dead letter that quotes an erased viewer: its reason stays, its content goes."""


@dataclass(frozen=True)
class ErasureReport:
    """What an erasure did.

    Attributes:
        erasure_id: Its entry in the register, ``erasures``; empty where there was nothing to erase.
        viewers: Viewers erased.
        rows: Rows removed or blanked, by table.
        files: Files deleted.
        blocks: Blocks of the event log that were dropped.
    """

    erasure_id: str = ""
    viewers: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    blocks: int = 0


def erase_viewers(lake: Lake, *, clock: Clock, log: EventLog | None = None) -> ErasureReport:
    """Erases every viewer whose erasure was requested, from the lake and from the blocks that it was loaded from.

    Args:
        lake: The lake.
        clock: Returns the time, with its zone.
        log: The event log, if it is to be purged too.

    Raises:
        TransientError: A training is under way, or others rewrite the same tables; try again.
    """
    orders = pending(lake)
    if not orders.num_rows:
        return ErasureReport()
    # brings scikit-learn with it, 100 MB that a loader needs only here
    from clapometer.jobs.training_lock import no_training  # noqa: PLC0415

    with no_training(lake):
        edits = _edits(lake, orders)
        rows, doomed = {}, []
        for name, edit in edits.items():
            rows[name], files = rewrite(lake, name, edit, _ledger if name == "events" else _no_metadata)
            doomed += [*files, *stale_files(lake, name, edit)]
        erasure_id = _register(lake, orders, rows, clock())
        settle(lake)
        publish(lake)  # the published file must not name what goes now
        drop_kept(lake, doomed)
        lake.delete(doomed)
    blocks = 0 if log is None else purge(log, lake)
    return ErasureReport(erasure_id, orders.num_rows, {name: n for name, n in rows.items() if n}, len(doomed), blocks)


def pending(lake: Lake) -> pa.Table:
    """Returns the erasures that were requested and are not done: tenant, viewer_id, requested_at."""
    # Orders are never in the files of what viewers did, which are nearly all of them.
    files = [path for path in lake.files("events") if not path.name.endswith(WATCHING_SUFFIX)]
    with duckdb.connect(config={"threads": 1}) as con:
        return con.sql(
            f"SELECT tenant, viewer_id, min(received_at) AS requested_at FROM ({scan('events', files)}) "  # noqa: S608
            "WHERE type = 'viewer_erased' GROUP BY ALL ORDER BY ALL"
        ).to_arrow_table()


def purge(log: EventLog, lake: Lake) -> int:
    """Drops the blocks that the lake has, and overwrites what they leave behind; returns how many."""
    dropped = sum(log.trim(partition, loaded_before(lake, log, partition)) for partition in log.partitions())
    log.scrub()
    return dropped


def loaded_before(lake: Lake, log: EventLog, partition: int) -> int:
    """Returns the offset up to which (exclusive) the lake has a partition of the log."""
    return lake.txn("events", f"load-{log.identity}-p{partition}") or 0


def _edits(lake: Lake, orders: pa.Table) -> dict[str, Edit]:
    """Returns what becomes of each table that knows viewers; ``events``, which has the orders, comes last."""
    with lake.connect(threads=1) as con:
        con.register("erased", orders)
        seen = con.sql(
            "SELECT DISTINCT tenant, impression_id FROM (SELECT tenant, impression_id, viewer_id FROM events "
            "WHERE type = 'impression' UNION ALL SELECT tenant, impression_id, viewer_id FROM outcomes) "
            "SEMI JOIN erased USING (tenant, viewer_id) WHERE impression_id IS NOT NULL"
        ).to_arrow_table()
    given = {"erased": orders, "seen": seen}
    edits = {}
    for name in sorted(TABLES, key=lambda name: name == "events"):
        columns = TABLES[name][0].names
        drop = [_VIEWER] if "viewer_id" in columns else []
        drop += [_IMPRESSION.format(column=column) for column in IMPRESSION_COLUMNS if column in columns]
        if name == "rejected":
            edits[name] = Edit(given, change=_QUOTED, values=_BLANK)
        elif "lineage_creator_id" in columns:
            edits[name] = Edit(given, " OR ".join(drop), _CREATOR, {"lineage_creator_id": "NULL"})
        elif drop:
            edits[name] = Edit(given, " OR ".join(drop))
    return edits


def _ledger(connection: duckdb.DuckDBPyConnection, rows: str) -> dict[str, str]:
    """Returns the ledger entries of events that go: they were stored, and are suppressed from now on."""
    counted = connection.execute(
        f"SELECT tenant, source, date_trunc('hour', received_at)::TIMESTAMP, count(*) FROM ({rows}) GROUP BY ALL"  # noqa: S608
    ).fetchall()
    return to_metadata(
        [
            LedgerEntry(tenant, source, hour.replace(tzinfo=dt.UTC), 0, -n, 0, 0, 0, suppressed=n)
            for tenant, source, hour, n in counted
        ]
    )


def _no_metadata(_connection: duckdb.DuckDBPyConnection, _rows: str) -> dict[str, str]:
    return {}


def _register(lake: Lake, orders: pa.Table, rows: Mapping[str, int], now: dt.datetime) -> str:
    """Notes that an erasure was done, and of how much, without saying whose; returns its id."""
    erasure_id = str(uuid.uuid4())
    removed = msgspec.json.encode({name: n for name, n in rows.items() if n}).decode()
    entries = [
        {
            "erasure_id": erasure_id, "tenant": tenant, "viewers": len(times), "requested_at": min(times),
            "finished_at": now, "removed": removed,
        }
        for tenant, times in _by_tenant(orders).items()
    ]  # fmt: skip
    lake.append("erasures", pa.Table.from_pylist(entries, schema=TABLES["erasures"][0]))
    return erasure_id


def _by_tenant(orders: pa.Table) -> dict[str, list[dt.datetime]]:
    times: dict[str, list[dt.datetime]] = {}
    for order in orders.to_pylist():
        times.setdefault(order["tenant"], []).append(order["requested_at"])
    return times
