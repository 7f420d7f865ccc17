"""Training leaves out who is too new, and accounts that came together and push one version; and says so."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow.compute as pc
import pytest
from tests.support.lakes import NOW, clock, lake_of
from tests.support.worlds import world_events

from clapometer.domain import Exclusion
from clapometer.folding.fold import refresh_outcomes
from clapometer.labels import DEFAULT_RULE, ScreeningLimits
from clapometer.lake.tables import Lake
from clapometer.simulation import Adversary, EngagementLog, WorldConfig, build_world, simulate_log, with_adversary
from clapometer.training.evidence.clips import load_clips
from clapometer.training.evidence.outcomes import Outcomes
from clapometer.training.train import train_once

WORLD = build_world(
    WorldConfig(n_models=4, n_prompts=80, n_viewers=500, n_sessions=1_800, n_days=20, bots=0, drift=False), 3
)
NEW, COHORT = Exclusion.NEW.number, Exclusion.COHORT.number


def screened(path: Path, log: EngagementLog, limits: ScreeningLimits | None = None) -> dict[int, int]:
    """How many viewers were left out for each reason of age."""
    lake = lake_of(path, [])
    lake.append("events", world_events(WORLD, log))
    refresh_outcomes(lake)
    with lake.connect() as con:
        load_clips(con, "default")
        found = Outcomes.read(con, lake, "default", (DEFAULT_RULE, NOW)).screened(limits or ScreeningLimits()).automated
    return {reason: pc.sum(pc.equal(found["reason"], reason)).as_py() or 0 for reason in (NEW, COHORT)}


@pytest.fixture(scope="module")
def people() -> EngagementLog:
    return simulate_log(WORLD, 8)


def test_people_count_but_for_those_who_came_in_the_last_three_days(tmp_path: Path, people: EngagementLog) -> None:
    first = np.full(int(people.viewer.max()) + 1, 99)
    np.minimum.at(first, people.viewer, people.day)
    last = int(people.day.max())
    new = np.unique(people.viewer[first[people.viewer] > last - 3])
    assert screened(tmp_path, people) == {NEW: len(new), COHORT: 0}


def test_accounts_of_today_do_not_count_today(tmp_path: Path, people: EngagementLog) -> None:
    attacked = with_adversary(WORLD, people, Adversary(came=(0.95, 0.95), active=1, each=20), 0, 1)
    accounts = len(np.unique(attacked.viewer[attacked.bot]))
    assert screened(tmp_path, attacked)[NEW] >= accounts


def test_accounts_that_came_together_are_left_out_whatever_they_mimic(tmp_path: Path, people: EngagementLog) -> None:
    target = int(np.bincount(WORLD.clips.model[people.clip]).argmax())
    attacked = with_adversary(WORLD, people, Adversary(came=(0.5, 0.5), share=0.08, each=12, praise=1.0), target, 1)
    accounts = len(np.unique(attacked.viewer[attacked.bot]))
    assert screened(tmp_path, attacked)[COHORT] >= accounts


def test_what_waits_is_in_the_views_with_its_reason(tmp_path: Path, people: EngagementLog) -> None:
    lake: Lake = lake_of(tmp_path, [])
    lake.append("events", world_events(WORLD, people))
    run = train_once(lake, clock=clock).run
    reason = str(Exclusion.NEW)
    with duckdb.connect(str(tmp_path / "clapometer.duckdb"), read_only=True) as con:
        found = con.execute("SELECT count(*) FROM excluded_outcomes WHERE excluded_reason = ?", [reason]).fetchall()
    assert run.excluded[reason] == found[0][0] > 0
