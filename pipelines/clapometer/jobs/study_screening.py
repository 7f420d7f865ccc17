"""The part of the study about fake accounts: how many of 1, 10 and 200 are found, and how many people with them."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from clapometer.jobs.study_parts import LOG_SEED, Line, Part, Row, mean_and_error
from clapometer.labels import ViewerSums, screen_viewers, viewer_sums_sql
from clapometer.simulation import EngagementLog, Scenario, WorldConfig, build_world, simulate_log

__all__ = ["SCREENING"]

FAKES = (1, 10, 200)


def run(scenario: Scenario, seed: int) -> Line:
    """One world: fake accounts, those that were found, and people that were screened with them."""
    log = simulate_log(build_world(scenario.config, seed), seed + LOG_SEED)
    with duckdb.connect() as con:
        con.register("outcomes", _outcomes(log))
        table = con.sql(f"{viewer_sums_sql('outcomes')} ORDER BY viewer_id").to_arrow_table()
    columns = {name: np.array(table[name].fill_null(0)) for name in table.column_names if name != "viewer_id"}
    signature = np.column_stack([columns.pop(name) for name in list(columns) if name.startswith("signature_")])
    found = np.array([reason is not None for reason in screen_viewers(ViewerSums(**columns, signature=signature))])
    fake = np.isin(np.array(table["viewer_id"]), log.viewer[log.bot])
    return {
        "fakes": int(fake.sum()),
        "found": int((fake & found).sum()),
        "people": int((~fake).sum()),
        "people_screened": int((~fake & found).sum()),
    }


def _outcomes(log: EngagementLog) -> pa.Table:
    """The columns of ``outcomes`` that screening reads."""
    never = np.zeros(len(log), bool)
    watched = log.watched_ms.astype(np.int64)
    columns = {
        "viewer_id": log.viewer, "clip_id": log.clip.astype(str), "watched_ms": watched, "total_ms": watched,
        "liked": log.like, "saved": log.save, "shared": log.share, "commented": never, "followed": never,
        "shown_at": pa.array((log.day * 86_400 + log.second) * 1_000_000, pa.timestamp("us", tz="UTC")),
    }  # fmt: skip
    return pa.table(columns)


def summarise(scenario: Scenario, lines: list[Line]) -> list[Row]:
    """One row: recall and precision over all worlds together, because a world may have a single fake account."""
    total = {name: sum(line[name] for line in lines) for name in ("fakes", "found", "people", "people_screened")}
    screened = total["found"] + total["people_screened"]
    recall, error = mean_and_error([line["found"] / line["fakes"] for line in lines if line["fakes"]])
    return [
        {
            "scenario": scenario.name,
            "worlds": len(lines),
            **total,
            "recall": recall,
            "recall_error": error,
            "precision": round(total["found"] / screened, 4) if screened else None,
        }
    ]


SCREENING = Part(
    tuple(Scenario(f"{n} fake account{'s' * (n > 1)}", WorldConfig(bots=n)) for n in FAKES), run, summarise
)
"""Fake accounts among 20,000 viewers, with every other confounder."""
