"""Candidates that depend on the viewer: versions are compared within viewers, or nothing is claimed."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.lakes import clock, lake_of
from tests.support.retrieval import two_stages

from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters
from clapometer.training.train import TrainReport, train_once

SMALL = Parameters(segments=("locale",), min_impressions=50, screen_viewers=False)


def trained(folder: Path, **world: Any) -> tuple[Lake, TrainReport]:
    lake = lake_of(folder, two_stages(**world))
    report = train_once(lake, clock=clock, parameters=SMALL)
    assert report.run.status == "succeeded", report.run.error
    return lake, report


def ranked(lake: Lake, subject: str = "model_versions") -> list[tuple[Any, ...]]:
    with lake.connect() as con:
        return con.execute(
            "SELECT item, rank, tier, effect_low, effect_high FROM rankings_current "
            "WHERE segment = 'all' AND subject = $1 ORDER BY rank NULLS LAST",
            [subject],
        ).fetchall()


def test_the_better_version_wins_although_lenient_viewers_are_offered_the_other_one(tmp_path: Path) -> None:
    lake, report = trained(tmp_path)
    (first, second) = ranked(lake)
    assert (first[0], second[0], first[2], report.run.tier) == ("a@1", "b@1", "B", "B")
    assert first[3] > 0


def test_prompts_are_not_compared_within_viewers_and_claim_nothing(tmp_path: Path) -> None:
    lake, _ = trained(tmp_path)
    assert {line[2] for line in ranked(lake, "prompts")} == {"C"}


def test_nothing_is_claimed_where_viewers_were_offered_one_version_only(tmp_path: Path) -> None:
    lake, report = trained(tmp_path, sticky=True)
    assert report.run.tier == "C"
    assert "the choice was the same for all viewers" in report.run.tier_reason
    assert {line[2] for line in ranked(lake)} == {"C"}


@pytest.mark.parametrize("viewers", [9_000 * 40])
def test_nothing_is_claimed_where_viewers_come_once(tmp_path: Path, viewers: int) -> None:
    _, report = trained(tmp_path, viewers=viewers)
    assert report.run.tier == "C"
