import json
from dataclasses import replace

import pytest

from clapometer.jobs import study
from clapometer.simulation import CONTESTANTS, Scenario, WorldConfig

TINY = replace(WorldConfig(), n_models=3, n_prompts=120, n_viewers=300, n_sessions=1400, n_days=14, bots=2)


@pytest.fixture
def tiny_scenarios(monkeypatch):
    scenarios = (Scenario("tiny", TINY), Scenario("blind", replace(TINY, missing_propensities=1.0), tier="C"))
    monkeypatch.setattr(study, "SCENARIOS", scenarios)
    return scenarios


def test_the_study_writes_a_row_for_every_scenario_and_estimator(tiny_scenarios, tmp_path):
    out, seen = tmp_path / "evidence.json", []
    report = study.run_study(
        None, worlds=2, seed=5, processes=1, out=out, progress=lambda done, total: seen.append((done, total))
    )
    rows = json.loads(out.read_text())
    assert [(row["scenario"], row["estimator"]) for row in rows] == [
        (scenario.name, name) for scenario in tiny_scenarios for name in CONTESTANTS
    ]
    assert {"tier", "worlds", "tau", "top1", "regret", "bias", "coverage", "width", "seconds"} <= rows[0].keys()
    assert {row["tier"] for row in rows if row["scenario"] == "blind"} == {"C"}
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (report.worlds_run, report.worlds_resumed) == (4, 0)


def test_an_interrupted_study_goes_on_where_it_stopped(tiny_scenarios, tmp_path):
    out = tmp_path / "evidence.json"
    study.run_study(None, worlds=1, seed=5, processes=1, out=out)
    lines = tmp_path / "evidence.json.worlds.ndjson"
    lines.write_text(lines.read_text() + '{"scenario": "tiny", "se')
    report = study.run_study(None, worlds=2, seed=5, processes=1, out=out)
    assert (report.worlds_run, report.worlds_resumed) == (2, 2)
    again = study.run_study(None, worlds=2, seed=5, processes=1, out=out)
    assert again.worlds_run == 0
    assert [row.tau for row in again.rows] == [row.tau for row in report.rows]


def test_a_contestant_that_cannot_answer_has_no_numbers(tiny_scenarios, tmp_path):
    report = study.run_study(None, worlds=1, seed=5, processes=1, out=tmp_path / "evidence.json")
    blind = next(row for row in report.rows if (row.scenario, row.estimator) == ("blind", "exploration slice"))
    assert blind.tau is None
    assert json.loads((tmp_path / "evidence.json").read_text(), parse_constant=pytest.fail)


def test_an_unknown_scenario_is_refused(tmp_path):
    with pytest.raises(KeyError):
        study.run_study(["no such thing"], worlds=1, seed=0, processes=1, out=tmp_path / "e.json")
