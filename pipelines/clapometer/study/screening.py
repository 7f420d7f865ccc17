"""The part of the study about fake accounts: how many are found, people among them, and what it does to the top.

Accounts are those of a shop that sells likes, 1, 10 and 200, and those of adversaries who know the screening.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import kendalltau

from clapometer.contestants import CONTESTANTS, observe
from clapometer.domain import Exclusion
from clapometer.labels import DEFAULT_RULE, ScreeningLimits, duration_bin_sql
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.simulation import (
    ADVERSARIES,
    TYPICAL_DURATION_MS,
    Adversary,
    EngagementLog,
    Scenario,
    World,
    WorldConfig,
    build_world,
    fit_label,
    simulate_log,
    with_adversary,
)
from clapometer.study.claims import claimed_first
from clapometer.study.parts import LOG_SEED, Line, Part, Row, mean_and_error
from clapometer.training.evidence.outcomes import Outcomes

__all__ = ["SCREENING"]

FAKES = (1, 10, 200)
NOBODY = "nobody is fake"
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
PRECISE = 0.95
WAITS = Exclusion.NEW.number
_OURS = CONTESTANTS["clip AIPW + prompt effects"].estimate

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def run(scenario: Scenario, seed: int) -> Line:
    """One world: fake accounts, those that were found, people that were screened with them, and the ranking's top."""
    world = build_world(scenario.config, seed)
    log = simulate_log(world, seed + LOG_SEED)
    adversary, people = ADVERSARIES.get(scenario.name), log.where(~log.bot)
    honest = _effects(world, people)
    second = int(np.argsort(-honest)[1])
    known = None
    if adversary is not None:
        log = with_adversary(world, log, adversary, second, seed)
        known = _recall_of_who_knows(world, log, adversary, second)
    viewers = np.unique(log.viewer)
    aside = _aside(world, log)
    out = np.isin(viewers.astype(str), aside["viewer_id"].to_pylist())
    waits = np.isin(viewers.astype(str), aside.filter(pc.equal(aside["reason"], WAITS))["viewer_id"].to_pylist())
    fake = np.isin(viewers, log.viewer[log.bot])
    left = log.where(~np.isin(log.viewer, viewers[out]))
    with_fakes, after, first = _effects(world, log), _effects(world, left), int(honest.argmax())
    claims = claimed_first(observe(world, left, fit_label(world)))
    return {
        "fakes": int(fake.sum()),
        "found": int((fake & out).sum()),
        "people": int((~fake).sum()),
        "people_screened": int((~fake & out & ~waits).sum()),
        "people_wait": int((~fake & waits).sum()),
        "impressions_screened": float(np.isin(people.viewer, viewers[out & ~waits]).mean()),
        "impressions_wait": float(np.isin(people.viewer, viewers[waits]).mean()),
        "recall_known": known,
        "top_with": bool(with_fakes.argmax() == first),
        "top": bool(after.argmax() == first),
        "claimed": claims[1] is not None,
        "wrong_by_chance_alone": claims[0] not in {None, first},
        "wrong": claims[1] not in {None, first},
        "tau": float(kendalltau(honest, after)[0]),
    }


def _effects(world: World, log: EngagementLog) -> Floats:
    """Returns our contrasts of the model versions, the lowest where there is none."""
    effects: Floats = _OURS(observe(world, log, fit_label(world)), world.config.n_models).effects
    return np.nan_to_num(effects, nan=-np.inf)


def _aside(world: World, log: EngagementLog) -> pa.Table:
    """Returns the viewers that a training leaves out, with the reason."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.append("outcomes", _outcomes(log))
        with lake.connect(threads=1) as con:
            _register(con, world)
            outcomes = Outcomes.read(con, lake, "default", (DEFAULT_RULE, START + dt.timedelta(days=365)))
            return outcomes.screened(ScreeningLimits()).automated


def _register(con: duckdb.DuckDBPyConnection, world: World) -> None:
    """Makes ``registered``, with what screening reads of a clip."""
    clips = world.clips
    made = pa.table({
        "clip": np.arange(len(clips.model)), "clip_id": np.arange(len(clips.model)).astype(str),
        "model": clips.model.astype(str), "duration_ms": TYPICAL_DURATION_MS * np.exp(clips.log_duration),
        "creator_id": pa.nulls(len(clips.model), pa.string()),
    })  # fmt: skip
    con.register("made", made)
    con.execute(
        f"CREATE TEMP TABLE registered AS SELECT *, {duration_bin_sql()} AS duration_bin FROM made"  # noqa: S608
    )


def _recall_of_who_knows(world: World, log: EngagementLog, adversary: Adversary, target: int) -> float:
    """Returns how many accounts somebody finds at the wanted precision who knows what they do to which version.

    By the likelihood ratio of each viewer's answers to the target, given what it answers to all else.
    """
    hit, n = world.clips.model[log.clip] == target, int(log.viewer.max()) + 1
    ratio = np.zeros(n)
    for answer, chance in ((log.like, adversary.praise), (log.complete, 1.0)):
        other = np.bincount(log.viewer, answer & ~hit, n) + answer[~hit].mean() * 7
        rate = (other / (np.bincount(log.viewer, ~hit, n) + 7))[log.viewer]
        made_up = (1 - adversary.asleep) * chance + adversary.asleep * rate
        gain = np.where(answer, np.log(made_up / rate + 1e-9), np.log((1 - made_up + 1e-9) / (1 - rate)))
        ratio += np.bincount(log.viewer, gain * hit, n)
    viewers = np.unique(log.viewer)
    fake = np.isin(viewers, log.viewer[log.bot])[np.argsort(-ratio[viewers], kind="stable")]
    found = np.cumsum(fake)
    precise = found >= PRECISE * np.arange(1, len(fake) + 1)
    return float(found[precise].max(initial=0) / max(found[-1], 1))


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
    total = {
        name: sum(line[name] for line in lines)
        for name in ("fakes", "found", "people", "people_screened", "people_wait")
    }
    screened = total["found"] + total["people_screened"]
    recall, error = mean_and_error([line["found"] / line["fakes"] for line in lines if line["fakes"]])
    means = (
        "impressions_screened", "impressions_wait", "recall_known", "top_with", "top", "claimed",
        "wrong_by_chance_alone", "wrong", "tau",
    )  # fmt: skip
    return [
        {
            "scenario": scenario.name,
            "worlds": len(lines),
            **total,
            "recall": recall,
            "recall_error": error,
            "precision": round(total["found"] / screened, 4) if screened else None,
            **{name: mean_and_error([line[name] for line in lines])[0] for name in means},
        }
    ]


_SIZE = WorldConfig(n_prompts=2_000, n_sessions=25_000, n_viewers=8_000, bots=0)
SCREENING = Part(
    (
        *(Scenario(f"{n} fake account{'s' * (n > 1)}", WorldConfig(bots=n)) for n in FAKES),
        *(Scenario(name, _SIZE) for name in (NOBODY, *ADVERSARIES)),
    ),
    run,
    summarise,
)
"""Fake accounts of a shop among 20,000 viewers, and of adversaries in the demo's world, with every other confounder."""
