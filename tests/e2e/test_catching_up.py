"""What was just sent is trained on, with nobody counting seconds in between."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.running import RunningService

SMALL = ("--prompts", "200", "--sessions", "800", "--viewers", "200", "--models", "4", "--format", "json")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    """Returns a collector that has a loader beside it, and nobody who trains."""
    running = RunningService(tmp_path)
    running.start(command="collect")
    with (tmp_path / "loader.log").open("wb") as output:
        loader = subprocess.Popen(
            [sys.executable, "-m", "clapometer.cli.main", "load"], cwd=tmp_path, env=running.environment, stderr=output
        )
    yield running
    loader.terminate()
    assert loader.wait(300) == 0
    running.stop()


def test_training_right_after_sending_reads_every_impression(service: RunningService) -> None:
    sent = json.loads(service.command("simulate", *SMALL, "--key", service.secret_key()))
    run = json.loads(service.command("train", "--format", "json"))
    assert run["outcomes"] == sent["impressions"]


def test_sending_can_wait_until_it_is_loaded(service: RunningService) -> None:
    sent = json.loads(service.command("simulate", *SMALL, "--wait", "--key", service.secret_key()))
    run = json.loads(service.command("train", "--no-wait", "--format", "json"))
    assert run["outcomes"] == sent["impressions"]
