"""The evidence page: made from tables, misses included."""

import json
from pathlib import Path

import pytest

from clapometer.study.page.page import SECTIONS, write_report

ROOT = Path(__file__).parents[4]


def row(scenario: str, estimator: str, **changes: object) -> dict[str, object]:
    numbers = {
        "tau": 0.9, "tau_utility": 0.7, "top1": 0.9, "regret": 0.02, "bias": 0.03, "worst": 0.6, "coverage": 0.95,
        "coverage_error": 0.01, "width": 0.8, "seconds": 0.1,
    }  # fmt: skip
    base = {"scenario": scenario, "estimator": estimator, "tier": "B", "worlds": 20, "prompts": 50, "impressions": 600}
    return base | numbers | changes


OURS = "clip AIPW + prompt effects"
TABLE = [
    row("all together", OURS, tau=0.8),
    row("all together", "online Elo", coverage=None, width=None),
    row("drift alone", OURS, coverage=0.91),
    row("no propensities", OURS, tier="C", coverage=0.7, worst=1.9),
]


@pytest.fixture
def page(tmp_path: Path) -> str:
    (tmp_path / "explanation").mkdir()
    (tmp_path / "explanation" / "evidence.json").write_text(json.dumps(TABLE))
    assert write_report(tmp_path / "explanation", tmp_path / "assets") == ("Rankings of model versions",)
    return (tmp_path / "explanation" / "evidence.md").read_text()


def test_a_miss_is_called_a_miss(page: str) -> None:
    assert "| Kendall τ, all together | ≥ 0.85 | 0.800 | **missed** |" in page
    assert "| top-1 right, all together | ≥ 85 % | 90.0 % | met |" in page
    assert "Outside the band: drift alone 91.0 % ± 1.0 % (2.0 standard errors from it)." in page


def test_tier_c_says_how_wrong_it_can_be_and_is_not_held_to_the_band(page: str) -> None:
    assert "covers 70.0 % instead of 95 %" in page
    assert "was 1.90 standard deviations" in page
    assert "no propensities 70.0 %" not in page


def test_an_estimator_without_intervals_has_dashes(page: str) -> None:
    assert "| online Elo | 0.03 | 0.90 | 90 % | 0.02 | – | – | 0.100 |" in page


def test_figures_are_drawn(page: str, tmp_path: Path) -> None:
    for name in ("evidence-coverage.svg", "evidence-estimators.svg"):
        assert f"../assets/{name}" in page
        drawn = (tmp_path / "assets" / name).read_text()
        assert drawn.startswith("<svg")
    assert "drift alone" in (tmp_path / "assets" / "evidence-coverage.svg").read_text()


def test_worlds_outside_our_own_name_the_rows_that_miss(tmp_path: Path) -> None:
    common = {
        "worlds": 9, "tier": "B", "tier_c": 0.0, "false_claims": None, "false_claims_always": None, "wrong_claims": 0.0,
        "coverage": 0.95, "coverage_error": 0.01, "coverage_late": None, "tau": 0.8, "error": 0.02, "width": 0.2,
    }  # fmt: skip
    rows = [
        common | {"scenario": "equals", "false_claims": 0.3, "false_claims_always": 0.01, "tau": None},
        common | {"scenario": "calm"},
        common | {"scenario": "novelty", "coverage": 0.9},
        common | {"scenario": "false log", "tier": "C", "tier_c": 1.0, "coverage": 0.1},
    ]
    (tmp_path / "evidence-outside.json").write_text(json.dumps(rows))
    assert write_report(tmp_path, tmp_path) == ("Outside our own worlds",)
    page = (tmp_path / "evidence.md").read_text()
    assert "| equals | 30.0 % | 1.0 % |" in page
    assert "- At most 6% told apart: **missed** by equals" in page
    assert "- At most 5% by always-valid intervals: met" in page
    assert "or above: **missed** by novelty\n" in page
    assert "- Tier C in at most 2% of right logs, in all false ones: met" in page


def test_daily_looks_say_whether_they_keep_their_promise(tmp_path: Path) -> None:
    common = {
        "scenario": "daily looks", "worlds": 9, "looks": 60, "ranked_looks": 50.2, "prompts": 30, "impressions": 500,
        "type1_error": 0.01, "type1_at_the_end": 0.02, "missed": 0.1,
    }  # fmt: skip
    rows = [
        common | {"intervals": "fixed", "type1": 0.31, "width": 1.0},
        common | {"intervals": "always valid", "type1": 0.06, "width": 1.7},
    ]
    (tmp_path / "evidence-looks.json").write_text(json.dumps(rows))
    write_report(tmp_path, tmp_path)
    page = (tmp_path / "evidence.md").read_text()
    assert "| fixed | 31.0 % ± 1.0 % |" in page
    assert "with the always-valid intervals: **missed**" in page


def test_the_page_of_the_project_is_made_from_the_tables_beside_it(tmp_path: Path) -> None:
    folder = ROOT / "docs" / "explanation"
    (tmp_path / "explanation").mkdir()
    for section in SECTIONS:
        if (folder / section.file).exists():
            (tmp_path / "explanation" / section.file).write_text((folder / section.file).read_text())
    write_report(tmp_path / "explanation", tmp_path / "assets")
    made = (tmp_path / "explanation" / "evidence.md").read_text()
    assert made == (folder / "evidence.md").read_text(), (
        "run clapometer study --report --out docs/explanation/evidence.json"
    )
