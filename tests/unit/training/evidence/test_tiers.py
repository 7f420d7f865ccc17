"""Each boundary between tier B and tier C, and the reason that a run gives."""

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.event_rows import Row
from tests.support.lakes import clock, lake_of, traffic
from tests.support.worlds import world_events

from clapometer.lake.tables import Lake
from clapometer.simulation import EngagementLog, WorldConfig, build_world, simulate_log
from clapometer.training.runs import Run, read_runs
from clapometer.training.train import train_once


def run_of(lake: Lake) -> Run:
    run = train_once(lake, clock=clock).run
    assert run.status == "succeeded", run.error
    return run


def impressions(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["type"] == "impression"]


@pytest.mark.parametrize(("explored", "tier"), [(99, "C"), (100, "B")])
def test_tier_b_needs_a_hundred_logged_impressions_by_chance(tmp_path: Path, explored: int, tier: str) -> None:
    rows = traffic()
    shown = impressions(rows)
    chosen = random.Random(0).sample(range(len(shown)), explored)
    for n, one in enumerate(shown):
        one["explored"] = n in chosen
    run = run_of(lake_of(tmp_path, rows))
    assert run.tier == tier
    assert ("only 99 impressions" in run.tier_reason) == (tier == "C")


def test_propensities_that_part_of_the_traffic_lacks_leave_tier_b(tmp_path: Path) -> None:
    rows = traffic()
    for one in impressions(rows)[::3]:
        one["propensity"] = None
    assert run_of(lake_of(tmp_path, rows)).tier == "B"


@pytest.mark.parametrize("missing", ["propensity", "candidates"])
def test_without_propensities_or_candidates_it_is_tier_c_and_says_so(tmp_path: Path, missing: str) -> None:
    rows = traffic()
    for one in impressions(rows):
        one[missing] = None
    run = run_of(lake_of(tmp_path, rows))
    assert run.tier == "C"
    assert run.tier_reason == "no impression has both a propensity and its number of candidates"


def test_propensities_whose_inverse_is_not_the_number_of_candidates_are_not_believed(tmp_path: Path) -> None:
    rows = traffic()
    for one in impressions(rows):
        one["candidates"] = 45  # of 90
    run = run_of(lake_of(tmp_path, rows))
    assert run.tier == "C"
    assert "the sum of 1 / propensity is 2.00 times the number of candidates" in run.tier_reason


WORLD = WorldConfig(n_models=4, n_prompts=200, n_sessions=4_000, n_viewers=1_000, n_days=14, bots=0)


@pytest.mark.parametrize(
    ("logs", "tier", "reason"),
    [
        (lambda log: log.propensity, "B", ""),
        (lambda log: np.maximum(log.propensity, 1 / log.candidates), "C", "the sum of 1 / propensity is"),  # clipped
        (
            lambda log: 1 / log.candidates,
            "C",
            "of the slots are in the wrong place",
        ),  # a constant, though popular first
    ],
)
def test_a_feeds_log_is_believed_when_it_fits_what_was_shown(
    tmp_path: Path, logs: Callable[[EngagementLog], Any], tier: str, reason: str
) -> None:
    world = build_world(WORLD, 1)
    log = simulate_log(world, 2)
    written = dataclasses.replace(log, propensity=np.where(np.isnan(log.propensity), np.nan, logs(log)))
    lake = Lake(tmp_path)
    lake.append("events", world_events(world, written))
    run = run_of(lake)
    assert run.tier == tier
    assert reason in run.tier_reason
    assert read_runs(lake)[-1].tier_reason == run.tier_reason
    with lake.connect() as con:
        found = con.sql("SELECT DISTINCT tier, calibrated FROM rankings_current WHERE rank IS NOT NULL").fetchall()
        pairs = con.sql("SELECT DISTINCT tier FROM comparisons").fetchall()
    assert found == [(tier, tier == "B")]
    assert pairs == [(tier,)]


def test_a_log_that_calls_every_slot_chance_is_not_believed(tmp_path: Path) -> None:
    """Weights of 1 and flags of explored everywhere agree with each other; what was shown does not agree with them."""
    world = build_world(WORLD, 1)
    log = simulate_log(world, 2)
    everything = np.ones(len(log), np.bool_)
    written = dataclasses.replace(log, propensity=1 / log.candidates, explored=everything)
    lake = Lake(tmp_path)
    lake.append("events", world_events(world, written))
    run = run_of(lake)
    assert run.tier == "C"
    assert "the same ones to different viewers, and should be alike" in run.tier_reason


def test_a_version_that_is_shown_more_often_than_its_log_says_is_named(tmp_path: Path) -> None:
    rows = traffic(prompts=120, shown=12)
    kept = {
        one["impression_id"]
        for one in impressions(rows)
        if one["clip_id"].endswith("-2") or one["impression_id"].endswith(tuple(f"-{n}" for n in range(6)))
    }
    run = run_of(lake_of(tmp_path, [row for row in rows if row.get("impression_id") in kept | {None}]))
    assert run.tier == "C"
    assert "m2@" in run.tier_reason
    assert "times as often as its clips had chances" in run.tier_reason
