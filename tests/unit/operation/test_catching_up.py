"""``train`` knows what the loader has not loaded yet; ``simulate`` and ``replay`` can wait for it."""

from pathlib import Path

import pytest
from tests.support.builders import block
from typer.testing import CliRunner, Result

from clapometer.cli.main import app
from clapometer.eventlog import EmbeddedLog
from clapometer.lake.tables import Lake
from clapometer.training.runs import read_runs


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder of a log that holds three requests, of which none is loaded."""
    monkeypatch.chdir(tmp_path)
    log = EmbeddedLog(tmp_path / "log")
    log.append_many([block([])] * 3)
    log.close()
    return tmp_path / "log"


def trained(*options: str) -> Result:
    return CliRunner().invoke(app, ["train", *options])


def test_training_says_that_blocks_wait_and_that_nobody_loads_them(log: Path) -> None:
    done = trained("--patience", "0")
    assert "the lake is 3 blocks (requests) behind the log; waiting for the loader" in " ".join(done.stderr.split())
    assert done.exit_code == 1
    assert "none of the 3 blocks that wait was loaded for 0 s: no loader gets on" in str(done.exception)
    assert "`clapometer load --once` loads it now" in str(done.exception)
    assert read_runs(Lake(log.parent / "lake")) == []


def test_training_without_waiting_says_what_it_leaves_out(log: Path) -> None:
    done = trained("--no-wait")
    said = " ".join(done.stderr.split())
    assert "the lake is 3 blocks (requests) behind the log; training on what it has, without them" in said
    assert len(read_runs(Lake(log.parent / "lake"))) == 1


def test_there_is_nothing_to_wait_for_without_a_log_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["simulate", "--wait", "--key", "csk_x"])
    assert str(done.exception).startswith("wait: there is no log here to look at")
    assert not (tmp_path / "log").exists()
