import importlib.util
import json
import linecache
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import kendalltau

from clapometer.contestants import CONTESTANTS
from clapometer.ranking import ClipAIPW, PromptFixedEffects
from clapometer.simulation import Scenario, WorldConfig
from clapometer.study import model_versions as study
from clapometer.study.fingerprint import fingerprint
from clapometer.training.parameters import DEFAULT_PARAMETERS

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


def test_worlds_of_all_scenarios_take_turns(tiny_scenarios, tmp_path):
    study.run_study(None, worlds=2, seed=5, processes=1, out=tmp_path / "evidence.json")
    lines = [json.loads(line) for line in (tmp_path / "evidence.json.worlds.ndjson").read_text().splitlines()]
    assert [(line["scenario"], line["seed"]) for line in lines] == [
        ("tiny", 5),
        ("blind", 5),
        ("tiny", 6),
        ("blind", 6),
    ]


def test_only_an_estimator_whose_code_changed_is_run_again(tiny_scenarios, tmp_path, monkeypatch):
    out = tmp_path / "evidence.json"
    first = study.run_study(["tiny"], worlds=1, seed=5, processes=1, out=out)
    ran = []

    def other_likes(seen, n_models):
        ran.append(n_models)
        return CONTESTANTS["raw like rate"].estimate(seen, n_models)

    likes = replace(CONTESTANTS["raw like rate"], estimate=other_likes)
    changed = dict(CONTESTANTS) | {likes.name: likes}
    monkeypatch.setattr(study, "CONTESTANTS", changed)
    study.contestant_codes.cache_clear()
    again = study.run_study(["tiny"], worlds=1, seed=5, processes=1, out=out)
    study.contestant_codes.cache_clear()
    assert ran == [TINY.n_models]
    assert (again.worlds_run, again.worlds_resumed) == (1, 0)
    assert [row.tau for row in again.rows] == [row.tau for row in first.rows]


def test_a_world_of_another_size_is_run_again(tiny_scenarios, tmp_path, monkeypatch):
    out = tmp_path / "evidence.json"
    study.run_study(["tiny"], worlds=1, seed=5, processes=1, out=out)
    monkeypatch.setattr(study, "SCENARIOS", (Scenario("tiny", replace(TINY, n_sessions=2800)),))
    report = study.run_study(["tiny"], worlds=1, seed=5, processes=1, out=out)
    assert report.worlds_run == 1
    assert report.rows[0].impressions == 28_000


def test_tau_is_scipys(tmp_path):
    random = np.random.default_rng(0)
    truth, effects = random.normal(size=(20, 6)), random.integers(0, 4, (20, 6)).astype(float)
    effects[3, 2] = np.nan
    expected = [kendalltau(t[~np.isnan(e)], e[~np.isnan(e)])[0] for t, e in zip(truth, effects, strict=True)]
    np.testing.assert_allclose(study.kendall_tau(truth, effects), expected)
    assert np.isnan(study.kendall_tau(truth, np.full((20, 6), np.nan))).all()


def fingerprint_of(tmp_path, name, source):
    (tmp_path / f"{name}.py").write_text(source)
    spec = importlib.util.spec_from_file_location(name, tmp_path / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    linecache.clearcache()
    try:
        return fingerprint(module.outer)
    finally:
        del sys.modules[name]


def test_a_fingerprint_changes_with_code_and_not_with_words(tmp_path):
    source = (
        'STEP = 1\n\n\ndef inner(x):\n    """Words."""\n    return x + STEP\n\n\ndef outer(x):\n    return inner(x)\n'
    )
    changes = {
        "Words": "Others",
        "x + STEP": "x - STEP",
        "STEP = 1": "STEP = 2",
        "return inner": "# so\n    return inner",
    }
    first = fingerprint_of(tmp_path, "made", source)
    same = {old: fingerprint_of(tmp_path, "made", source.replace(old, new)) == first for old, new in changes.items()}
    assert same == {"Words": True, "x + STEP": False, "STEP = 1": False, "return inner": True}


def test_every_contestant_has_a_fingerprint_of_its_own():
    assert len(set(study.contestant_codes().values())) == len(CONTESTANTS)


def test_the_product_ranks_with_what_the_study_judges():
    product, fixed, clip = DEFAULT_PARAMETERS, PromptFixedEffects(curvature=0.5, borrow=True), ClipAIPW()
    for name, value in (clip.get_params() | fixed.get_params()).items():
        if name != "seed":
            assert getattr(product, name) == value, name
