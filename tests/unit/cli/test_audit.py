"""``clapometer audit``: sentences for people, JSON and exit codes for programs."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.support.event_rows import at, events_table
from tests.support.lakes import clock, lake_of, traffic
from typer.testing import CliRunner, Result

from clapometer.cli.audit import parse_plan
from clapometer.cli.main import app
from clapometer.domain import InputError, NotFoundError
from clapometer.lake.ledger import LedgerEntry, to_metadata
from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

Invoke = Callable[..., Result]


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.setenv("CLAPOMETER_LAKE", str(tmp_path / "lake"))
    return lambda *arguments: CliRunner().invoke(app, ["audit", "--repeats", "3", *arguments])


@pytest.fixture
def sound(tmp_path: Path) -> None:
    lake, rows = Lake(tmp_path / "lake"), traffic(prompts=60)
    entry = LedgerEntry("default", "/test", at(), len(rows), len(rows), 0, 0, 0)
    lake.append("events", events_table(rows), metadata=to_metadata([entry]))
    train_once(lake, clock=clock, parameters=Parameters(segments=()))


@pytest.mark.usefixtures("sound")
def test_a_sound_lake_passes_with_exit_code_0(invoke: Invoke) -> None:
    result = invoke()
    assert result.exit_code == 0, result.output
    assert "no check failed" in result.output
    assert "tier B" in result.output


@pytest.mark.usefixtures("sound")
def test_json_has_every_finding(invoke: Invoke) -> None:
    report = msgspec.json.decode(invoke("--format", "json").stdout)
    assert report["passed"] is True
    assert {"placebo", "power", "ledger"} <= {finding["check"] for finding in report["findings"]}
    assert all(finding["found"] for finding in report["findings"])


def test_a_failed_check_is_exit_code_1_with_what_to_do(invoke: Invoke, tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake", traffic())  # rows that no loader counted
    train_once(lake, clock=clock, parameters=Parameters(segments=()))
    result = invoke()
    assert result.exit_code == 1
    assert re.search(r"\d checks? failed", result.output)
    assert "→ events were lost or doubled" in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("arguments", "kind", "reason"),
    [
        (["--plan", "nonsense"], InputError, "is not of the form ID=ARM:SHARE"),
        (["--run", "nothing"], NotFoundError, "there is no"),
        ([], NotFoundError, "there is no"),
    ],
)
def test_what_cannot_be_audited_is_refused_with_a_reason(
    invoke: Invoke, arguments: list[str], kind: type[Exception], reason: str
) -> None:
    error = invoke(*arguments).exception
    assert isinstance(error, kind)
    assert reason in str(error)


def test_a_plan_is_read_by_experiment_and_arm() -> None:
    assert parse_plan(["home=old:1,new:2", "a:b=x:y:0.5"]) == {"home": {"old": 1, "new": 2}, "a:b": {"x:y": 0.5}}
    for wrong in ("home", "home=", "=a:1", "home=a", "home=a:0", "home=a:-1", "home=a:nan", "home=a:inf"):
        with pytest.raises(InputError, match="plan"):
            parse_plan([wrong])
