"""Training: a reason or a number, never both; recorded, and the same again."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from tests.support.event_rows import Row, answer, at, clip, events_table, impression, row
from tests.support.lakes import NOW, clock, lake_of, traffic

from clapometer.domain import InputError, TransientError
from clapometer.labels import LabelRule, Weights
from clapometer.lake.tables import Lake
from clapometer.training.lock import training_lock
from clapometer.training.parameters import Parameters
from clapometer.training.reading import Resources
from clapometer.training.runs import read_runs
from clapometer.training.train import reproduce, train_all, train_once

SMALL = Parameters(min_impressions=50)


def rankings(lake: Lake, where: str = "segment = 'all' AND subject = 'model_versions'") -> list[dict[str, Any]]:
    with lake.connect() as con:
        query = f"SELECT * FROM rankings_current WHERE {where} ORDER BY rank NULLS LAST, item"
        return list(con.sql(query).to_arrow_table().to_pylist())


def test_better_liked_model_versions_rank_higher_with_intervals(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    report = train_once(lake, clock=clock, parameters=SMALL)
    assert report.run.status == "succeeded", report.run.error
    rows = rankings(lake)
    assert [line["item"] for line in rows] == ["m2@1", "m1@1", "m0@1"]
    assert all(line["effect_low"] < line["effect"] < line["effect_high"] for line in rows)
    assert (rows[0]["tier"], rows[0]["calibrated"], rows[0]["withheld_verdict"]) == ("B", True, "keep")
    assert (rows[0]["impressions"], rows[0]["clips"], rows[0]["prompts"]) == (120, 30, 30)
    assert all(100 <= line["viewers"] <= 140 for line in rows)


def test_a_verdict_that_so_few_viewers_carry_as_one_person_can_make_up_is_withheld(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    for viewers, told in ((0, (True, None, False)), (200, (False, "keep", True)), (2, (True, None, False))):
        train_once(lake, clock=clock, parameters=Parameters(segments=(), bought_viewers=viewers))
        first = rankings(lake)[0]
        bought = first["viewers_to_buy"] is not None and 2 < first["viewers_to_buy"] <= 200
        assert (first["verdict"] == "keep", first["withheld_verdict"], bought) == told
        with lake.connect() as con:
            (pair,) = con.execute(
                "SELECT low - bought_low, bought_high - high FROM contrasts WHERE run_id = $1 AND subject = "
                "'model_versions' AND segment = 'all' ORDER BY difference DESC LIMIT 1",
                [first["run_id"]],
            ).fetchall()
        assert (min(pair) > 0) == (viewers > 0)


def test_a_difference_has_an_interval_for_one_look_and_a_wider_one_for_all_looks(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=SMALL)
    with lake.connect() as con:
        rows = con.sql("FROM contrasts WHERE segment = 'all'").to_arrow_table().to_pylist()
    models = [line for line in rows if line["subject"] == "model_versions"]
    assert len(models) == 3
    for line in models:
        assert line["always_low"] < line["low"] < line["difference"] < line["high"] < line["always_high"]
        wider = (line["always_high"] - line["always_low"]) / (line["high"] - line["low"])
        assert 1.4 < wider < 3
    assert all(line["always_low"] is None for line in rows if line["subject"] != "model_versions")


def test_without_propensities_the_ranking_says_so_and_claims_nothing(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic(logged=False))
    train_once(lake, clock=clock, parameters=SMALL)
    assert {(line["tier"], line["calibrated"], line["verdict"]) for line in rankings(lake)} == {
        ("C", False, "not enough evidence")
    }
    assert {line[name] for line in rankings(lake) for name in ("rank_low", "rank_high", "p_best")} == {None}
    assert any(line["rank"] for line in rankings(lake))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_run_is_made_again_bit_for_bit_whatever_the_threads(tmp_path: Path, threads: int) -> None:
    lake = lake_of(tmp_path, traffic())
    run = train_once(lake, clock=clock, parameters=SMALL, seed=7).run
    lake.append("events", events_table(traffic(seed=3, prompts=5)))
    train_once(lake, clock=clock, parameters=SMALL)
    again = reproduce(lake, run.run_id, resources=Resources(threads=threads))
    assert again.same
    assert len(again.expected) == 64


def test_another_rule_gives_another_ranking(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    first = train_once(lake, clock=clock, parameters=SMALL).run
    rule = LabelRule(name="watch only", version=2, weights=Weights(like=0.0, watch=1.0))
    second = train_once(lake, rule, clock=clock, parameters=SMALL).run
    assert first.result_hash != second.result_hash
    assert read_runs(lake)[-1].rule == rule


def test_every_exclusion_is_counted_by_its_reason(tmp_path: Path) -> None:
    rows: list[Row] = [
        *traffic(),
        clip("ad", flags_ad=True),
        clip("marked", flags_watermark=True),
        clip("gone"),
        row("clip_withdrawn", "w", at(1), clip_id="gone", reason="rights", scope="clip"),
        clip("mine", lineage_creator_id="me"),
        impression("x1", "ad"),
        impression("x2", "marked"),
        impression("x3", "gone"),
        impression("x4", "mine", viewer_id="me"),
        impression("x5", "never registered"),
        impression("x6", "c0-0", trust="forged"),
        impression("x7", "c0-0", time=NOW - dt.timedelta(hours=1), viewer_id="viewer of x1"),
        answer("watched", "nowhere", "lost", watched_ms=5),
    ]
    lake = lake_of(tmp_path, rows)
    rule = LabelRule(name="patient", version=1, maturity_hours={"like": 24.0})
    report = train_once(lake, rule, clock=clock, parameters=SMALL)
    assert report.run.excluded == {
        "advertisement": 1,
        "watermark": 1,
        "clip withdrawn": 1,
        "creator's own view": 1,
        "clip not registered": 1,
        "untrusted impression": 1,
        "too recent": 1,
        "engagement without impression": 1,
    }
    assert report.run.outcomes == 367


def test_viewers_that_are_not_people_do_not_count_and_it_says_why(tmp_path: Path) -> None:
    fake: list[Row] = []
    for n in range(30):
        fake.append(impression(f"f{n}", f"c{n}-0", at(seconds=n), viewer_id="bot"))
        fake.append(answer("watched", f"f{n}", f"fw{n}", at(seconds=n), watched_ms=100))
        fake.append(answer("reacted", f"f{n}", f"fr{n}", at(seconds=n), reaction="like"))
    lake = lake_of(tmp_path, traffic() + fake)
    screened = train_once(lake, clock=clock, parameters=SMALL).run
    assert screened.excluded == {"viewer reacts to clips it did not watch": 30}
    assert reproduce(lake, screened.run_id).same
    believed = train_once(lake, clock=clock, parameters=Parameters(screen_viewers=False, min_impressions=50)).run
    assert believed.excluded == {}


def test_a_clip_that_is_registered_later_counts_from_the_next_run_on(tmp_path: Path) -> None:
    rows = traffic()
    late = [one for one in rows if one["type"] == "clip_registered" and one["clip_id"] == "c0-0"]
    lake = lake_of(tmp_path, [one for one in rows if one not in late])
    assert train_once(lake, clock=clock).run.excluded == {"clip not registered": 4}
    lake.append("events", events_table(late))
    assert train_once(lake, clock=clock).run.excluded == {}


def test_reposts_count_for_the_original(tmp_path: Path) -> None:
    copies = [
        clip("copy", "other prompt", "other", at(days=1), flags_repost_of="c0-0"),
        impression("x", "copy", at(days=1)),
    ]
    lake = lake_of(tmp_path, [*traffic(), *copies])
    train_once(lake, clock=clock)
    found = {line["item"]: (line["impressions"], line["clips"]) for line in rankings(lake)}
    assert found == {"m0@1": (121, 30), "m1@1": (120, 30), "m2@1": (120, 30)}


def test_segments_with_enough_impressions_have_rankings_of_their_own(tmp_path: Path) -> None:
    rows = traffic()
    for one in rows:
        if one["type"] == "impression":
            one["locale"] = "en" if one["impression_id"].endswith(("0", "1", "2")) else "de"
        if one["type"] == "clip_registered" and one["prompt_id"] in {"p1", "p2"}:
            one["task"] = "i2v"
    lake = lake_of(tmp_path, rows)
    train_once(lake, clock=clock, parameters=Parameters(min_impressions=100))
    found = {(line["segment"], line["segment_value"]): line["impressions"] for line in rankings(lake, "item = 'm1@1'")}
    assert found[("locale", "en")] == 90
    assert ("locale", "de") not in found
    assert found[("task", "t2v")] == 112
    assert ("task", "i2v") not in found


@pytest.mark.parametrize(
    ("rows", "advice"),
    [
        ([], "PUT /v1/clips"),
        ([clip("a")], "POST impressions"),
        ([impression("i")], "PUT /v1/clips"),
    ],
)
def test_with_nothing_to_rank_the_run_fails_and_says_what_to_do(tmp_path: Path, rows: list[Row], advice: str) -> None:
    report = train_once(lake_of(tmp_path, rows), clock=clock)
    assert report.run.status == "failed"
    assert advice in str(report.run.error)


def with_all(rows: list[Row], kind: str, **columns: object) -> list[Row]:
    """Returns the rows, those of one type with other columns."""
    return [one | columns if one["type"] == kind else one for one in rows]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            with_all(with_all(traffic(), "impression", viewer_id="one"), "watched", watched_ms=0),
            "no impression of any clip counts",
        ),
        (
            [one for one in traffic() if one["type"] in {"clip_registered", "impression"}],
            "nothing tells the items apart",
        ),
        (
            with_all([r for r in traffic() if r["type"] != "reacted"], "watched", watched_ms=5_000),
            "nothing tells the items apart",
        ),
        (traffic(models=1), "nothing to compare it with"),
        (traffic(prompts=1), "too few prompts"),
        ([clip("a"), clip("b", model="m2"), impression("i", "a", trust="none")], "no impression of any clip counts"),
        (
            [
                clip("a"),
                clip("b", "p2", "m2"),
                impression("i", "a"),
                impression("j", "b"),
                answer("reacted", "j", "r", reaction="like"),
            ],
            "never shares a prompt",
        ),
    ],
)
def test_what_cannot_be_compared_has_a_reason_and_no_number(tmp_path: Path, rows: list[Row], reason: str) -> None:
    lake = lake_of(tmp_path, rows)
    report = train_once(lake, clock=clock)
    assert report.run.status == "succeeded", report.run.error
    assert rankings(lake)
    for line in rankings(lake):
        assert reason in line["unranked_reason"]
        assert {line[name] for name in ("rank", "effect", "value", "p_best", "effect_low", "value_high")} == {None}


@pytest.mark.parametrize("propensity", [0.05, 1e-12], ids=["clipped from below", "next to nothing"])
def test_propensities_that_cannot_be_promise_nothing(tmp_path: Path, propensity: float) -> None:
    lake = lake_of(tmp_path, with_all(traffic(), "impression", propensity=propensity))
    run = train_once(lake, clock=clock, parameters=SMALL).run
    assert "the data contradict the logged propensities" in run.tier_reason
    assert {(line["tier"], line["calibrated"], line["verdict"]) for line in rankings(lake)} == {
        ("C", False, "not enough evidence")
    }


def test_a_failed_run_leaves_the_last_good_ranking_in_place(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=SMALL)
    good = rankings(lake)
    failed = train_once(lake, clock=clock, resources=Resources(memory_limit="1KB")).run
    assert failed.status == "failed"
    assert "memory" in str(failed.error)
    assert rankings(lake) == good
    with pytest.raises(InputError, match="has no result"):
        reproduce(lake, failed.run_id)


def test_results_of_a_run_that_did_not_finish_are_not_current(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=SMALL)
    good = rankings(lake)
    with lake.connect() as con:
        torn = con.sql("SELECT * REPLACE ('zz' AS run_id) FROM rankings").to_arrow_table()
    lake.append("rankings", torn)
    assert rankings(lake) == good


def test_only_one_process_trains_at_a_time_and_one_that_died_is_recorded(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    run = train_once(lake, clock=clock, parameters=SMALL).run
    died = type(run)(**{name: getattr(run, name) for name in run.__struct_fields__} | {"run_id": "0000"})

    def die_while_another_waits() -> None:
        with training_lock(lake, died):
            with pytest.raises(TransientError, match="0000"):
                train_once(lake, clock=clock)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die_while_another_waits()
    train_once(lake, clock=clock, parameters=SMALL)
    assert [(known.run_id == "0000", known.status) for known in read_runs(lake)] == [
        (True, "failed"),
        (False, "succeeded"),
        (False, "succeeded"),
    ]


def test_old_results_go_and_their_records_stay(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    runs = [train_once(lake, clock=clock, parameters=SMALL, keep_runs=2).run for _ in range(3)]
    with lake.connect() as con:
        kept = {run_id for (run_id,) in con.execute("SELECT DISTINCT run_id FROM rankings").fetchall()}
    assert len(kept) == 2
    assert len(read_runs(lake)) == 3
    assert reproduce(lake, runs[0].run_id).same


def test_tenants_are_ranked_apart(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic(tenant="a") + traffic(tenant="b", models=2))
    reports = train_all(lake, clock=clock, parameters=SMALL)
    assert [report.run.tenant for report in reports] == ["a", "b"]
    assert len(rankings(lake, "tenant = 'a' AND segment = 'all' AND subject = 'model_versions'")) == 3
    assert len(rankings(lake, "tenant = 'b' AND segment = 'all' AND subject = 'model_versions'")) == 2


def test_every_place_says_how_little_would_change_it(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=SMALL)
    first, second, last = rankings(lake)
    assert (first["fake_reactions_to_top"], last["impressions_to_drop"]) == (0, None)
    assert 0 < second["fake_reactions_to_top"] < last["fake_reactions_to_top"]
    assert 0 < first["impressions_to_drop"] < 120
    prompts = [line for line in rankings(lake, "subject = 'prompts' AND segment = 'all'") if line["rank"]]
    assert prompts[0]["fake_reactions_to_top"] == 0
    assert all(line["fake_reactions_to_top"] > 0 for line in prompts[1:])
