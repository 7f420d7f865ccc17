"""Sections of the evidence page about prompts, labels, fake accounts and real data: misses included."""

from pathlib import Path

from clapometer.study.page.labels import labels_section, prompts_section, real_section, screening_section

NOWHERE = Path("nowhere")


def prompt(scenario: str, estimator: str, **changes: object) -> dict[str, object]:
    numbers = {"spearman": 0.7, "precision_at_100": 0.5, "log_loss": 0.5, "coverage": 0.95}
    base = {"scenario": scenario, "subject": "prompts", "estimator": estimator, "tier": "B", "worlds": 9}
    return base | numbers | {f"{name}_error": 0.01 for name in numbers} | changes


def pair(scenario: str, **changes: object) -> dict[str, object]:
    base = {"scenario": scenario, "subject": "pairs", "estimator": "posterior of the clips' values", "tier": "B"}
    return base | {"worlds": 9, "log_loss": 0.6, "slope": 1.0, "ece": 0.02} | changes


def test_targets_of_prompts_are_met_or_missed_and_rivals_named() -> None:
    rows = [
        prompt("all together", "hierarchical empirical Bayes", spearman=0.73),
        prompt("all together", "raw like rate", spearman=0.5, log_loss=0.6, coverage=None),
        pair("all together", ece=0.04),
        prompt("drift alone", "hierarchical empirical Bayes", coverage=0.9),
        prompt("drift alone", "raw like rate", spearman=0.71, log_loss=0.6, coverage=None),
        pair("drift alone"),
        prompt("no propensities", "hierarchical empirical Bayes", tier="C", coverage=0.7),
        prompt("no propensities", "raw like rate", spearman=0.5, log_loss=0.6, coverage=None),
        pair("no propensities", tier="C", slope=0.8),
    ]
    page = prompts_section(rows, NOWHERE)
    assert "| Spearman with the truth | ≥ 0.72 | 0.730 ± 0.010 | met |" in page
    assert "| calibration error of pair labels | ≤ 0.03 | 0.040 | **missed** |" in page
    assert "not: raw like rate in drift alone | **missed** |" in page
    assert "≥ 93 % | 90.0 % (drift alone) to 95.0 % (all together) | **missed** |" in page
    assert "1.00 (all together) to 1.00 (all together) | met |" in page
    assert "too narrow in: drift alone 90.0 %.\n" in page
    assert "In *no propensities* (tier C, **not calibrated**, as every label says of itself) the slope" in page
    assert "slope of pair labels is 0.80, their error 0.020; no promise" in page
    assert "off their calibration in: all together (slope 1.00, error 0.040)" in page


def test_a_label_rule_that_reaches_the_target_is_named_with_the_size_of_its_anchor() -> None:
    common = {"scenario": "all together", "worlds": 9, "tau_error": 0.02, "regret": 0.1, "weights": {"like": 1.0}}
    rows = [
        common | {"rule": "default", "anchor": 0, "tau": 0.72, "calibration_slope": None},
        common | {"rule": "fitted to votes", "anchor": 1000, "tau": 0.88, "calibration_slope": 0.98},
    ]
    page = labels_section(rows, NOWHERE)
    assert "met, *fitted to votes*: 0.880 ± 0.020" in page
    assert "| default | – | 0.72 ± 0.02 |" in page
    assert "**missed**" in labels_section([rows[0], rows[1] | {"tau": 0.8}], NOWHERE)


def test_people_that_were_screened_cost_the_target() -> None:
    row = {"scenario": "1 fake account", "worlds": 4, "fakes": 4, "found": 4, "people": 90, "recall": 1.0}
    assert ": met." in screening_section([row | {"people_screened": 0, "precision": 1.0}], NOWHERE)
    assert "**missed**" in screening_section([row | {"people_screened": 1, "precision": 0.8}], NOWHERE)


def test_adversaries_have_a_table_of_their_own_and_misses_are_counted() -> None:
    row = {
        "scenario": "came on any day", "worlds": 2, "fakes": 9, "found": 9, "people": 90, "people_screened": 0,
        "recall": 1.0, "precision": 1.0, "recall_known": 0.1, "impressions_screened": 0.0, "impressions_wait": 0.0088,
        "top_with": 0.5, "top": 1.0, "claimed": 0.25, "wrong_by_chance_alone": 0.125, "wrong": 0.0, "tau": 0.98,
    }  # fmt: skip
    nobody = row | {"scenario": "nobody is fake", "fakes": 0, "recall": None, "recall_known": None, "precision": None}
    found = screening_section([row, row | {"top": 0.5}, row | {"recall": 0.7}, nobody], NOWHERE)
    assert "met for 1 of 3" in found
    assert (
        "| nobody is fake | 2 | – | – | – | 0.00 % | 0.88 % | 50.0 % | 100.0 % | 25.0 % | 12.5 % | 0.0 % | 0.98 |"
        in found
    )


def test_real_data_are_told_with_target_and_error() -> None:
    row = {"data": "KuaiRand", "quantity": "AUC", "value": 0.7667, "n": 33_974, "target": "|rho| <= 1", "met": False}
    page = real_section([row | {"error": None}, row | {"error": 0.015, "met": None, "target": ""}], NOWHERE)
    assert "| KuaiRand | AUC | 0.7667 | 33,974 | \\|rho\\| <= 1 | **missed** |" in page
    assert "0.7667 ± 0.015" in page
