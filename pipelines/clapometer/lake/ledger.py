"""The ledger: what became of every event. It must always add up, and does so by construction.

A load counts its events in the metadata of its ``events`` commit, atomically with the rows; ``settle`` copies
the counts of commits that the ``ledger`` table does not have yet, with an application transaction, so that a
crash in between neither loses nor doubles them.
"""

import datetime as dt
from collections.abc import Sequence

import msgspec
import pyarrow as pa

from clapometer.lake.delta.table import CommitConflictError
from clapometer.lake.schema import LEDGER
from clapometer.lake.statements import sql
from clapometer.lake.tables import Lake

METADATA_KEY = "clapometer.ledger"
SETTLED = "events-commit"
MAX_ENTRIES = 500
OTHERS = "(others)"
"""Source under which the rarest sources of a commit are counted where there are more than ``MAX_ENTRIES``."""


class LedgerEntry(msgspec.Struct, frozen=True, array_like=True):
    """Counts of one tenant, source and hour in one commit.

    ``conflict`` is part of ``duplicate``, and ``weightless``, impressions without a token that holds, of ``stored``.
    """

    tenant: str
    source: str
    hour: dt.datetime
    received: int
    stored: int
    duplicate: int
    conflict: int
    rejected: int
    suppressed: int = 0
    weightless: int = 0


_ENTRIES = msgspec.json.Decoder(list[LedgerEntry])


def to_metadata(entries: Sequence[LedgerEntry]) -> dict[str, str]:
    """Returns the metadata that a commit carries its counts in."""
    ordered = sorted(entries, key=lambda entry: -entry.received)
    merged: dict[tuple[str, dt.datetime], LedgerEntry] = {}
    for entry in ordered[MAX_ENTRIES:]:
        key = (entry.tenant, entry.hour)
        merged[key] = _plus(merged.get(key, LedgerEntry(entry.tenant, OTHERS, entry.hour, 0, 0, 0, 0, 0)), entry)
    return {METADATA_KEY: msgspec.json.encode([*ordered[:MAX_ENTRIES], *merged.values()]).decode()}


def settle(lake: Lake) -> None:
    """Brings the ledger up to the latest commit of ``events``.

    Raises:
        TerminalError: The history of ``events`` no longer reaches back to what the ledger has.
    """
    while True:
        settled = lake.txn("ledger", SETTLED) or 0
        rows: list[dict[str, object]] = []
        latest = settled
        for commit in lake.commits("events", settled):
            latest = commit.version
            entries = _ENTRIES.decode(str(commit.metadata.get(METADATA_KEY, "[]")))
            rows += [{**msgspec.structs.asdict(entry), "commit": commit.version} for entry in entries]
        if latest == settled:
            return
        try:
            lake.append("ledger", pa.Table.from_pylist(rows, schema=LEDGER), {SETTLED: latest})
        except CommitConflictError:
            continue  # another loader settled first
        return


def ledger_difference(lake: Lake) -> int:
    """Returns by how many events the ledger of a lake at rest fails to add up; 0 is the only good answer.

    Compared are received with stored + duplicate + rejected + suppressed, per row; stored with the rows that
    ``events`` has; and rejected + conflict with those of ``rejected``.
    """
    settle(lake)
    with lake.connect(threads=1) as connection:
        found = connection.execute(sql("lake/sql/ledger_difference.sql")).fetchone()
    return int(found[0]) if found else 0


def _plus(one: LedgerEntry, other: LedgerEntry) -> LedgerEntry:
    counts = zip(msgspec.structs.astuple(one)[3:], msgspec.structs.astuple(other)[3:], strict=True)
    return LedgerEntry(one.tenant, one.source, one.hour, *(left + right for left, right in counts))
