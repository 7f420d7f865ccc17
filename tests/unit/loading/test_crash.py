"""Kill -9 at random moments: every event of the log is in the lake exactly once."""

import random
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.builders import block, watched

from clapometer.domain import RejectedEvent
from clapometer.eventlog import EmbeddedLog
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader

KILLS = 20


def start(folder: Path) -> "subprocess.Popen[str]":
    """Starts a loader and waits until it is about to load."""
    command = [sys.executable, "-m", "tests.unit.loading.loading_process", str(folder / "log"), str(folder / "lake")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_a_loader_that_is_killed_twenty_times_stores_every_event_once(tmp_path):
    chance = random.Random(20)
    log = EmbeddedLog(tmp_path / "log")
    sent: set[str] = set()
    received = refused = 0
    for _ in range(KILLS):
        for _ in range(30):
            names = [f"{chance.randrange(5000)}" for _ in range(chance.randrange(12))]
            bad = [RejectedEvent(reason="bad", raw=str(received))] * chance.randrange(2)
            log.append_many([block([watched(name) for name in names], rejected=bad)])
            sent |= set(names)
            received += len(names) + len(bad)
            refused += len(bad)
        process = start(tmp_path)
        try:
            process.wait(chance.uniform(0.0, 0.6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it must not have failed by itself"
        process.stdout.close()
    lake = Lake(tmp_path / "lake")
    loader = Loader(log, lake)
    while loader.load_once().blocks:
        pass
    with lake.connect(threads=1) as connection:
        stored = connection.execute("SELECT id FROM events").fetchall()
        counted = connection.execute("SELECT sum(received)::INT, sum(rejected)::INT FROM ledger").fetchall()
    assert sorted(id_ for (id_,) in stored) == sorted(sent)
    assert counted == [(received, refused)]
    assert lake.rows("rejected") == refused
    assert ledger_difference(lake) == 0
    log.close()
