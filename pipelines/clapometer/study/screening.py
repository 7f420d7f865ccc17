"""The part of the study about fake accounts: how many of 1, 10 and 200 are found, and how many people with them."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from clapometer.labels import DEFAULT_RULE, ScreeningLimits
from clapometer.lake import TABLES, Lake
from clapometer.simulation import EngagementLog, Scenario, WorldConfig, build_world, simulate_log
from clapometer.study.parts import LOG_SEED, Line, Part, Row, mean_and_error
from clapometer.training.evidence.clips import load_clips
from clapometer.training.evidence.impressions import Impressions

__all__ = ["SCREENING"]

FAKES = (1, 10, 200)
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def run(scenario: Scenario, seed: int) -> Line:
    """One world: fake accounts, those that were found, and people that were screened with them."""
    log = simulate_log(build_world(scenario.config, seed), seed + LOG_SEED)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.append("outcomes", _outcomes(log))
        with lake.connect(threads=1) as con:
            load_clips(con, "default")
            impressions = Impressions(con, lake, "default", (DEFAULT_RULE, START + dt.timedelta(days=365)))
            found = impressions.screen(ScreeningLimits())["viewer_id"].to_pylist()
    viewers = np.unique(log.viewer)
    screened = np.isin(viewers.astype(str), found)
    fake = np.isin(viewers, log.viewer[log.bot])
    return {
        "fakes": int(fake.sum()),
        "found": int((fake & screened).sum()),
        "people": int((~fake).sum()),
        "people_screened": int((~fake & screened).sum()),
    }


def _outcomes(log: EngagementLog) -> pa.Table:
    """Returns outcomes with what screening reads."""
    n, (schema, _) = len(log), TABLES["outcomes"]
    shown = np.datetime64(START.date(), "us") + (log.day * 86_400 + log.second).astype("timedelta64[s]")
    watched = log.watched_ms.astype(np.int64)
    never = {f.name: np.zeros(n, np.bool_) if pa.types.is_boolean(f.type) else pa.nulls(n, f.type) for f in schema}
    known = {
        "tenant": np.full(n, "default"), "impression_id": np.arange(n).astype(str), "clip_id": log.clip.astype(str),
        "viewer_id": log.viewer.astype(str), "shown_at": shown, "trust": np.full(n, "key"), "watched_ms": watched,
        "total_ms": watched, "liked": log.like, "saved": log.save, "shared": log.share, "last_event_at": shown,
        "shown_date": shown.astype("datetime64[D]"),
    }  # fmt: skip
    return pa.table(never | known)


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
