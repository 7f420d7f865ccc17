"""Erasure: what a viewer did is taken out of every file, and the files that had it are deleted.

A deleted row of a table format is still on the disk, so files are written anew without it and the old ones removed at
once, those of older snapshots included: the one case in which a file goes under a reader. The job takes its orders
from the lake (``viewer_erased`` events), and the orders go last, when files, register and log are done: a crash at any
point leaves it to be done again. The commit that takes out the orders says so, and the register's table says when the
files that had them are deleted too; where the two differ, the next erasure deletes those first.

References:
    Regulation (EU) 2016/679 (GDPR), Article 17.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa

from clapometer.domain import TerminalError
from clapometer.eventlog import EventLog
from clapometer.lake.duck import connect
from clapometer.lake.kept import drop_kept
from clapometer.lake.ledger import LedgerEntry, settle, to_metadata
from clapometer.lake.lock import no_training
from clapometer.lake.progress import load_app_id
from clapometer.lake.published.publish import publish
from clapometer.lake.published.views import scan
from clapometer.lake.schema import WATCHING_SUFFIX
from clapometer.lake.specs import SPECS, TABLES, TableSpec, ViewerColumns
from clapometer.lake.tables import Lake
from clapometer.takedown.rewrite import Edit, rewrite, stale_files
from clapometer.takedown.spellings import QUOTED, spellings

Clock = Callable[[], dt.datetime]

ORDERS_GONE = "erasure-orders"
"""Application transaction of ``events``, of commits that take out orders; of ``erasures`` once their files are gone."""
REGISTERED = "clapometer.erasure"
"""Metadata of commits of ``erasures``: which orders it stands for, as digests, so that none is registered twice."""

_VIEWER = "EXISTS (SELECT 1 FROM erased e WHERE e.tenant = t.tenant AND e.viewer_id = t.{column})"
_ITEM = f"t.subject = 'viewer' AND {_VIEWER}"
_IMPRESSION = "EXISTS (SELECT 1 FROM seen e WHERE e.tenant = t.tenant AND e.impression_id = t.{column})"
_ORDER = (
    "t.type = 'viewer_erased' AND EXISTS (SELECT 1 FROM orders o WHERE o.tenant = t.tenant AND o.source = t.source "
    "AND o.id = t.id AND o.received_at = t.received_at)"
)
_ANY_ORDER = "t.type = 'viewer_erased'"
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
        orders: Rows of ``events`` that are the orders themselves: where there are no others, nothing was stored.
    """

    erasure_id: str = ""
    viewers: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    blocks: int = 0
    orders: int = 0


def erase_viewers(lake: Lake, *, clock: Clock, log: EventLog | None = None) -> ErasureReport:
    """Erases every viewer whose erasure was requested, from the lake and from the blocks that it was loaded from.

    Args:
        lake: The lake.
        clock: Returns the time, with its zone.
        log: The event log, if it is to be purged too.

    Raises:
        TransientError: A training is under way, or others rewrite the same tables; try again.
    """
    if not _left_over(lake) and not pending(lake).num_rows:
        return ErasureReport()
    with no_training(lake):
        viewer_columns()  # before anything is changed
        if _left_over(lake):
            _delete_orders(lake)
        orders = _orders(lake)  # anew: somebody else may have done it meanwhile
        if not orders.num_rows:
            return ErasureReport()
        viewers = _viewers(orders)
        rows, doomed = _rewrite(lake, viewers)
        rows["events"] += orders.num_rows
        erasure_id = _register(lake, orders, rows, clock())
        settle(lake)
        publish(lake)  # the published file must not name what goes now
        drop_kept(lake, doomed)
        lake.delete(doomed)
        blocks = 0 if log is None else purge(log, lake)
        txns = {ORDERS_GONE: (lake.txn("events", ORDERS_GONE) or 0) + 1}
        rewrite(lake, "events", Edit({"orders": orders}, _ORDER), _ledger, txns=txns)
        files = len(doomed) + _delete_orders(lake)
    removed = {name: n for name, n in rows.items() if n}
    return ErasureReport(erasure_id, viewers.num_rows, removed, files, blocks, orders.num_rows)


def pending(lake: Lake) -> pa.Table:
    """Returns the erasures that were requested and are not done: tenant, viewer_id, requested_at."""
    return _viewers(_orders(lake))


def _orders(lake: Lake) -> pa.Table:
    """Returns the events that ask for an erasure."""
    # Orders are never in the files of what viewers did, which are nearly all of them.
    return _orders_in([path for path in lake.files("events") if not path.name.endswith(WATCHING_SUFFIX)])


def _orders_in(files: Sequence[Path]) -> pa.Table:
    with connect(threads=1) as con:
        return con.sql(
            f"SELECT tenant, viewer_id, source, id, received_at FROM ({scan('events', files)}) "  # noqa: S608
            "WHERE type = 'viewer_erased' ORDER BY ALL"
        ).to_arrow_table()


def _viewers(orders: pa.Table) -> pa.Table:
    with connect(threads=1) as con:
        con.register("orders", orders)
        return con.sql(
            "SELECT tenant, viewer_id, min(received_at) AS requested_at FROM orders GROUP BY ALL ORDER BY ALL"
        ).to_arrow_table()


def purge(log: EventLog, lake: Lake) -> int:
    """Drops the blocks that the lake has, and overwrites what they leave behind; returns how many."""
    dropped = sum(log.trim(partition, loaded_before(lake, log, partition)) for partition in log.partitions())
    log.scrub()
    return dropped


def loaded_before(lake: Lake, log: EventLog, partition: int) -> int:
    """Returns the offset up to which (exclusive) the lake has a partition of the log."""
    return lake.txn("events", load_app_id(log.identity, partition)) or 0


def _rewrite(lake: Lake, viewers: pa.Table) -> tuple[dict[str, int], list[Path]]:
    """Takes viewers out of every table, but leaves the orders; returns rows by table, and files to be deleted.

    ``events`` comes last, with the impressions of the very version that is rewritten: what answered one that a loader
    added in the meantime names no viewer.
    """
    with lake.connect(threads=1) as con:
        con.register("erased", viewers)
        folded = con.sql(_seen("outcomes")).to_arrow_table()
        con.register("folded", folded)
        seen = con.sql(f"{_seen('events')} UNION FROM folded").to_arrow_table()
    edits: dict[str, Edit] = {}

    def edit_events(files: Sequence[Path]) -> Edit:
        with connect(threads=1) as con:
            con.register("erased", viewers)
            con.register("folded", folded)
            shown = _seen(f"({scan('events', files)})")
            found = con.sql(f"{shown} UNION FROM folded").to_arrow_table()
        edits["events"] = _edit("events", viewers, found)
        return edits["events"]

    rows, doomed = {}, list[Path]()
    specs = viewer_columns()
    for name in sorted(specs, key=lambda name: name == "events"):
        if name == "events":
            rows[name], files = rewrite(lake, name, edit_events, _ledger)
        elif specs[name].names:
            edits[name] = _edit(name, viewers, seen)
            rows[name], files = rewrite(lake, name, edits[name])
        else:
            continue
        doomed += [*files, *stale_files(lake, name, edits[name])]
    return rows, list(dict.fromkeys(doomed))


def _seen(rows: str) -> str:
    """Returns the query for the impressions of the viewers in ``erased``, from ``events`` or ``outcomes``."""
    return (
        f"SELECT DISTINCT tenant, impression_id FROM {rows} SEMI JOIN erased USING (tenant, viewer_id) "  # noqa: S608
        "WHERE impression_id IS NOT NULL"
    )


def _edit(name: str, viewers: pa.Table, seen: pa.Table) -> Edit:
    """Returns what becomes of a table that knows viewers."""
    given = {"erased": viewers, "seen": seen}
    columns = viewer_columns()[name]
    if columns.quotes:
        return Edit({**given, "spelled": spellings(viewers)}, change=QUOTED, values=_BLANK)
    conditions = ((_VIEWER, columns.viewers), (_ITEM, columns.items), (_IMPRESSION, columns.impressions))
    drop = " OR ".join(f"({condition.format(column=each)})" for condition, names in conditions for each in names)
    if name == "events":
        (creator,) = columns.creators
        return Edit(given, f"NOT ({_ANY_ORDER}) AND ({drop})", _VIEWER.format(column=creator), {creator: "NULL"})
    return Edit(given, drop)


def viewer_columns(specs: Mapping[str, TableSpec] = SPECS) -> dict[str, ViewerColumns]:
    """Returns where viewers are found, by table.

    Raises:
        TerminalError: A table does not say it: what it has of a viewer would stay.
    """
    known = {name: spec.viewers for name, spec in specs.items() if spec.viewers is not None}
    silent = [name for name in specs if name not in known]
    if silent:
        msg = (
            f"nothing was erased: {', '.join(silent)} does not say in which columns viewers are found; declare "
            "`viewers` of its TableSpec (lake/specs.py), NOBODY where no viewer is in it"
        )
        raise TerminalError(msg)
    return known


def _left_over(lake: Lake) -> bool:
    """Returns whether orders were taken out of ``events``, but maybe not their files off the disk."""
    return lake.txn("events", ORDERS_GONE) != lake.txn("erasures", ORDERS_GONE)


def _delete_orders(lake: Lake) -> int:
    """Deletes the files of older snapshots that have orders, and notes that it is done; returns how many."""
    publish(lake)
    doomed = [*stale_files(lake, "events", Edit({}, _ANY_ORDER)), *_uncommitted(lake)]
    lake.delete(dict.fromkeys(doomed))
    gone = lake.txn("events", ORDERS_GONE)
    if gone is not None:
        lake.append("erasures", pa.Table.from_pylist([], schema=TABLES["erasures"][0]), {ORDERS_GONE: gone})
    return len(set(doomed))


def _uncommitted(lake: Lake) -> list[Path]:
    """Returns files of ``events`` that no commit names, with orders that are done: of a process that was killed.

    Nobody can commit them any more: since the orders went, whoever rewrites the files that had them conflicts.
    """
    done = _registered(lake).keys() - {_digest(order) for order in _orders(lake).to_pylist()}
    live = set(lake.files("events"))
    found = []
    for path in lake.storage.table("events").rglob("*.parquet"):
        if path.name.endswith((WATCHING_SUFFIX, ".checkpoint.parquet")) or path in live:
            continue
        try:
            orders = _orders_in([path]).to_pylist()
        except duckdb.Error:  # half written, or gone meanwhile: the vacuum's
            continue
        if any(_digest(order) in done for order in orders):
            found.append(path)
    return found


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


def _register(lake: Lake, orders: pa.Table, rows: Mapping[str, int], now: dt.datetime) -> str:
    """Notes that an erasure was done, and of how much, without saying whose; returns its id.

    Orders that a crashed run registered are not registered again.
    """
    known = _registered(lake)
    marked = [(_digest(order), order) for order in orders.to_pylist()]
    new = {digest: order for digest, order in marked if digest not in known}
    if not new:
        return known[marked[-1][0]]
    erasure_id = str(uuid.uuid4())
    removed = msgspec.json.encode({name: n for name, n in rows.items() if n}).decode()
    entries = [
        {
            "erasure_id": erasure_id, "tenant": tenant, "viewers": len(times), "requested_at": min(times),
            "finished_at": now, "removed": removed,
        }
        for tenant, times in _by_tenant(_viewers(pa.Table.from_pylist([*new.values()], orders.schema))).items()
    ]  # fmt: skip
    metadata = {REGISTERED: msgspec.json.encode([erasure_id, *new]).decode()}
    lake.append("erasures", pa.Table.from_pylist(entries, schema=TABLES["erasures"][0]), metadata=metadata)
    return erasure_id


def _registered(lake: Lake) -> dict[str, str]:
    """Returns the erasures of orders by their digests, as far back as the log of ``erasures`` is kept."""
    known: dict[str, str] = {}
    for commit in lake.commits("erasures", 0):
        erasure_id, *digests = msgspec.json.decode(str(commit.metadata.get(REGISTERED, '[""]')), type=list[str])
        known |= dict.fromkeys(digests, erasure_id)
    return known


def _digest(order: Mapping[str, object]) -> str:
    """Returns what tells an order from others, without saying whose it is."""
    named = [order["tenant"], order["source"], order["id"], order["received_at"]]
    return hashlib.sha256(msgspec.json.encode(named)).hexdigest()


def _by_tenant(orders: pa.Table) -> dict[str, list[dt.datetime]]:
    times: dict[str, list[dt.datetime]] = {}
    for order in orders.to_pylist():
        times.setdefault(order["tenant"], []).append(order["requested_at"])
    return times
