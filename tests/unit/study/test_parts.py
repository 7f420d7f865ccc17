"""Parts of the study: resumable, summarised per scenario, and right about what they measure."""

import json
from dataclasses import replace

import pytest

from clapometer.contestants import OURS, PROMPT_CONTESTANTS
from clapometer.simulation import Scenario, WorldConfig
from clapometer.study.label_rules import LABELS
from clapometer.study.parts import Part, mean_and_error, run_part
from clapometer.study.prompts import PROMPTS
from clapometer.study.screening import SCREENING

SMALL = replace(
    WorldConfig(), n_models=4, n_prompts=400, n_viewers=2_500, n_sessions=8_000, n_days=14, n_templates=12, bots=5
)


def small(part: Part, *names: str) -> Part:
    return replace(part, scenarios=tuple(Scenario(name, SMALL) for name in names or ("small",)))


def echo(scenario, seed):
    return {"value": seed * 2}


def echoed(scenario, lines):
    return [{"scenario": scenario.name, "worlds": len(lines), "value": sum(line["value"] for line in lines)}]


def test_an_interrupted_part_goes_on_where_it_stopped(tmp_path):
    part, out, seen = Part((Scenario("a", SMALL), Scenario("b", SMALL)), echo, echoed), tmp_path / "e.json", []
    run_part(part, None, 1, 5, processes=1, out=out)
    lines = tmp_path / "e.json.worlds.ndjson"
    lines.write_text(lines.read_text() + '{"scenario": "a", "se')
    report = run_part(part, None, 2, 5, processes=1, out=out, progress=lambda done, of: seen.append((done, of)))
    assert (report.worlds_run, report.worlds_resumed, seen) == (2, 2, [(3, 4), (4, 4)])
    assert json.loads(out.read_text()) == [
        {"scenario": "a", "worlds": 2, "value": 22}, {"scenario": "b", "worlds": 2, "value": 22}
    ]  # fmt: skip
    assert run_part(part, ["b"], 2, 5, processes=1, out=out).worlds_run == 0


def test_worlds_of_other_code_or_of_another_world_are_run_again(tmp_path):
    part, out = Part((Scenario("a", SMALL),), echo, echoed), tmp_path / "e.json"
    run_part(part, None, 2, 5, processes=1, out=out)
    lines = tmp_path / "e.json.worlds.ndjson"
    old = [json.loads(text) | {"code": "another"} for text in lines.read_text().splitlines()]
    lines.write_text("".join(json.dumps(line) + "\n" for line in old))
    assert run_part(part, None, 2, 5, processes=1, out=out).worlds_run == 2
    other = replace(part, scenarios=(Scenario("a", replace(SMALL, n_days=15)),))
    assert run_part(other, None, 2, 5, processes=1, out=out).worlds_run == 2


def test_an_unknown_scenario_is_refused(tmp_path):
    with pytest.raises(KeyError):
        run_part(Part((), echo, echoed), ["nowhere"], 1, 0, processes=1, out=tmp_path / "e.json")


def test_the_error_of_a_mean_needs_two_worlds():
    assert mean_and_error([1.0, 3.0, None]) == (2.0, 1.0)
    assert mean_and_error([1.0]) == (1.0, None)
    assert mean_and_error([None]) == (None, None)


def test_prompts_and_pairs_are_judged_against_a_truth_that_ours_knows_best(tmp_path):
    report = run_part(small(PROMPTS), None, 2, 50_000, processes=1, out=tmp_path / "e.json")
    prompts = {row["estimator"]: row for row in report.rows if row["subject"] == "prompts"}
    assert list(prompts) == [OURS, *PROMPT_CONTESTANTS]
    for name in PROMPT_CONTESTANTS:
        assert prompts[OURS]["spearman"] > prompts[name]["spearman"], name
        assert prompts[OURS]["log_loss"] < prompts[name]["log_loss"], name
    assert 0.88 < prompts[OURS]["coverage"] < 0.99
    ours, *others = [row for row in report.rows if row["subject"] == "pairs"]
    assert 0.8 < ours["slope"] < 1.2
    assert ours["ece"] < 0.05
    assert ours["log_loss"] < 0.62 < min(row["log_loss"] for row in others)


def test_rules_fitted_to_votes_say_how_many_there_were(tmp_path):
    report = run_part(small(LABELS), None, 1, 50_000, processes=1, out=tmp_path / "e.json")
    rows = {row["rule"]: row for row in report.rows}
    assert rows["default rule, no anchor"]["anchor"] == 0
    assert 900 < rows["fitted to 1,000 votes"]["anchor"] <= 1_000
    assert all(-1 <= row["tau"] <= 1 for row in rows.values())
    assert rows["fitted to 1,000 votes"]["weights"]["dislike"] < 0


def test_fake_accounts_are_counted_found_and_missed(tmp_path):
    report = run_part(small(SCREENING), None, 2, 50_000, processes=1, out=tmp_path / "e.json")
    (row,) = report.rows
    assert (row["worlds"], row["fakes"]) == (2, 10)
    assert row["recall"] >= 0.9
    assert row["precision"] >= 0.9
    assert row["found"] + row["people_screened"] <= row["fakes"] + row["people"]
