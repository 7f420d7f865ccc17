"""``clapometer schedule`` as its user runs it: a small process that trains in another one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.lakes import lake_of, traffic
from tests.support.waiting import until

from clapometer.lake.tables import Lake
from clapometer.training.runs import read_runs


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return lake_of(tmp_path / "lake", traffic())


@pytest.fixture
def scheduler(lake: Lake, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "clapometer.cli.main", "schedule", "--every", "1s"],
            env={**os.environ, "CLAPOMETER_LAKE": str(lake.root)}, stderr=output,
        )  # fmt: skip
    yield process
    process.kill()
    process.wait()


def statuses(lake: Lake) -> list[str]:
    return [run.status for run in read_runs(lake)]


def trainer(scheduler: subprocess.Popen[bytes]) -> psutil.Process | None:
    """Returns the process that trains now."""
    for child in psutil.Process(scheduler.pid).children():
        try:
            if child.cmdline()[-1:] == ["due"]:
                return child
        except psutil.NoSuchProcess:
            continue
    return None


def test_it_trains_and_stays_small_and_ends_when_it_is_told_to(lake, scheduler, tmp_path):
    until(lambda: statuses(lake) == ["succeeded"], every=0.2)
    until(lambda: "training skipped" in (tmp_path / "log").read_text())
    libraries = {Path(each.path).name.split(".")[0] for each in psutil.Process(scheduler.pid).memory_maps()}
    assert not libraries & {"_duckdb", "lib", "_internal", "_multiarray_umath"}, "it imports what only training needs"
    scheduler.terminate()
    assert scheduler.wait(300) == 0


def test_training_that_is_killed_is_told_and_tried_again(lake, scheduler, tmp_path):
    until(lambda: trainer(scheduler) is not None)
    process = trainer(scheduler)
    assert process is not None
    process.kill()
    until(lambda: "training failed" in (tmp_path / "log").read_text())
    until(lambda: "succeeded" in statuses(lake), every=0.2)


def test_a_stop_while_it_trains_ends_both_processes(lake, scheduler):
    until(lambda: trainer(scheduler) is not None)
    process = trainer(scheduler)
    assert process is not None
    scheduler.terminate()
    assert scheduler.wait(300) == 0
    assert not process.is_running()


def test_a_killed_scheduler_leaves_no_training_behind(lake, scheduler):
    until(lambda: trainer(scheduler) is not None)
    process = trainer(scheduler)
    assert process is not None
    scheduler.send_signal(signal.SIGKILL)
    scheduler.wait()
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
