"""``clapometer label``: rules are shown, fitted, written, and say what can be expected of them."""

import json
from pathlib import Path

import pytest
from tests.support.lakes import lake_of, traffic
from tests.unit.training.label_rules.test_fit import votes
from typer.testing import CliRunner

from clapometer.cli.main import app
from clapometer.domain import InputError
from clapometer.labels import DEFAULT_RULE, decode_rule


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lake_of(tmp_path / "lake", [*traffic(prompts=40, shown=12), *votes(200)])
    monkeypatch.setenv("CLAPOMETER_LAKE", str(tmp_path / "lake"))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_the_rule_that_is_shown_reads_back_and_says_what_it_lacks(invoke) -> None:
    shown = invoke("label", "show")
    assert shown.exit_code == 0, shown.output
    assert decode_rule(shown.stdout) == DEFAULT_RULE
    assert "has no anchor" in shown.output


def test_a_rule_is_fitted_written_and_trained_with(invoke, tmp_path: Path) -> None:
    out = tmp_path / "rule.toml"
    done = invoke("label", "fit", "--anchor", "votes", "--min-impressions", "5", "--out", str(out))
    assert done.exit_code == 0, done.output
    assert "200 votes" in done.output
    assert "calibration slope" in done.output
    assert decode_rule(out.read_text()).anchor == "200 votes"
    assert "is fitted to 200 votes" in invoke("label", "show", str(out)).output
    trained = invoke("train", "--label-rule", str(out))
    assert trained.exit_code == 0, trained.output
    assert "has no anchor" not in trained.output
    assert "has no anchor" in " ".join(invoke("train").output.split())


def test_the_fit_as_json_is_nothing_but_json(invoke, tmp_path: Path) -> None:
    done = invoke(
        "label",
        "fit",
        "--anchor",
        "votes",
        "--min-impressions",
        "5",
        "--out",
        str(tmp_path / "r.toml"),
        "--format",
        "json",
    )
    assert json.loads(done.stdout)["n"] == 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 'x'\nversion = 1\n[weights]\nlike = nan", "weights.like: must be a finite number"),
        ("name = 'x'\nversion = 1\n[weights]\nlike = inf", "weights.like: must be a finite number"),
        ("name = 'x'\nversion = 1\n[weights]\nlik = 1", "weights.lik: unknown key"),
        ("name = 'x'\nversion = ", "not TOML"),
    ],
)
def test_a_rule_that_is_none_is_refused_with_field_and_fix(text: str, words: str, invoke, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text(text)
    for command in (["label", "show", str(bad)], ["train", "--label-rule", str(bad)]):
        done = invoke(*command)
        assert isinstance(done.exception, InputError)
        assert words in str(done.exception)


def test_a_folder_that_is_not_there_costs_no_fit(invoke, tmp_path: Path) -> None:
    done = invoke("label", "fit", "--anchor", "votes", "--out", str(tmp_path / "no" / "r.toml"))
    assert isinstance(done.exception, InputError)
    assert "is no folder" in str(done.exception)
