"""Refreshing outcomes: little by little, or all at once, the same table."""

import random
from pathlib import Path

import pyarrow as pa
import pytest
from tests.support.event_rows import Row, answer, at, events_table, impression

from clapometer.folding.fold import refresh_outcomes
from clapometer.lake.tables import Lake


def outcomes(lake: Lake) -> pa.Table:
    with lake.connect() as con:
        return con.sql("SELECT * FROM outcomes ORDER BY tenant, impression_id").to_arrow_table()


def days_of_traffic(seed: int, n: int = 120) -> list[Row]:
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        time = at(days=rng.randrange(6), seconds=rng.randrange(3_000))
        trust = rng.choice(["token", "token", "none"])
        rows.append(impression(f"i{rng.randrange(n // 2)}", f"c{i % 7}", time, event=f"show {i}", trust=trust))
        about = f"i{rng.randrange(n // 2)}"
        late = at(days=rng.randrange(9), seconds=rng.randrange(3_000))
        rows.append(answer("watched", about, f"w{i}", late, watched_ms=rng.randrange(9_000)))
        rows.append(answer("reacted", about, f"r{i}", late, reaction="like", undone=rng.random() < 0.3))
        paid = {"value": float(rng.randrange(9)), "currency": "EUR", "order_id": f"o{rng.randrange(n // 4)}"}
        kind = rng.choice(["purchase", "purchase", "refund"])
        rows.append(answer("converted", about, f"c{i}", late, kind=kind, **paid))
    rng.shuffle(rows)
    return rows


def test_an_empty_lake_has_no_outcomes(tmp_path: Path) -> None:
    report = refresh_outcomes(Lake(tmp_path))
    assert (report.rows, report.dates) == (0, ())


@pytest.mark.parametrize("seed", range(2))
def test_refreshing_after_every_batch_equals_folding_everything_at_once(tmp_path: Path, seed: int) -> None:
    rows = days_of_traffic(seed)
    lake, whole = Lake(tmp_path / "parts"), Lake(tmp_path / "whole")
    for start in range(0, len(rows), 60):
        lake.append("events", events_table(rows[start : start + 60]))
        refresh_outcomes(lake, days_at_once=2, rows_at_once=20)
    whole.append("events", events_table(rows))
    refresh_outcomes(whole)
    assert outcomes(lake).num_rows > 30
    assert outcomes(lake).equals(outcomes(whole))


def test_only_the_days_that_new_events_are_about_are_folded_again(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("events", events_table([impression(f"i{day}", time=at(days=day)) for day in range(5)]))
    assert len(refresh_outcomes(lake).dates) == 5
    lake.append("events", events_table([answer("reacted", "i2", "r", at(days=4), reaction="like")]))
    report = refresh_outcomes(lake)
    assert report.dates == (at(days=2).date(),)
    assert refresh_outcomes(lake).dates == ()
    assert sum(outcomes(lake)["liked"].to_pylist()) == 1


def test_an_order_that_a_later_impression_claims_is_taken_from_the_earlier_one_on_another_day(tmp_path: Path) -> None:
    def paid(impression_id: str, id_: str) -> Row:
        values = {"kind": "purchase", "value": 5.0, "currency": "EUR", "order_id": "o"}
        return answer("converted", impression_id, id_, at(days=3), **values)

    lake = Lake(tmp_path)
    lake.append("events", events_table([impression("early"), impression("late", time=at(days=2)), paid("early", "a")]))
    refresh_outcomes(lake)
    assert outcomes(lake)["revenue"].to_pylist() == [5.0, None]
    lake.append("events", events_table([paid("late", "b")]))
    assert len(refresh_outcomes(lake).dates) == 2
    assert outcomes(lake)["revenue"].to_pylist() == [None, 5.0]


def test_engagement_that_came_before_its_impression_is_joined_when_that_arrives(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("events", events_table([answer("reacted", "i", "r", reaction="like")]))
    assert refresh_outcomes(lake).rows == 0
    lake.append("events", events_table([impression("i")]))
    refresh_outcomes(lake)
    assert outcomes(lake)["liked"].to_pylist() == [True]


def test_a_replay_on_a_later_day_changes_nothing_in_a_later_refresh_either(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("events", events_table([impression("i", "true")]))
    refresh_outcomes(lake)
    lake.append("events", events_table([impression("i", "replayed", at(days=3), event="again")]))
    refresh_outcomes(lake)
    lake.append("events", events_table([impression("other", "c", at(days=3))]))
    refresh_outcomes(lake)
    assert outcomes(lake)["clip_id"].to_pylist() == ["true", "c"]


def test_moving_rows_to_another_file_folds_nothing_again_and_erasing_them_does(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    rows = [impression("a"), impression("b", time=at(days=1))]
    for one in rows:
        lake.append("events", events_table([one]))
    refresh_outcomes(lake)
    lake.overwrite_partitions("events", events_table(rows), None)
    assert refresh_outcomes(lake).dates == ()
    lake.overwrite_partitions("events", events_table(rows[:1]), None)
    assert refresh_outcomes(lake).dates == (at(days=1).date(),)
    assert outcomes(lake)["impression_id"].to_pylist() == ["a"]
