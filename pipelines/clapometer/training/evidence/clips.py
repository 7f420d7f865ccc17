"""The clips of a tenant as arrays: what they are, which of them are one, and which can be ranked."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from clapometer.labels import duration_bin_sql
from clapometer.lake.statements import sql

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DURATION_BANDS = ((5_000, "under 5 s"), (10_000, "5-10 s"), (20_000, "10-20 s"), (60_000, "20-60 s"))
LONGEST_BAND = "60 s and more"
MAX_STRATA = 50


@dataclass(frozen=True, eq=False)
class Codes:
    """A column of names as numbers.

    Attributes:
        index: Per row the index of its name, -1 where it has none.
        names: In order of first appearance.
    """

    index: Ints
    names: list[str]


@dataclass(frozen=True, eq=False)
class Clips:
    """Registered clips, by registration time and id; the row number is the clip's index everywhere.

    Attributes:
        ids: Clip ids.
        unit: Row of the canonical clip: the earliest registered among reposts and equal contents.
        model: Model version, ``name@version``.
        prompt: Prompt id.
        prompt_labels: Per prompt the beginning of its text, or its id.
        template: ``id@version``.
        segments: Codes by segment name (task, scenario, duration_band).
        registered_day: Days since 1970.
        withdrawn_day: Days since 1970; -1 where it was not withdrawn.
        excluded: Whether the clip is withdrawn, an advertisement, or has a watermark (as the rule says).
        duration_bin: Number of its length among the bins of the watch quantiles.
        cost: What it cost to make, NaN where it was not said or is far beyond all other.
        cost_currency: Currency of ``cost``.
        odd_costs: Rows of the clips whose cost is far beyond all other.
    """

    ids: list[str]
    unit: Ints
    model: Codes
    prompt: Codes
    prompt_labels: list[str]
    template: Codes
    segments: dict[str, Codes]
    registered_day: Ints
    withdrawn_day: Ints
    excluded: Flags
    duration_bin: Ints
    cost: Floats
    cost_currency: Codes
    odd_costs: Ints

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def strata(self) -> Ints:
        """Index of task and scenario of each clip; of the task alone where there are too many of both."""
        task, scenario = self.segments["task"].index, self.segments["scenario"].index
        both = np.unique(task * (scenario.max(initial=0) + 2) + scenario + 1, return_inverse=True)[1]
        chosen: Ints = both if both.max(initial=0) < MAX_STRATA else task
        return chosen


def load_clips(
    con: duckdb.DuckDBPyConnection, tenant: str, *, drop_ads: bool = True, drop_watermarks: bool = True
) -> Clips:
    """Creates the table ``registered`` (a tenant's clips with their row numbers) and returns them as arrays."""
    query = sql("training/sql/clips.sql").replace("{duration_bin}", duration_bin_sql())
    con.execute(f"CREATE OR REPLACE TEMP TABLE registered AS {query}", {"tenant": tenant})
    table = con.sql(
        "SELECT *, CAST(registered_at AS DATE) - DATE '1970-01-01' AS registered_day, "
        "coalesce(CAST(withdrawn_at AS DATE) - DATE '1970-01-01', -1) AS withdrawn_day FROM registered ORDER BY clip"
    ).to_arrow_table()
    withdrawn = numbers(table["withdrawn_day"])
    given = {"drop_ads": drop_ads, "drop_watermarks": drop_watermarks, "drop_reposts": False}
    excluded = numbers(con.sql(sql("training/sql/known.sql"), params=given).to_arrow_table()["reason"]) > 0
    unit = canonical(
        table["clip_id"].to_pylist(), table["repost_of"].to_pylist(), table["content_hash"].to_pylist(), excluded
    )
    con.register("reposts", pa.table({"clip": np.flatnonzero(unit != np.arange(len(unit)))}))
    con.execute("UPDATE registered SET is_repost = true WHERE clip IN (SELECT clip FROM reposts)")
    con.unregister("reposts")
    prompt = encode(table["prompt"])
    odd_costs = numbers(con.sql(sql("training/sql/odd_costs.sql")).to_arrow_table()["clip"])
    cost = table["cost_amount"].combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)
    cost[odd_costs] = np.nan
    return Clips(
        ids=table["clip_id"].to_pylist(),
        unit=unit,
        model=encode(table["model"]),
        prompt=prompt,
        prompt_labels=_prompt_labels(prompt, table["prompt_text"].to_pylist()),
        template=encode(table["template"]),
        segments={
            "task": encode(table["task"]),
            "scenario": encode(table["scenario"]),
            "duration_band": _duration_bands(numbers(table["duration_ms"])),
        },
        registered_day=numbers(table["registered_day"]),
        withdrawn_day=withdrawn,
        excluded=excluded,
        duration_bin=numbers(table["duration_bin"]),
        cost=cost,
        cost_currency=encode(table["cost_currency"]),
        odd_costs=odd_costs,
    )


def canonical(
    ids: list[str], repost_of: list[str | None], content_hash: list[str | None], excluded: Flags | None = None
) -> Ints:
    """Returns for each clip the row of the earliest one that it is the same as, ``(n_clips,)``.

    Clips are the same when one is declared a repost of the other or their contents are equal, also through
    others. An origin that is not registered is no clip, but makes its reposts one. A clip that is excluded stands
    for others only where all are.
    """
    out = np.zeros(len(ids), bool) if excluded is None else excluded
    nodes: dict[tuple[str, str], int] = {("clip", id_): row for row, id_ in enumerate(ids)}
    edges = []
    for row, (origin, content) in enumerate(zip(repost_of, content_hash, strict=True)):
        edges += [
            (row, nodes.setdefault((kind, key), len(nodes)))
            for kind, key in (("clip", origin), ("content", content))
            if key is not None
        ]
    if not edges:
        return np.arange(len(ids))
    left, right = np.array(edges).T
    links = sparse.coo_matrix((np.ones(len(left)), (left, right)), (len(nodes), len(nodes)))
    part = connected_components(links, directed=False)[1][: len(ids)]
    order = np.lexsort((np.arange(len(ids)), out, part))
    _, first, inverse = np.unique(part[order], return_index=True, return_inverse=True)
    rows = np.empty(len(ids), np.int64)
    rows[order] = order[first][inverse]
    return rows


def encode(column: pa.ChunkedArray) -> Codes:
    """Returns a string column as codes in order of first appearance."""
    coded = column.combine_chunks().dictionary_encode()
    index = coded.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Codes(index, coded.dictionary.to_pylist())


def numbers(column: pa.ChunkedArray) -> Ints:
    """Returns an integer column without nulls as an array."""
    values: Ints = column.combine_chunks().to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def _flags(column: pa.ChunkedArray) -> Flags:
    flags: Flags = column.combine_chunks().to_numpy(zero_copy_only=False).astype(bool)
    return flags


def _duration_bands(duration_ms: Ints) -> Codes:
    edges = [edge for edge, _ in DURATION_BANDS]
    return Codes(
        np.searchsorted(edges, duration_ms, side="right"), [*(name for _, name in DURATION_BANDS), LONGEST_BAND]
    )


def _prompt_labels(prompt: Codes, texts: list[str | None]) -> list[str]:
    labels = list(prompt.names)
    _, first = np.unique(prompt.index, return_index=True)
    for row in first.tolist():
        text = texts[row]
        if text:
            labels[prompt.index[row]] = text if len(text) <= 120 else f"{text[:119]}…"
    return labels
