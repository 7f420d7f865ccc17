"""What is kept of files of outcomes is what they say, changes nothing, and goes with them."""

import datetime as dt
from pathlib import Path

import pytest
from tests.support.event_rows import Row, answer, at, clip, impression
from tests.support.lakes import NOW, clock, lake_of, traffic
from tests.support.viewer_sums import viewer_sums
from tests.support.worlds import world_events

from clapometer.folding.fold import refresh_outcomes
from clapometer.labels import (
    DEFAULT_RULE,
    CohortLimits,
    LabelRule,
    ScreeningLimits,
    Watch,
    Weights,
    screen_viewers,
)
from clapometer.lake.kept import drop_kept
from clapometer.lake.tables import Lake
from clapometer.simulation import WorldConfig, build_world, simulate_log
from clapometer.training.evidence.cells import Cells
from clapometer.training.evidence.clips import load_clips
from clapometer.training.evidence.outcomes import Outcomes
from clapometer.training.evidence.screening import Screening
from clapometer.training.train import train_once
from clapometer.upkeep.merge import UpkeepSettings, compact, vacuum

WAITING = LabelRule(name="waiting", version=1, maturity_hours={"like": 24})


def summed(lake: Lake, rule: LabelRule = DEFAULT_RULE, as_of: dt.datetime = NOW, tenant: str = "default") -> Cells:
    refresh_outcomes(lake)
    with lake.connect() as con:
        load_clips(con, tenant)
        return Outcomes.read(con, lake, tenant, (rule, as_of)).scored(Screening()).cells("C", {})[0]


def kept(lake: Lake) -> dict[str, int]:
    """Kept files with the time at which each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (lake.storage.cache / "outcomes").glob("*")}


def same(one: Cells, other: Cells) -> bool:
    return one.cells.sum_label.tobytes() == other.cells.sum_label.tobytes()


def test_outcomes_are_read_once_per_file_and_way_of_reading_and_come_to_the_same(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    first = summed(lake)
    written = kept(lake)
    assert len(written) == len(lake.files("outcomes")) == 1
    assert same(summed(lake), first)
    assert kept(lake) == written
    # weights are no part of what is kept, the threshold of completion is
    heavier = LabelRule(name="heavier", version=1, weights=Weights(like=2.0))
    assert summed(lake, heavier).cells.sum_label.sum() > first.cells.sum_label.sum()
    assert kept(lake) == written
    summed(lake, LabelRule(name="patient", version=1, watch=Watch(completed_ratio=0.5)))
    assert len(kept(lake)) == 2 * len(written)


def test_what_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    first = summed(lake)
    for n, name in enumerate(kept(lake)):
        path = lake.storage.cache / "outcomes" / name
        path.write_bytes(path.read_bytes()[: -1 - n * 100])
    assert same(summed(lake), first)
    assert all(len((lake.storage.cache / "outcomes" / name).read_bytes()) > 1000 for name in kept(lake))


def test_a_clip_that_turns_out_longer_is_read_again_with_its_new_length(tmp_path: Path) -> None:
    rows = traffic()
    corrected = clip("c0-0", "p0", "m0", at(days=1), duration_ms=90_000)
    lake, fresh = lake_of(tmp_path / "a", rows), lake_of(tmp_path / "b", [*rows, corrected])
    before = summed(lake)
    lake.append("events", lake_of(tmp_path / "c", [corrected]).connect().sql("FROM events").to_arrow_table())
    after = summed(lake)
    assert same(after, summed(fresh))
    assert not same(after, before)


def test_a_clip_that_is_registered_later_counts_then(tmp_path: Path) -> None:
    rows = traffic()
    late = [one for one in rows if one["type"] == "clip_registered" and one["clip_id"] == "c1-1"]
    lake = lake_of(tmp_path / "a", [one for one in rows if one not in late])
    fewer = summed(lake).cells.impressions.sum()
    lake.append("events", lake_of(tmp_path / "b", late).connect().sql("FROM events").to_arrow_table())
    found = summed(lake)
    assert found.cells.impressions.sum() == fewer + 4
    assert same(found, summed(lake_of(tmp_path / "c", rows)))


def test_outcomes_that_are_too_recent_are_not_kept(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    some = summed(lake, WAITING, at(days=2.5))
    young = kept(lake)
    all_ = summed(lake, WAITING, at(days=5))
    assert some.cells.impressions.sum() < all_.cells.impressions.sum()
    assert len(young) < len(kept(lake)) == 1
    # asked for an earlier time, what is kept of a later one does not count
    assert same(summed(lake, WAITING, at(days=2.5)), some)


def test_each_tenant_has_its_own(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [*traffic(seed=1), *traffic(seed=2, tenant="other")])
    alone = summed(lake_of(tmp_path / "other", traffic(seed=2, tenant="other")), tenant="other")
    assert same(summed(lake, tenant="other"), alone)
    assert summed(lake).cells.impressions.sum() == 360


def test_revenue_counts_in_the_currency_of_the_rule(tmp_path: Path) -> None:
    rows: list[Row] = [clip("x"), clip("y")]
    for n, (money, currency) in enumerate([(2.0, "EUR"), (3.0, "EUR"), (50.0, "USD"), (None, "EUR")]):
        rows += [
            impression(f"i{n}", "x"),
            answer("converted", f"i{n}", f"v{n}", kind="purchase", value=money, currency=currency),
        ]
    euros = LabelRule(name="euros", version=1, weights=Weights(watch=0, purchase=0, revenue=1), currency="EUR")
    found = summed(lake_of(tmp_path, rows), euros)
    assert found.revenue.sum() == 5.0
    assert found.cells.sum_label.sum() == pytest.approx(5.0, abs=1e-5)


def test_purchases_that_do_not_count_do_not_choose_the_currency(tmp_path: Path) -> None:
    rows: list[Row] = [clip("x")]
    for n, (trust, money, currency) in enumerate([("token", 3.0, "EUR"), *[("none", 0.01, "XTS")] * 3]):
        rows += [
            impression(f"i{n}", "x", trust=trust),
            answer("converted", f"i{n}", f"v{n}", kind="purchase", value=money, currency=currency),
        ]
    assert summed(lake_of(tmp_path, rows)).revenue.sum() == 3.0


def test_what_is_kept_goes_with_the_outcomes_and_names_nobody(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [one | {"viewer_id": "viewer-7f3a"} if "viewer_id" in one else one for one in traffic()])
    train_once(lake, clock=clock)
    there = kept(lake)
    assert len(there) == 1
    folder = lake.storage.cache / "outcomes"
    assert not any(b"viewer-7f3a" in path.read_bytes() for path in folder.iterdir())
    first = lake.files("outcomes")[0]
    drop_kept(lake, [first])
    assert set(there) - set(kept(lake)) == {name for name in there if name.startswith(first.stem)}
    refresh_outcomes(lake, full=True)
    vacuum(lake, UpkeepSettings())
    assert kept(lake) == {}
    summed(lake)
    compact(lake, UpkeepSettings())
    train_once(lake, clock=clock)
    assert {name.rpartition("-")[0] for name in kept(lake)} == {path.stem for path in lake.files("outcomes")}


ANY_AGE = {"new_days": 0, "cohorts": CohortLimits(cohorts=0)}


@pytest.mark.parametrize(
    "limits",
    [
        ScreeningLimits(**ANY_AGE),
        ScreeningLimits(min_reactions=2, hours_a_day=1.0, group_clips=2, group_size=2, **ANY_AGE),
    ],
)
def test_viewers_are_screened_as_their_sums_in_sql_say(tmp_path: Path, limits: ScreeningLimits) -> None:
    world = build_world(WorldConfig(n_prompts=60, n_viewers=300, n_sessions=1_500, n_models=4, bots=12), 4)
    lake = lake_of(tmp_path, [])
    lake.append("events", world_events(world, simulate_log(world, 4)))
    refresh_outcomes(lake)
    with lake.connect() as con:
        load_clips(con, "default")
        found = Outcomes.read(con, lake, "default", (DEFAULT_RULE, NOW)).screened(limits).automated
        judged = f"reactions >= {limits.min_reactions} OR impressions >= {limits.everything_impressions}"
        viewers, sums = viewer_sums(con, "outcomes", judged)
    expected = [name for name, reason in zip(viewers, screen_viewers(sums, limits), strict=True) if reason]
    assert len(expected) >= 10
    assert found["viewer_id"].to_pylist() == expected
