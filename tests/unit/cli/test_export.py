"""``clapometer export`` as an ML trainer uses it."""

import json
from pathlib import Path

import pytest
from tests.support.lakes import clock, lake_of, traffic
from typer.testing import CliRunner, Result

from clapometer.cli.main import app
from clapometer.domain import InputError, NotFoundError
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", *arguments])


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rows = traffic()
    for registered in (r for r in rows if r["type"] == "clip_registered"):
        registered["training_allowed"] = True
    train_once(lake_of(tmp_path / "lake", rows), clock=clock, parameters=Parameters(min_impressions=50))
    monkeypatch.setenv("CLAPOMETER_LAKE", str(tmp_path / "lake"))
    return tmp_path / "lake"


def test_pairs_and_clips_are_exported_and_two_exports_are_compared(lake: Path, tmp_path: Path) -> None:
    assert lake.is_dir()
    done = invoke("trl-preference", "--out", str(tmp_path / "pairs"), "--held-out", "0.2")
    assert done.exit_code == 0, done.exception
    assert done.stdout.startswith(f"exported: {tmp_path / 'pairs'}: ")
    assert " rows of train and " in done.stdout
    summary = json.loads(invoke("trl-unpaired", "--out", str(tmp_path / "clips"), "--format", "json").stdout)
    lines = (tmp_path / "clips" / "train.jsonl").read_text().splitlines()
    assert len(lines) == summary["splits"]["train"]["rows"]
    assert {type(json.loads(line)["label"]) for line in lines} == {bool}
    one = invoke("trl-preference", "--out", str(tmp_path / "one"), "--max-per-prompt", "1", "--held-out", "0.2")
    assert "beyond the most of its prompt" in one.stdout
    found = [
        json.loads(line)
        for line in invoke(
            "diff", str(tmp_path / "pairs"), str(tmp_path / "one"), "--format", "json"
        ).stdout.splitlines()
    ]
    assert {row["change"] for row in found} == {"removed"}
    assert "exports of one kind" in str(invoke("diff", str(tmp_path / "pairs"), str(tmp_path / "clips")).exception)


def test_what_is_asked_wrongly_is_named(lake: Path, tmp_path: Path) -> None:
    for arguments, kind, reason in (
        (("trl-preference", "--out", str(lake)), InputError, "out: "),
        (
            ("trl-preference", "--out", str(tmp_path / "x"), "--min-posterior", "0.2"),
            InputError,
            "min_posterior: must be",
        ),
        (
            ("trl-preference", "--out", str(tmp_path / "x"), "--run", "nosuch"),
            NotFoundError,
            "there is no run 'nosuch'",
        ),
        (("diff", str(lake), str(lake)), InputError, "is no export of Clapometer"),
    ):
        ended = invoke(*arguments)
        assert isinstance(ended.exception, kind), ended.output
        assert reason in str(ended.exception)
