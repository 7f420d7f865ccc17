"""Prompts, templates and pairs of clips: shrunken values with intervals, and labels that say where they come from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr
from tests.support.event_rows import Row, at, row
from tests.support.lakes import clock, lake_of, traffic
from tests.support.worlds import world_events

from clapometer.audit.run import opened
from clapometer.lake.tables import Lake
from clapometer.simulation import WorldConfig, build_world, compute_truth, fit_label, simulate_log
from clapometer.training.boards.prompts import FittedPrompts, fit_prompts, rank_prompts
from clapometer.training.parameters import Parameters
from clapometer.training.reading import UNLIMITED
from clapometer.training.train import train_once

WHOLE = Parameters(segments=())


def rows_of(lake: Lake, table: str, where: str = "true") -> list[dict[str, Any]]:
    with lake.connect() as con:
        return list(con.sql(f"SELECT * FROM {table} WHERE {where} ORDER BY ALL").to_arrow_table().to_pylist())


def with_templates(rows: list[Row]) -> list[Row]:
    for one in rows:
        if one["type"] == "clip_registered":
            one["template_id"], one["template_version"] = f"t{int(one['prompt_id'][1:]) % 3}", "2"
    return rows


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, float], dict[str, float]]:
    config = WorldConfig(n_prompts=600, n_viewers=6_000, n_sessions=12_000, n_models=6, bots=0)
    world = build_world(config, 3)
    lake = Lake(tmp_path_factory.mktemp("world"))
    lake.append("events", world_events(world, simulate_log(world, 3)))
    report = train_once(lake, clock=clock, parameters=WHOLE)
    assert report.run.status == "succeeded", report.run.error
    truth = compute_truth(world, fit_label(world))
    models = {f"model@{i}": value for i, value in enumerate(truth.models.tolist())}
    return lake, models, {f"p{i}": value for i, value in enumerate(truth.prompts.tolist())}


def test_a_simulated_world_is_ranked_as_it_is(simulated: tuple[Lake, dict[str, float], dict[str, float]]) -> None:
    lake, models, prompts = simulated
    for subject, truth, measure, least in (
        ("model_versions", models, kendalltau, 0.6),
        ("prompts", prompts, spearmanr, 0.5),
    ):
        places = rows_of(lake, "rankings_current", f"subject = '{subject}' AND rank IS NOT NULL")
        found = [(line["value"], truth[line["item"]]) for line in places]
        assert measure(*zip(*found, strict=True))[0] >= least, subject


def test_intervals_of_prompts_cover_their_order(simulated: tuple[Lake, dict[str, float], dict[str, float]]) -> None:
    lake, _, truth = simulated
    places = rows_of(lake, "rankings_current", "subject = 'prompts' AND rank IS NOT NULL")
    theirs = np.array([truth[line["item"]] for line in places])
    theirs -= theirs.mean()
    covered = [line["effect_low"] <= value <= line["effect_high"] for line, value in zip(places, theirs, strict=True)]
    assert np.mean(covered) >= 0.8
    assert all(line["rank_low"] <= line["rank"] <= line["rank_high"] for line in places)
    assert sum(line["p_best"] for line in places) == pytest.approx(1)


def test_templates_are_ranked_and_every_pair_of_them_is_contrasted(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, with_templates(traffic(prompts=60)))
    train_once(lake, clock=clock, parameters=WHOLE)
    places = rows_of(lake, "rankings_current", "subject = 'templates'")
    assert {line["item"] for line in places} == {"t0@2", "t1@2", "t2@2"}
    ranked = [line for line in places if line["rank"] is not None]
    assert len(rows_of(lake, "contrasts", "subject = 'templates'")) == len(ranked) * (len(ranked) - 1) // 2
    assert all(line["unranked_reason"] and line["value"] is None for line in places if line["rank"] is None)


def test_prompts_show_their_text_and_their_counts(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=WHOLE)
    (place,) = rows_of(lake, "rankings_current", "subject = 'prompts' AND item = 'p7'")
    assert (place["label"], place["impressions"], place["clips"], place["prompts"]) == ("text of p7", 12, 3, 1)


def test_pairs_of_clips_of_one_prompt_get_labels_with_their_tier(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=WHOLE)
    pairs = rows_of(lake, "comparisons")
    assert len(pairs) == 30 * 3
    assert {pair["tier"] for pair in pairs} == {"B"}
    for pair in pairs:
        assert 0 <= pair["p_left"] <= 1
        assert pair["left_clip_id"].split("-")[0] == pair["right_clip_id"].split("-")[0] == "c" + pair["prompt_id"][1:]
    better = [pair for pair in pairs if {pair["left_clip_id"][-1], pair["right_clip_id"][-1]} == {"0", "2"}]
    upper = [pair["p_left"] if pair["left_clip_id"].endswith("2") else 1 - pair["p_left"] for pair in better]
    assert np.mean(upper) > 0.6


def test_what_people_said_replaces_what_their_viewers_did(tmp_path: Path) -> None:
    said = [
        row("voted", "v1", at(), left_impression_id="i-c0-0-0", right_impression_id="i-c0-1-0", result="left"),
        row("voted", "v2", at(), left_impression_id="i-c0-1-1", right_impression_id="i-c0-0-1", result="right"),
        row("voted", "v3", at(), left_impression_id="i-c0-0-0", right_impression_id="i-c5-1-0", result="left"),
        row("voted", "v4", at(), left_impression_id="nowhere", right_impression_id="i-c0-1-0", result="left"),
        row(
            "creator_acted", "a1", at(), action="published", prompt_id="p1", chosen_clip_id="c1-2",
            shown_clip_ids='["c1-0","c1-2","gone"]', trust="key",
        ),
    ]  # fmt: skip
    voted = {"i-c0-0-0": "v1", "i-c0-1-0": "v1", "i-c0-1-1": "v2", "i-c0-0-1": "v2"}
    shown = [each | {"viewer_id": voted.get(each["impression_id"], each["viewer_id"])}
             if each["type"] == "impression" else each for each in traffic()]  # fmt: skip
    lake = lake_of(tmp_path, [*shown, *said])
    train_once(lake, clock=clock, parameters=WHOLE)
    pairs = rows_of(lake, "comparisons", "tier = 'A'")
    found = {(pair["left_clip_id"], pair["right_clip_id"]): pair for pair in pairs}
    assert set(found) == {("c0-0", "c0-1"), ("c1-0", "c1-2")}
    assert found["c0-0", "c0-1"]["p_left"] == pytest.approx(7 / 8)
    assert (found["c0-0", "c0-1"]["result"], found["c0-0", "c0-1"]["left_impressions"]) == ("left", 2)
    assert found["c1-0", "c1-2"]["result"] == "right"
    assert len(rows_of(lake, "comparisons")) == 30 * 3


def without_answers(rows: list[Row]) -> list[Row]:
    return [one for one in rows if one["type"] not in {"reacted", "watched"}]


def test_a_single_prompt_and_a_single_template_have_nothing_to_be_compared_with(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, with_templates(traffic(prompts=1, shown=30)))
    train_once(lake, clock=clock, parameters=WHOLE)
    for subject in ("prompts", "templates"):
        (place,) = rows_of(lake, "rankings_current", f"subject = '{subject}'")
        assert (place["rank"], place["value"]) == (None, None)
        assert place["unranked_reason"] == "there is nothing to compare it with"
    assert all(1e-5 < pair["p_left"] < 1 - 1e-5 for pair in rows_of(lake, "comparisons"))


@pytest.mark.filterwarnings("error")
def test_where_every_clip_earned_the_same_there_is_a_reason_and_no_number(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, without_answers(traffic()))
    train_once(lake, clock=clock, parameters=WHOLE)
    places = rows_of(lake, "rankings_current")
    assert {place["subject"] for place in places} == {"model_versions", "prompts"}
    assert {place["unranked_reason"] for place in places} == {
        "all clips have the same score: nothing tells the items apart"
    }
    assert {(place["rank"], place["value"], place["effect"]) for place in places} == {(None, None, None)}
    assert rows_of(lake, "comparisons") == []


def test_prompts_whose_numbers_cannot_be_computed_say_so_and_templates_are_as_before(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, with_templates(traffic(prompts=60)))
    run = train_once(lake, clock=clock, parameters=WHOLE).run
    with opened(lake, run, UNLIMITED) as made:
        part, scored = made.fitted.part, made.fitted.scored
        fitted = fit_prompts(part, made.fitted.scores, made.clips, WHOLE)
        assert isinstance(fitted, FittedPrompts)
        before, _ = rank_prompts(part, fitted, made.clips, scored, parameters=WHOLE, seed=0, rule=run.rule)
        fitted.bayes.prompt_errors_ = fitted.bayes.prompt_errors_[:-1]  # fits no other number of the prompts
        rows, _ = rank_prompts(part, fitted, made.clips, scored, parameters=WHOLE, seed=0, rule=run.rule)
    prompts = [line for line in rows if line["subject"] == "prompts"]
    assert len(prompts) == 60
    assert all(line["unranked_reason"].startswith("it could not be computed: ") for line in prompts)
    templates = [[line for line in made if line["subject"] == "templates"] for made in (before, rows)]
    assert templates[0] == templates[1] != []
