"""Scored outcomes to sums per clip, day and viewer fold, of everything and of segments, in one look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.jobs.clips import encode, numbers
from clapometer.lake import sql
from clapometer.lake.statements import quote
from clapometer.ranking import ClipCells

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums per clip, day, viewer fold and value of a segment, ordered by them, each column ``(n_cells,)``.

    Attributes:
        cells: For the estimators.
        weight: Sum of the uniform-exposure weights.
        completed: Impressions watched to the end.
        liked: Likes.
        revenue: In the tenant's currency.
    """

    cells: ClipCells
    weight: Floats
    completed: Floats
    liked: Floats
    revenue: Floats

    def take(self, rows: NDArray[np.bool_]) -> Cells:
        """Returns some of the cells."""
        columns = {name: getattr(self.cells, name)[rows] for name in ClipCells.__slots__}
        extra = (column[rows] for column in (self.weight, self.completed, self.liked, self.revenue))
        return Cells(ClipCells(**columns), *extra)


class SegmentedCells:
    """Cells of the scored outcomes, and of those of each value of some of their columns.

    The outcomes are looked at once: all others are sums of the finest cells, which are exact, so that every one
    comes out as if it had been summed by itself.

    Args:
        con: Where ``labelled`` and ``curve`` are.
        tier: C counts every impression alike, because nothing is known of how it came about.
        values: By column (audience, locale) those of its values that are wanted.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, tier: str, values: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        self._con = con
        self._values = {column: listed for column, listed in (values or {}).items() if listed}
        keys = [f", {_wanted(column, listed)} AS {column}" for column, listed in self._values.items()]
        self._query = (
            sql("train_cells")
            .replace("{keys}", "".join(keys))
            .replace("{names}", "".join(f", {column}" for column in self._values))
        )
        self._given = {"uniform": tier == "C"}
        if self._values:
            con.execute(f"CREATE OR REPLACE TEMP TABLE cells AS {self._query}", self._given)

    def everything(self) -> Cells:
        """Returns the cells of all outcomes."""
        if self._values:
            query = sql("train_segment_cells").replace("{segment}", "").replace("{filter}", "true")
            return _cells(self._con.sql(query).to_arrow_table())
        return _cells(self._con.sql(f"{self._query} ORDER BY ALL", params=self._given).to_arrow_table())

    def by(self, column: str) -> dict[str, Cells]:
        """Returns the cells of every value that is wanted of a column; none where nothing is."""
        if column not in self._values:
            return {}
        query = sql("train_segment_cells").replace("{segment}", f", {column} AS segment")
        table = self._con.sql(query.replace("{filter}", f"{column} IS NOT NULL")).to_arrow_table()
        found, segment = _cells(table), encode(table["segment"])
        return {
            name: found.take(segment.index == index)
            for index, name in enumerate(segment.names)
            if name in self._values[column]
        }


def _wanted(column: str, values: Sequence[str]) -> str:
    """Returns the SQL of a column that is NULL where its value is not wanted: fewer values are fewer cells."""
    return f"CASE WHEN s.{column} IN ({', '.join(map(quote, values))}) THEN s.{column} END"


def _cells(table: pa.Table) -> Cells:
    cell = numbers(table["cell"])
    columns: dict[str, Any] = {"clip": cell >> 17, "day": cell >> 1 & 0xFFFF, "fold": cell & 1}
    columns |= {name: _column(table, name) for name in ClipCells.__slots__ if name not in columns}
    return Cells(
        ClipCells(**columns), *(_column(table, name) for name in ("sum_weight", "completed", "liked", "revenue"))
    )


def segment_values(con: duckdb.DuckDBPyConnection, by: str, min_impressions: int, max_values: int) -> list[str]:
    """Returns the values of a column with enough impressions, the most frequent first."""
    rows = con.execute(
        f"SELECT CAST({by} AS VARCHAR) AS value FROM scored WHERE reason = 0 AND {by} IS NOT NULL AND {by} != '' "  # noqa: S608
        "GROUP BY ALL HAVING count(*) >= ? ORDER BY count(*) DESC, value LIMIT ?",
        [min_impressions, max_values],
    ).fetchall()
    return [value for (value,) in rows]


def _column(table: pa.Table, name: str) -> Floats:
    column: Floats = table[name].combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)
    return column
