"""What a process logs goes to its standard error, whatever became of the one that it began with."""

import io
import json
import logging

import pytest
import structlog
from typer.testing import CliRunner

from clapometer.cli.main import app
from clapometer.telemetry.logs import configure_logging


def test_a_line_goes_to_the_standard_error_of_when_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr("sys.stderr", first)
    configure_logging("loader", "info", "json")
    logging.getLogger("library").warning("one")
    first.close()
    monkeypatch.setattr("sys.stderr", second)
    logging.getLogger("library").warning("two")
    structlog.get_logger().info("three")
    lines = [json.loads(line) for line in second.getvalue().splitlines()]
    assert [(line["event"], line["part"]) for line in lines] == [("two", "loader"), ("three", "loader")]


def test_logging_set_up_twice_writes_each_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("loader", "info", "text")
    configure_logging("trainer", "info", "json")
    structlog.get_logger().warning("told")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["part"] == "trainer"


def test_a_command_that_ended_leaves_nothing_that_breaks_the_next_ones_logs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLAPOMETER_LAKE", f"{tmp_path}/lake")
    monkeypatch.setenv("CLAPOMETER_LOG_FOLDER", f"{tmp_path}/log")
    monkeypatch.setenv("CLAPOMETER_LOADER_PORT", "0")
    assert CliRunner().invoke(app, ["load", "--once"]).exit_code == 0
    logging.getLogger("kafka.client").error("Bootstrap failed")
    told = capsys.readouterr().err
    assert "Bootstrap failed" in told
    assert "Logging error" not in told
