"""Who and what a run left out, and why: rows that analysts can read."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from clapometer.domain import BY_NUMBER, Exclusion
from clapometer.lake.statements import sql
from clapometer.training.boards.rows import Row
from clapometer.training.evidence.clips import Clips, numbers
from clapometer.training.evidence.outcome_files import MOST_WEIGHT
from clapometer.training.evidence.outliers import Outliers
from clapometer.training.evidence.screening import COSTLY, Screening

__all__ = ["count_orphans", "screened_items"]


def screened_items(
    con: duckdb.DuckDBPyConnection, clips: Clips, automated: pa.Table, screening: Screening, outliers: Outliers
) -> list[Row]:
    """Returns what does not count: clips, or only what they cost; viewers that are not people; and outliers' limits.

    Args:
        con: Where the tenant's clips are in ``registered``.
        clips: The same as arrays.
        automated: Viewers that are not people, with the number of the reason.
        screening: Which clips do not count.
        outliers: What an outcome must not be to count.
    """
    given = screening.parameters() | {"drop_reposts": True}  # a repost counts, but for another clip
    found = con.sql(sql("training/sql/screened.sql"), params=given).to_arrow_table()
    rows: list[Row] = []
    for clip, reason in zip(numbers(found["clip"]).tolist(), numbers(found["reason"]).tolist(), strict=True):
        original = clips.ids[clips.unit[clip]] if reason == Exclusion.REPOST.number and not screening.reposts else None
        rows.append({"subject": "clip", "item": clips.ids[clip], "reason": BY_NUMBER[reason], "counts_for": original})
    rows += [{"subject": "cost", "item": clips.ids[clip], "reason": COSTLY} for clip in clips.odd_costs.tolist()]
    viewers = automated.to_pylist()
    rows += [{"subject": "viewer", "item": each["viewer_id"], "reason": BY_NUMBER[each["reason"]]} for each in viewers]
    return rows + _limits(outliers)


def _limits(outliers: Outliers) -> list[Row]:
    """Returns the days that do not belong to the run, and beyond which limits an outcome does not count."""
    found = [("day", day.isoformat(), Exclusion.OUTSIDE) for day in outliers.dates]
    if outliers.weight < MOST_WEIGHT:
        found.append(("weight", repr(outliers.weight), Exclusion.UNLIKELY))
    amounts = sorted((name, limit) for name, limit in outliers.revenue.items() if np.isfinite(limit))
    found += [("revenue", f"{name} {limit!r}", Exclusion.UNPAID) for name, limit in amounts]
    return [{"subject": subject, "item": item, "reason": str(reason)} for subject, item, reason in found]


def count_orphans(con: duckdb.DuckDBPyConnection, tenant: str) -> int:
    """Returns how many impressions are answered by events although nobody showed them."""
    count: int = con.execute(sql("training/sql/orphans.sql"), {"tenant": tenant}).fetchall()[0][0]
    return count
