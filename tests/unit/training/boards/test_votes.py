"""What people said ranks model versions as tier A, with intervals that hold, or not at all; nobody counts as many."""

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import pytest
import statsmodels.api as sm
from scipy.special import expit
from tests.support.event_rows import Row, at, events_table, row, vote
from tests.support.lakes import clock, lake_of, traffic
from tests.unit.training.boards.test_prompts import rows_of

from clapometer.lake.statements import sql
from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

WHOLE = Parameters(segments=())
TRUTH = np.array([0.8, 0.0, -0.8])
"""Log-odds of the clips by model version: the order that viewers show is the other way round."""
VOTES = "subject = 'model_versions' AND segment = 'evidence' AND segment_value = 'votes'"
CHANCE = {"explored": True, "propensity": 1 / 90, "candidates": 90, "surface": "feed"}
"""Of the impressions that are voted on: they leave the ranking by engagement in tier B."""


class Ballot(NamedTuple):
    """A vote on the clips of two model versions for a prompt."""

    prompt: int
    left: int
    right: int
    result: str
    viewer: str

    def rows(self, id_: str) -> list[Row]:
        clips = (f"c{self.prompt}-{self.left}", f"c{self.prompt}-{self.right}")
        return vote(id_, clips, self.result, self.viewer, at(), **CHANCE)


def ballots(n: int, prompts: int = 30, seed: int = 0, truth: np.ndarray = TRUTH, ties: float = 0.1) -> list[Ballot]:
    """Votes of as many viewers."""
    rng = random.Random(seed)
    made = []
    for k in range(n):
        prompt, (left, right) = rng.randrange(prompts), rng.sample(range(len(truth)), 2)
        tie, better = rng.random() < ties, "left" if rng.random() < expit(truth[left] - truth[right]) else "right"
        made.append(Ballot(prompt, left, right, "tie" if tie else better, f"voter {k}"))
    return made


def trained(folder: Path, cast: list[Ballot], clips: list[Row] | None = None) -> Lake:
    """Returns a lake in which people voted, with a ranking."""
    said = [line for k, ballot in enumerate(cast) for line in ballot.rows(f"b{k}")]
    lake = lake_of(folder, [*(clips or traffic()), *said])
    report = train_once(lake, clock=clock, parameters=WHOLE)
    assert report.run.status == "succeeded", report.run.error
    return lake


def by_name(lake: Lake) -> dict[str, Row]:
    return {place["item"]: place for place in rows_of(lake, "rankings_current", VOTES)}


def set_aside(lake: Lake) -> dict[str, Any]:
    (run,) = rows_of(lake, "runs", "true")
    return {reason: n for reason, n in json.loads(run["excluded"]).items() if reason.startswith("vote")}


def strengths(cast: list[Ballot]) -> np.ndarray:
    """Maximum likelihood by statsmodels, a tie being half a win; the left side has an advantage of its own."""
    design = np.zeros((len(cast), 4))
    for k, (_, left, right, _, _) in enumerate(cast):
        design[k, left], design[k, right], design[k, 3] = 1, -1, 1
    won = np.array([{"left": 1.0, "right": 0.0, "tie": 0.5}[one.result] for one in cast])
    found = sm.GLM(won, design[:, 1:], family=sm.families.Binomial()).fit(tol=1e-12).params
    effects = np.array([0.0, *found[:2]])
    return effects - effects.mean()


def test_votes_rank_model_versions_as_tier_a_whatever_viewers_did(tmp_path: Path) -> None:
    cast = ballots(600)
    lake = trained(tmp_path, cast)
    places = by_name(lake)
    assert sorted(places, key=lambda name: places[name]["rank"]) == ["m0@1", "m1@1", "m2@1"]
    assert {(place["tier"], place["calibrated"]) for place in places.values()} == {("A", True)}
    found = np.array([places[f"m{k}@1"]["effect"] for k in range(3)])
    np.testing.assert_allclose(found, strengths(cast), atol=2e-3)  # the advantage is shrunk a little
    assert [places[name]["verdict"] for name in ("m0@1", "m2@1")] == ["keep", "stop"]
    assert all(0 < place["value_low"] < place["value"] < place["value_high"] < 1 for place in places.values())
    assert sum(place["votes"] for place in places.values()) == 2 * len(cast)
    assert all(place["viewers"] == place["votes"] and place["impressions"] is None for place in places.values())
    pairs = [("m0@1", "m1@1"), ("m0@1", "m2@1"), ("m1@1", "m2@1")]
    contrasts = rows_of(lake, "contrasts", VOTES)
    assert {(each["left_item"], each["right_item"]) for each in contrasts} == set(pairs)
    assert all(each["tier"] == "A" and each["low"] < each["difference"] < each["high"] for each in contrasts)
    (viewed,) = rows_of(lake, "rankings_current", "subject = 'model_versions' AND segment = 'all' AND \"rank\" = 1")
    assert (viewed["item"], viewed["tier"]) == ("m2@1", "B")
    assert set_aside(lake) == {}


@pytest.mark.parametrize(
    ("cast", "reasons"),
    [
        (ballots(40, prompts=10), ["too few prompts"] * 3),
        ([one._replace(viewer=f"voter {k % 2}") for k, one in enumerate(ballots(400))], ["too few people"] * 3),
        (
            ballots(400, truth=np.array([40.0, 0.0, -40.0]), ties=0),
            ["never lost to", "leads from it to the others and back", "never won against"],
        ),
        (ballots(400, ties=1), ["all votes are ties"] * 3),
        ([one._replace(result="both_bad") for one in ballots(100)], ["both clips are bad"] * 3),
    ],
    ids=["few prompts", "few people", "a strict order", "only ties", "only bad"],
)
def test_votes_that_tell_too_little_give_a_reason_and_no_number(
    tmp_path: Path, cast: list[Ballot], reasons: list[str]
) -> None:
    lake = trained(tmp_path, cast)
    places = by_name(lake)
    assert set(places) == {"m0@1", "m1@1", "m2@1"}
    for k, reason in enumerate(reasons):
        assert reason in places[f"m{k}@1"]["unranked_reason"]
        assert places[f"m{k}@1"]["effect"] is None
    assert rows_of(lake, "contrasts", VOTES) == []


def newcomer(n: int, result: str) -> list[Ballot]:
    """Votes that compare a fourth model version, on the left, with the others."""
    return [Ballot(k % 30, 3, k % 3, result, f"newcomer's voter {k}") for k in range(n)]


@pytest.mark.parametrize(
    ("cast", "reason"),
    [
        (newcomer(3, "right"), "never won against"),
        (newcomer(60, "right"), "never won against"),
        (newcomer(60, "left"), "never lost to"),
        (newcomer(1, "left") + newcomer(3, "right")[1:], "too few prompts"),
        (newcomer(5, "tie"), "too few prompts"),
        (
            [one._replace(viewer="one") for one in newcomer(30, "left")[:15] + newcomer(30, "right")[15:]],
            "too few people",
        ),
        (newcomer(20, "both_bad"), "both clips are bad"),
    ],
    ids=["three lost", "always loses", "always wins", "one won, two lost", "five ties", "one voter", "only bad"],
)
def test_a_newcomer_that_votes_cannot_place_costs_the_others_nothing(
    tmp_path: Path, cast: list[Ballot], reason: str
) -> None:
    standing, clips = ballots(300), traffic(models=4)
    columns = "item, rank, rank_low, rank_high, effect, effect_low, effect_high, value, p_best, verdict, votes"
    found = []
    for folder, people in (("before", standing), ("after", standing + cast)):
        lake = trained(tmp_path / folder, people, clips)
        with lake.connect() as con:
            query = f"SELECT {columns} FROM rankings_current WHERE {VOTES} AND rank IS NOT NULL ORDER BY rank"
            found.append(con.sql(query).fetchall())
    assert found[0] == found[1]
    assert len(found[0]) == 3
    assert reason in by_name(lake)["m3@1"]["unranked_reason"]
    assert by_name(lake)["m3@1"]["rank"] is None


def test_a_preference_for_the_left_side_moves_nobody(tmp_path: Path) -> None:
    """A newcomer as good as the middle one is always on the left, where three of four votes go by themselves."""
    rng = random.Random(1)
    truth = np.append(TRUTH, 0.0)

    def vote_of(k: int, left: int, right: int) -> Ballot:
        better = rng.random() < expit(truth[left] - truth[right] + np.log(3))
        return Ballot(k % 30, left, right, "left" if better else "right", f"voter {k}")

    cast = [vote_of(k, *rng.sample(range(3), 2)) for k in range(400)]
    cast += [vote_of(k, 3, k % 3) for k in range(400, 700)]
    places = by_name(trained(tmp_path, cast, traffic(models=4)))
    assert [places[name]["rank"] for name in ("m0@1", "m2@1")] == [1, 4]
    assert places["m3@1"]["effect_low"] < 0 < places["m3@1"]["effect_high"]


def test_where_everybody_votes_left_there_are_still_strengths(tmp_path: Path) -> None:
    places = by_name(trained(tmp_path, [one._replace(result="left") for one in ballots(300)]))
    assert all(abs(place["effect"]) < 0.3 and place["verdict"] not in ("keep", "stop") for place in places.values())


def test_seventy_votes_of_one_viewer_do_not_make_the_last_the_first(tmp_path: Path) -> None:
    honest = ballots(200)
    bought = [Ballot(k % 30, 2, k // 30 % 2, "left", "buyer") for k in range(60)]
    bought += [Ballot(k, 0, 2, "right", "buyer") for k in range(10)]
    before, after = by_name(trained(tmp_path / "a", honest)), by_name(trained(tmp_path / "b", honest + bought))
    assert [after[f"m{k}@1"]["rank"] for k in range(3)] == [1, 2, 3]
    for name, place in before.items():
        assert abs(after[name]["effect"] - place["effect"]) < 0.15
    assert after["m2@1"]["verdict"] == "stop"


def test_of_a_viewer_and_a_pair_the_latest_vote_counts_whichever_side_is_left(tmp_path: Path) -> None:
    changed, *others = ballots(200)
    again = changed._replace(left=changed.right, right=changed.left, result="left")
    lake = trained(tmp_path, [again, changed, *others])
    assert set_aside(lake) == {"vote that a later one of the same viewer replaced": 1}
    assert sum(place["votes"] for place in by_name(lake).values()) == 400


ANOTHERS = Ballot(7, 2, 0, "left", "voter 0")


def test_votes_that_nobody_vouches_for_or_no_single_viewer_cast_do_not_count(tmp_path: Path) -> None:
    good = [line for k, ballot in enumerate(ballots(200)) for line in ballot.rows(f"b{k}")]
    forged = [line | {"trust": "forged"} for k in range(3) for line in Ballot(k, 2, 0, "left", "f").rows(f"f{k}")]
    mixed = [Ballot(5, 2, 1, "left", viewer).rows(f"x {viewer}") for viewer in ("one", "two")]
    ids = {"left_impression_id": "x one left", "right_impression_id": "x two right"}
    two = [*mixed[0][:2], *mixed[1][:2], row("voted", "of two", at(60), result="left", **ids)]
    unseen = [row("voted", "of nothing", at(60), result="left", left_impression_id="a", right_impression_id="b")]
    known = [line | {"trust": "unvouched"} if line["type"] == "voted" else line for line in ANOTHERS.rows("ids known")]
    lake = lake_of(tmp_path, [*traffic(), *good, *forged, *two, *unseen, *known])
    train_once(lake, clock=clock, parameters=WHOLE)
    assert set_aside(lake) == {
        "vote on an untrusted impression": 4,
        "vote on impressions of two viewers": 1,
        "vote that does not quote the tokens of its impressions": 1,
    }
    assert sum(place["votes"] for place in by_name(lake).values()) == 400


@pytest.mark.parametrize("right", ["b0 left", "again"])
def test_a_vote_between_a_clip_and_itself_does_not_count_and_has_its_reason(tmp_path: Path, right: str) -> None:
    good = [line for k, ballot in enumerate(ballots(200)) for line in ballot.rows(f"b{k}")]
    again = [line | {"id": "show again", "impression_id": "again"} for line in good[:1]]
    ids = {"left_impression_id": "b0 left", "right_impression_id": right}
    lake = lake_of(tmp_path, [*traffic(), *good, *again, row("voted", "on itself", at(60), result="left", **ids)])
    train_once(lake, clock=clock, parameters=WHOLE)
    assert set_aside(lake) == {"vote on clips of two prompts, or on one clip": 1}
    assert sum(place["votes"] for place in by_name(lake).values()) == 400


def test_pair_labels_count_a_viewer_once(tmp_path: Path) -> None:
    many = [Ballot(0, 0, 1, "left", "one") for _ in range(30)]
    lake = trained(tmp_path, many)
    (label,) = rows_of(lake, "comparisons", "tier = 'A'")
    assert label["left_impressions"] == 1
    assert label["p_left"] == pytest.approx(0.75)


def test_without_a_vote_there_is_no_ranking_by_votes(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=WHOLE)
    assert by_name(lake) == {}


def test_the_latest_vote_of_a_viewer_is_the_one_cast_last_by_the_viewers_own_clock() -> None:
    votes = [
        row("voted", result, at(received), left_impression_id="a", right_impression_id="b", result=result)
        | {"client_time": at(cast)}
        for result, cast, received in (("left", 0, 30), ("right", 9, 10), ("tie", 5, 6))
    ]
    with duckdb.connect() as con:
        con.register("events", events_table(votes))
        con.execute(
            "CREATE TABLE outcomes AS SELECT 'default' AS tenant, unnest(['a', 'b']) AS impression_id, "
            "unnest(['c1', 'c2']) AS clip_id, 'v' AS viewer_id, 'key' AS trust"
        )
        con.execute(
            "CREATE TABLE registered AS "
            "SELECT unnest([0, 1]) AS clip, unnest(['c1', 'c2']) AS clip_id, '' AS creator_id"
        )
        con.execute("CREATE TABLE automated (viewer_id VARCHAR)")
        found = con.sql(sql("training/sql/said.sql"), params={"tenant": "default"}).to_arrow_table()
    assert found["result"].to_pylist() == [0.0, 0.5, 1.0]
