"""What people said ranks model versions as tier A, with intervals that hold, or not at all."""

import random
from pathlib import Path

import choix
import numpy as np
import pytest
from scipy.special import expit
from tests.event_rows import Row, at, row
from tests.unit.jobs.lakes import clock, lake_of, traffic
from tests.unit.jobs.test_prompts import rows_of

from clapometer.jobs.rankings import Parameters
from clapometer.jobs.train import train_once

WHOLE = Parameters(segments=())
TRUTH = np.array([0.8, 0.0, -0.8])
"""Log-odds of the clips by model version: the order that viewers show is the other way round."""
VOTES = "subject = 'model_versions' AND segment = 'evidence' AND segment_value = 'votes'"


def votes(n: int, prompts: int = 30, seed: int = 0, truth: np.ndarray = TRUTH) -> list[Row]:
    rng = random.Random(seed)
    made = []
    for k in range(n):
        prompt, (left, right) = rng.randrange(prompts), rng.sample(range(len(truth)), 2)
        result = (
            "tie" if rng.random() < 0.1 else "left" if rng.random() < expit(truth[left] - truth[right]) else "right"
        )
        ids = {"left_impression_id": f"i-c{prompt}-{left}-0", "right_impression_id": f"i-c{prompt}-{right}-0"}
        made.append(row("voted", f"v{k}", at(), result=result, **ids))
    return made


def strengths(cast: list[Row]) -> np.ndarray:
    """Maximum likelihood by choix, a tie being half a win for either: every comparison counts twice."""
    wins = []
    for vote in cast:
        left, right = (int(vote[f"{side}_impression_id"].split("-")[2]) for side in ("left", "right"))
        wins += {"left": [(left, right)] * 2, "right": [(right, left)] * 2, "tie": [(left, right), (right, left)]}[
            vote["result"]
        ]
    return choix.opt_pairwise(3, wins)


def test_votes_rank_model_versions_as_tier_a_whatever_viewers_did(tmp_path: Path) -> None:
    cast = votes(600)
    lake = lake_of(tmp_path, [*traffic(), *cast])
    train_once(lake, clock=clock, parameters=WHOLE)
    places = rows_of(lake, "rankings_current", VOTES)
    by_name = {place["item"]: place for place in places}
    assert sorted(by_name, key=lambda name: by_name[name]["rank"]) == ["m0@1", "m1@1", "m2@1"]
    assert {(place["tier"], place["calibrated"]) for place in places} == {("A", True)}
    found = np.array([by_name[f"m{k}@1"]["effect"] for k in range(3)])
    np.testing.assert_allclose(found, strengths(cast) - strengths(cast).mean(), atol=1e-5)
    assert [by_name[name]["verdict"] for name in ("m0@1", "m2@1")] == ["keep", "stop"]
    assert all(0 < place["value_low"] < place["value"] < place["value_high"] < 1 for place in places)
    pairs = [("m0@1", "m1@1"), ("m0@1", "m2@1"), ("m1@1", "m2@1")]
    contrasts = rows_of(lake, "contrasts", VOTES)
    assert {(each["left_item"], each["right_item"]) for each in contrasts} == set(pairs)
    assert all(each["tier"] == "A" and each["low"] < each["difference"] < each["high"] for each in contrasts)
    (viewed,) = rows_of(lake, "rankings_current", "subject = 'model_versions' AND segment = 'all' AND \"rank\" = 1")
    assert (viewed["item"], viewed["tier"]) == ("m2@1", "B")


STRICT = [vote for vote in votes(400, truth=np.array([40.0, 0.0, -40.0])) if vote["result"] != "tie"]


@pytest.mark.parametrize(
    ("cast", "reasons"),
    [
        (votes(40, prompts=10), ["too few prompts"] * 3),
        (STRICT, ["never lost to", "leads from it to the others and back", "never won against"]),
        ([vote | {"result": "tie"} for vote in votes(400)], ["all votes are ties"] * 3),
    ],
    ids=["few prompts", "a strict order", "only ties"],
)
def test_votes_that_tell_too_little_give_a_reason_and_no_number(
    tmp_path: Path, cast: list[Row], reasons: list[str]
) -> None:
    lake = lake_of(tmp_path, [*traffic(), *cast])
    train_once(lake, clock=clock, parameters=WHOLE)
    places = {place["item"]: place for place in rows_of(lake, "rankings_current", VOTES)}
    assert set(places) == {"m0@1", "m1@1", "m2@1"}
    for k, reason in enumerate(reasons):
        assert reason in places[f"m{k}@1"]["unranked_reason"]
        assert places[f"m{k}@1"]["effect"] is None
    assert rows_of(lake, "contrasts", VOTES) == []


def against(newcomer: int, n: int, result: str) -> list[Row]:
    """Votes that compare a newcomer, on the left, with the others."""
    return [
        row(
            "voted", f"new{newcomer}-{k}", at(), result=result,
            left_impression_id=f"i-c{k % 30}-{newcomer}-0", right_impression_id=f"i-c{k % 30}-{k % 3}-0",
        )
        for k in range(n)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("cast", "reason"),
    [
        (against(3, 3, "right"), "never won against"),
        (against(3, 60, "right"), "never won against"),
        (against(3, 60, "left"), "never lost to"),
        (against(3, 1, "left") + against(3, 3, "right")[1:], "too few prompts"),
        (against(3, 5, "tie"), "too few prompts"),
    ],
    ids=["three lost votes", "always loses", "always wins", "one won, two lost", "five ties"],
)
def test_a_newcomer_that_votes_cannot_place_costs_the_others_nothing(
    tmp_path: Path, cast: list[Row], reason: str
) -> None:
    standing, clips = votes(540), traffic(models=4)
    columns = "item, rank, rank_low, rank_high, effect, effect_low, effect_high, value, p_best, verdict"
    found = []
    for folder, rows in (("before", standing), ("after", standing + cast)):
        lake = lake_of(tmp_path / folder, [*clips, *rows])
        train_once(lake, clock=clock, parameters=WHOLE)
        with lake.connect() as con:
            query = f"SELECT {columns} FROM rankings_current WHERE {VOTES} AND rank IS NOT NULL ORDER BY rank"
            found.append(con.sql(query).fetchall())
    assert found[0] == found[1]
    (new,) = rows_of(lake, "rankings_current", f"{VOTES} AND item = 'm3@1'")
    assert reason in new["unranked_reason"]
    assert new["rank"] is None


def test_without_a_vote_there_is_no_ranking_by_votes(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=WHOLE)
    assert rows_of(lake, "rankings_current", VOTES) == []
