"""Scheduled retraining: on time, alone, caught up, and silent when nothing is new."""

import datetime as dt
import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest
from tests.support.event_rows import answer, events_table
from tests.support.lakes import clock, lake_of, traffic
from tests.support.waiting import until

from clapometer.lake.tables import Lake
from clapometer.training.due import Training, train_due, until_stopped
from clapometer.training.parameters import Parameters
from clapometer.training.planning import last_start
from clapometer.training.runs import read_runs
from clapometer.training.schedule import Tick, next_time, run_schedule
from clapometer.training.when import parse_when

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
SMALL = Parameters(segments=())


@pytest.mark.parametrize(
    ("when", "last", "due"),
    [
        ("1h", None, NOON),  # never ran
        ("1h", NOON - dt.timedelta(minutes=20), NOON + dt.timedelta(minutes=40)),
        ("1h", NOON - dt.timedelta(hours=9), NOON),  # missed while down
        ("30 * * * *", NOON - dt.timedelta(minutes=10), NOON + dt.timedelta(minutes=30)),
        ("30 * * * *", NOON - dt.timedelta(hours=3), NOON),
        ("0 3 * * *", NOON - dt.timedelta(hours=10), NOON),  # 3 o'clock was missed
        ("0 3 * * *", NOON - dt.timedelta(hours=8), NOON + dt.timedelta(hours=15)),
    ],
)
def test_a_time_missed_during_downtime_is_made_up_for_once(
    when: str, last: dt.datetime | None, due: dt.datetime
) -> None:
    assert next_time(parse_when(when), last, NOON) == due


def test_nothing_new_is_skipped_and_said_so_unless_forced(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    training = Training(lake, clock, parameters=SMALL)
    assert [tick.result for tick in train_due(training)] == ["trained"]
    (skipped,) = train_due(training)
    assert (skipped.result, "no event was stored" in skipped.reason) == ("skipped", True)
    with lake.connect() as con:
        moved = con.sql("SELECT * FROM events").to_arrow_table()
    lake.overwrite_partitions("events", moved, None)
    assert [tick.result for tick in train_due(training)] == ["skipped"]
    assert [tick.result for tick in train_due(training, force=True)] == ["trained"]
    lake.append("events", events_table([answer("reacted", "i-c0-0-0", "new", reaction="save")]))
    assert [tick.result for tick in train_due(training)] == ["trained"]


def test_a_failed_run_is_told_recorded_and_tried_again(tmp_path: Path) -> None:
    rows = traffic()
    lake = lake_of(tmp_path, [one for one in rows if one["type"] == "clip_registered"])
    training = Training(lake, clock, parameters=SMALL)
    (failed,) = train_due(training)
    assert (failed.result, "no impression" in failed.reason) == ("failed", True)
    lake.append("events", events_table([one for one in rows if one["type"] != "clip_registered"]))
    assert [tick.result for tick in train_due(training)] == ["trained"]
    assert [run.status for run in read_runs(lake)] == ["failed", "succeeded"]


def test_the_schedule_trains_again_and_again_until_it_is_stopped(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic(prompts=22))
    training = Training(lake, lambda: dt.datetime.now(dt.UTC), parameters=SMALL)
    stop = threading.Event()
    ticks: list[Tick] = []
    thread = threading.Thread(
        target=run_schedule,
        args=(lambda: train_due(training, report=ticks.append), "1s", stop),
        kwargs={"last": last_start(lake), "clock": training.clock},
        daemon=True,
    )
    thread.start()
    try:
        until(lambda: len(ticks) >= 3)
    finally:
        stop.set()
        thread.join(300)
    assert not thread.is_alive()
    assert [tick.result for tick in ticks[:3]] == ["trained", "skipped", "skipped"]


def _train_forever(folder: Path) -> None:
    def wait(stage: str, done: int, total: int) -> None:
        if stage == "statistics":
            (folder / "training").touch()
            signal.pause()

    train_due(Training(Lake(folder), clock, parameters=SMALL), progress=wait)


def test_two_processes_never_train_at_once_and_a_killed_one_does_not_block_the_next(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    process = multiprocessing.get_context("spawn").Process(target=_train_forever, args=(tmp_path,))
    process.start()
    try:
        until((tmp_path / "training").exists)
        (busy,) = train_due(Training(lake, clock, parameters=SMALL))
        assert (busy.result, "another process is training" in busy.reason) == ("busy", True)
    finally:
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert [tick.result for tick in train_due(Training(lake, clock, parameters=SMALL))] == ["trained"]
    statuses = {run.status: run.error for run in read_runs(lake)}
    assert set(statuses) == {"failed", "succeeded"}
    assert "killed" in str(statuses["failed"])


def test_a_stop_ends_the_run_under_way_at_its_next_stage(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    stop = threading.Event()

    def stop_at_once(stage: str, done: int, total: int) -> None:
        stop.set()

    training = Training(lake, lambda: dt.datetime.now(dt.UTC), parameters=SMALL)
    run_schedule(
        lambda: train_due(training, progress=until_stopped(stop, stop_at_once)),
        "1d",
        stop,
        last=last_start(lake),
        clock=training.clock,
    )
    (run,) = read_runs(lake)
    assert run.status == "failed"
    assert "asked to end" in str(run.error)
