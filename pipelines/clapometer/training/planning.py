"""What the scheduler asks the lake before it trains, of single tables: it asks often, and while the loader is at work.

Neither estimators nor the views of the lake are loaded for it, which would take 150 MB.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from clapometer.lake.published.views import OTHER_EVENTS, sources
from clapometer.lake.tables import Lake


def tenants(lake: Lake) -> list[str]:
    """Returns the tenants that ever registered a clip."""
    clips = f"{OTHER_EVENTS} WHERE type = 'clip_registered'"
    query = f"SELECT DISTINCT tenant FROM {clips} ORDER BY tenant"  # noqa: S608 - our own names
    return [row["tenant"] for row in _rows(lake, "events", query)]


def last_start(lake: Lake) -> dt.datetime | None:
    """Returns when the latest run of any tenant started."""
    (row,) = _rows(lake, "runs", "SELECT max(started_at) AS last FROM runs")
    last: dt.datetime | None = row["last"]
    return last


def _rows(lake: Lake, table: str, query: str) -> list[dict[str, Any]]:
    """Returns what a query of one table finds; ``OTHER_EVENTS`` are rows of ``events``."""
    named = ", ".join(f"{name} AS ({rows})" for name, rows in sources({table: lake.files(table)}).items())
    with lake.catalogues() as con:
        found: list[dict[str, Any]] = con.sql(f"WITH {named} {query}").to_arrow_table().to_pylist()
        return found
