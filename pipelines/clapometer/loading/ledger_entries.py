"""What became of the events of a batch, counted per tenant, source and hour of receipt."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from clapometer.domain import VOUCHED
from clapometer.lake.ledger import LedgerEntry
from clapometer.loading.blocks import Refusal
from clapometer.loading.duplicates import Verdicts

_Key = tuple[str, str, dt.datetime]


def count(
    events: pa.Table, verdicts: Verdicts, refusals: Sequence[Refusal], conflicts: Sequence[Refusal]
) -> list[LedgerEntry]:
    """Returns the entries for the judged ``events``, and for what was refused instead of being judged.

    ``conflicts`` are the duplicates that a row of ``rejected`` was written for.
    """
    grouped = (
        pa.table(
            {
                "tenant": events["tenant"],
                "source": events["source"],
                "hour": pc.floor_temporal(events["received_at"], unit="hour"),
                "duplicate": pa.array(verdicts.duplicate).cast(pa.int64()),
                "weightless": _weightless(events, verdicts),
            }
        )
        .group_by(["tenant", "source", "hour"])
        .aggregate([("duplicate", "count"), ("duplicate", "sum"), ("weightless", "sum")])
    )
    names = ("tenant", "source", "hour", "duplicate_count", "duplicate_sum", "weightless_sum")
    columns = (grouped[name].to_pylist() for name in names)
    judged = {(tenant, source, _utc(hour)): counts for tenant, source, hour, *counts in zip(*columns, strict=True)}
    refused, contradicted = Counter(_keys(refusals)), Counter(_keys(conflicts))
    entries = []
    for key in sorted({*judged, *refused, *contradicted}):
        n, twice, weightless = judged.get(key, (0, 0, 0))
        counts = (n + refused[key], n - twice, twice, contradicted[key], refused[key])
        entries.append(LedgerEntry(*key, *counts, weightless=weightless))
    return entries


def _weightless(events: pa.Table, verdicts: Verdicts) -> pa.ChunkedArray:
    """Returns 1 for each event that is stored, is an impression, and is vouched for by nobody; else 0."""
    vouched = pc.is_in(events["trust"], pa.array(VOUCHED))
    shown = pc.and_not(pc.equal(events["type"], "impression"), vouched)
    return pc.and_(shown, pa.array(verdicts.stored)).cast(pa.int64())


def _keys(refusals: Iterable[Refusal]) -> Iterable[_Key]:
    for each in refusals:
        hour = each.received_at.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
        yield each.tenant, each.source or "", hour


def _utc(value: dt.datetime) -> dt.datetime:
    return value.astimezone(dt.UTC)
