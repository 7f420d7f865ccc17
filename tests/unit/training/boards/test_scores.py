"""Candidates that depend on the viewer: versions are compared within viewers, or nothing is claimed."""

from pathlib import Path
from typing import Any

import pytest
from tests.support.event_rows import Row
from tests.support.lakes import clock, lake_of, traffic
from tests.support.retrieval import two_stages

from clapometer.audit.audit import AuditOptions, audit
from clapometer.labels import LabelRule, Weights
from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters
from clapometer.training.train import TrainReport, train_once

WATCHING = LabelRule(
    name="watching", version=1, weights=Weights(**dict.fromkeys(Weights.__struct_fields__, 0.0) | {"watch": 1.0})
)
SMALL = Parameters(segments=("locale",), min_impressions=50, screen_viewers=False)


def lengths_of(lengths: dict[str, int]) -> list[Row]:
    """Traffic in which clips of a model last so many milliseconds, others 8 s."""
    rows = traffic(prompts=40)
    for row in rows:
        if row["type"] == "clip_registered":
            row["duration_ms"] = lengths.get(row["model_name"], 8_000)
    return rows


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


@pytest.mark.parametrize(("length", "judged"), [(20_000, {"m0@1", "m1@1"}), (8_500, {"m0@1", "m1@1", "m2@1"})])
def test_a_version_with_a_length_of_its_own_is_not_judged_by_watching(
    tmp_path: Path, length: int, judged: set[str]
) -> None:
    lake = lake_of(tmp_path, lengths_of({"m2": length}))
    report = train_once(lake, WATCHING, clock=clock, parameters=SMALL)
    assert report.run.status == "succeeded", report.run.error
    assert {line[0] for line in ranked(lake) if line[1] is not None} == judged
    found = [each.status for each in audit(lake, AuditOptions(repeats=2)).findings if each.check == "lengths"]
    assert found == ["passed" if len(judged) == 3 else "failed"]


def test_where_all_versions_have_lengths_of_their_own_none_has_a_place(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, lengths_of({"m0": 5_000, "m1": 10_000, "m2": 20_000}))
    report = train_once(lake, WATCHING, clock=clock, parameters=SMALL)
    assert report.run.status == "succeeded", report.run.error
    assert [line[1] for line in ranked(lake)] == [None] * 3


@pytest.mark.parametrize("viewers", [9_000 * 40])
def test_nothing_is_claimed_where_viewers_come_once(tmp_path: Path, viewers: int) -> None:
    _, report = trained(tmp_path, viewers=viewers)
    assert report.run.tier == "C"
