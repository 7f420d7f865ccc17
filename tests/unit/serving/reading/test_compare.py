"""``GET /v1/compare`` and the difference behind it."""

import math
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import pytest
from tests.unit.serving.running import Serving
from tests.unit.serving.sample_lake import Item, add, contrast_row, ranking_rows, run_row

from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.serving import RankingQuery
from clapometer.serving.reading.compare import compare

LEFT, RIGHT = "kite@3.1", "aurora@2"


@pytest.mark.parametrize(
    ("query", "status", "reason"),
    [
        ("left=kite@3.1", 422, "name an item"),
        ("right=kite@3.1", 422, "name an item"),
        ("left=&right=kite@3.1", 422, "name an item"),
        ("left=kite@3.1&right=kite@3.1", 422, "same item"),
        ("left=kite@3.1&right=aurora@2&subject=clips", 422, "one of model_versions"),
        ("left=kite@3.1&right=aurora@2&by=task", 422, "unknown parameter"),
        ("left=kite@3.1&right=nobody", 404, "has no item 'nobody'"),
        ("left=kite@3.1&right=aurora@2&task=t2v", 404, "with task 't2v' has no item 'kite@3.1'"),
        ("left=kite@3.1&right=aurora@2&run=gone", 404, "successful run"),
    ],
)
def test_a_comparison_that_cannot_be_asked_is_refused(serving: Serving, query: str, status: int, reason: str) -> None:
    answer = serving.get(f"/v1/compare?{query}")
    assert answer.status_code == status
    assert reason in answer.json()["detail"]


def test_a_pair_of_the_run_has_the_joint_interval(serving: Serving) -> None:
    found = serving.get(f"/v1/compare?left={LEFT}&right={RIGHT}").json()
    assert (found["difference"], found["p_left"], found["method"]) == (0.039, 0.999, "joint")
    assert (found["low"], found["high"]) == (pytest.approx(0.028), pytest.approx(0.05))
    assert (found["always_low"], found["always_high"]) == (pytest.approx(0.0214), pytest.approx(0.0566))
    assert (found["left"]["item"], found["right"]["item"], found["comparable"]) == (LEFT, RIGHT, True)


def test_the_other_way_round_everything_is_its_negative(serving: Serving) -> None:
    found = serving.get(f"/v1/compare?left={RIGHT}&right={LEFT}").json()
    assert found["difference"] == -0.039
    assert (found["low"], found["high"]) == (pytest.approx(-0.05), pytest.approx(-0.028))
    assert (found["always_low"], found["always_high"]) == (pytest.approx(-0.0566), pytest.approx(-0.0214))
    assert found["p_left"] == pytest.approx(0.001)


def test_prompts_are_compared_by_their_intervals_and_the_answer_says_so(serving: Serving) -> None:
    best, worst = (serving.get("/v1/rankings/prompts").json()["rows"][i] for i in (0, 39))
    found = serving.get(f"/v1/compare?subject=prompts&left={best['item']}&right={worst['item']}").json()
    assert found["method"] == "from_intervals"
    assert "Approximate" in found["notes"][-1]
    assert found["difference"] == pytest.approx(best["effect"] - worst["effect"])
    # Two intervals of ±0.05 give one of ±0.05·√2.
    assert found["high"] - found["difference"] == pytest.approx(0.05 * math.sqrt(2))
    error = 0.05 * math.sqrt(2) / NormalDist().inv_cdf(0.975)
    assert found["p_left"] == pytest.approx(NormalDist(0, error).cdf(found["difference"]))


def test_what_has_no_place_cannot_be_compared_and_the_answer_says_why(serving: Serving) -> None:
    found = serving.get(f"/v1/compare?left={LEFT}&right=pixel@2").json()
    assert (found["comparable"], found["difference"], found["p_left"]) == (False, None, None)
    assert found["reason"] == "pixel@2 is not ranked: it shares too few prompts with other items"
    assert found["left"]["rank"] == 1


def test_a_segment_has_comparisons_of_its_own(serving: Serving) -> None:
    found = serving.get("/v1/compare?left=aurora@2&right=kite@2.5&task=i2v").json()
    assert (found["segment"], found["segment_value"], found["method"]) == ("task", "i2v", "from_intervals")


def one_pair(root: Path, left: Item, right: Item, p_left: float | None = None) -> Lake:
    lake = Lake(root)
    add(lake, "rankings", ranking_rows("r", "model_versions", [left, right]))
    add(lake, "runs", [run_row("r")])
    if p_left is not None or left.half == 0:
        difference = left.effect - right.effect
        add(lake, "contrasts", [contrast_row("r", left.item, right.item, difference=difference, half=0, p_left=p_left)])
    return lake


def test_a_probability_that_the_run_left_out_stays_out(tmp_path: Path) -> None:
    lake = one_pair(tmp_path / "lake", Item("a", 0.1, 0.0), Item("b", 0.0, 0.0))
    with lake.connect() as connection:
        for left, right in (("a", "b"), ("b", "a")):
            assert compare(connection, "default", RankingQuery(limit=2), left, right).p_left is None


def test_equal_items_are_a_toss_up(tmp_path: Path) -> None:
    lake = one_pair(tmp_path / "lake", Item("a", 0.1, 0.02), Item("b", 0.1, 0.02))
    with lake.connect() as connection:
        found = compare(connection, "default", RankingQuery(limit=2), "a", "b")
    assert (found.difference, found.p_left) == (0.0, 0.5)


def test_a_name_with_a_quote_in_it_is_only_a_name(tmp_path: Path, start: Callable[..., Serving]) -> None:
    names = ("a'; DROP VIEW rankings; --@1", 'b"@2')
    lake = one_pair(tmp_path / "lake", Item(names[0], 0.1), Item(names[1], 0.2))
    publish(lake)
    server = start(lake.storage.published)
    answer = server.http.get("/v1/compare", params={"left": names[0], "right": names[1]})
    assert answer.json()["left"]["item"] == names[0]
    assert server.get("/v1/rankings/model_versions").json()["total_ranked"] == 2
