"""Files of outcomes are as many as their rows need, not as there are days."""

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from tests.support.event_rows import Row, answer, at, clip, events_table, impression
from tests.support.lakes import NOW, lake_of

from clapometer.folding.files import FEW, MOST_SMALL
from clapometer.folding.fold import refresh_outcomes
from clapometer.labels import DEFAULT_RULE
from clapometer.lake.tables import Lake
from clapometer.training.evidence.clips import load_clips
from clapometer.training.evidence.outcomes import Outcomes
from clapometer.training.evidence.screening import Scored, Screening
from clapometer.upkeep.merge import UpkeepSettings, compact

DAYS = 1_500


def a_day_each(name: str, days: int = DAYS, trust: str = "token", since: int = 0) -> list[Row]:
    return [
        impression(f"{name}{day}", "x", at(days=-day), trust=trust, event=f"{name}{day}", received_at=at())
        for day in range(since, since + days)
    ]


def files(lake: Lake) -> list[tuple[str | None, int]]:
    """Partition and rows of every file of outcomes."""
    table = lake.table("outcomes")
    table.refresh()
    return sorted(((file.partition["shown_date"], file.rows) for file in table.files()), key=str)


def scored(lake: Lake) -> tuple[Scored, int]:
    """What counts, and how many files were read for it."""
    with lake.connect() as con:
        load_clips(con, "default")
        outcomes = Outcomes.read(con, lake, "default", (DEFAULT_RULE, NOW))
        return outcomes.scored(Screening()).summary, len(outcomes.files)


def test_many_days_with_few_outcomes_are_one_query_and_one_file(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, a_day_each("i"))
    told: list[int] = []
    report = refresh_outcomes(lake, progress=lambda _, done, __: told.append(done))
    assert (len(report.dates), report.rows) == (DAYS, DAYS)
    assert told == [0, DAYS]
    assert files(lake) == [(None, DAYS)]
    with lake.connect() as con:
        right = "shown_date = CAST(shown_at AT TIME ZONE 'UTC' AS DATE)"
        assert con.sql(f"SELECT count(DISTINCT shown_date), bool_and({right}) FROM outcomes").fetchall() == [
            (DAYS, True)
        ]


def test_what_nobody_vouches_for_is_shown_and_counted_and_no_training_reads_it(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [clip("x"), *a_day_each("i", 3)])
    refresh_outcomes(lake)
    alone, read = scored(lake)
    lake.append("events", events_table(a_day_each("u", trust="none")))
    refresh_outcomes(lake)
    found, read_then = scored(lake)
    assert (alone.excluded, alone.outcomes) == ({}, 3)
    assert (found.excluded, found.outcomes) == ({"untrusted impression": DAYS}, 3 + DAYS)
    assert (read, read_then, found.first_day) == (1, 1, alone.first_day)
    assert [path.name for path in (lake.storage.cache / "outcomes").iterdir() if "weightless" in path.name] == []
    with lake.connect() as con:
        shown = con.sql("SELECT trust, count(*) FROM outcomes GROUP BY ALL ORDER BY ALL").fetchall()
    assert shown == [("none", DAYS), ("token", 3)]


def test_a_day_with_many_outcomes_has_a_file_in_its_partition_and_the_others_share_one(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, a_day_each("i", 4))
    with lake.connect() as con:
        again = "'m' || i AS id, 'm' || i AS impression_id, i AS event_key"
        many = f"SELECT * REPLACE ({again}) FROM events, range({FEW}) r(i)"
        rows = con.sql(
            f"SELECT * EXCLUDE (i) FROM ({many}) WHERE time = (SELECT max(time) FROM events)"
        ).to_arrow_table()
    lake.append("events", rows)
    refresh_outcomes(lake)
    day = at().date()
    assert files(lake) == [(str(day), FEW + 1), (None, 3)]
    # what is folded again of either leaves the other where it was
    lake.append("events", events_table([answer("reacted", "i2", "r", reaction="like")]))
    before = lake.files("outcomes")
    assert refresh_outcomes(lake).dates == (day - dt.timedelta(days=2),)
    assert files(lake) == [(str(day), FEW + 1), (None, 3)]
    assert len(set(before) & set(lake.files("outcomes"))) == 1
    with lake.connect() as con:
        one_day = f"SELECT count(*) FROM outcomes WHERE shown_date = DATE '{day}'"
        assert con.sql(one_day).fetchall() == [(FEW + 1,)]


def test_days_that_come_one_by_one_do_not_add_up_to_a_file_each(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    for day in range(3 * MOST_SMALL):
        lake.append("events", events_table(a_day_each("i", 1, since=day)))
        refresh_outcomes(lake)
        assert len(files(lake)) <= MOST_SMALL
    assert sum(rows for _, rows in files(lake)) == 3 * MOST_SMALL
    # upkeep leaves them alone: what is copied for each fold is to stay small
    before = files(lake)
    compact(lake, UpkeepSettings())
    assert files(lake) == before


@pytest.mark.parametrize(("trust", "days"), [("token", 0), ("key", 0), ("none", 1), ("forged", 1)])
def test_an_answer_that_nobody_vouches_for_folds_no_impression_again_that_counts(
    tmp_path: Path, trust: str, days: int
) -> None:
    lake = lake_of(tmp_path, a_day_each("i", 3, trust=trust))
    refresh_outcomes(lake)
    cheap = [answer("reacted", "i1", "r", reaction="like", trust="unvouched")]
    cheap.append(answer("watched", "i1", "w", watched_ms=900, trust="unvouched"))
    lake.append("events", events_table(cheap))
    assert len(refresh_outcomes(lake).dates) == days
    lake.append("events", events_table([answer("reacted", "i1", "known", reaction="like", trust="key")]))
    assert len(refresh_outcomes(lake).dates) == 1


def test_a_training_counts_the_days_of_a_shared_file_one_by_one(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [clip("x"), *a_day_each("i", 5), *a_day_each("j", 2)])
    refresh_outcomes(lake)
    with lake.connect() as con:
        load_clips(con, "default")
        outcomes = Outcomes.read(con, lake, "default", (DEFAULT_RULE, NOW)).screened(None)
        assert outcomes.automated.num_rows == 0
        cells = outcomes.scored(Screening()).cells("C", {})[0].cells
    shown = np.bincount(cells.day, cells.impressions)
    assert shown.tolist() == [1, 1, 1, 2, 2]
