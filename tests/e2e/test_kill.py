"""The promise: what was answered 202 is in the lake exactly once, whatever happens to the processes."""

import datetime as dt
import itertools
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
from tests.e2e.running import RunningService
from tests.waiting import until

from clapometer.client import SendOptions, SendReport, send
from clapometer.domain import Event
from clapometer.domain.events import Watched, WatchedData
from clapometer.lake import Lake
from clapometer.lake.ledger import ledger_difference

KILLS = 20
RATE = 3_000


def numbered(stop: threading.Event) -> Iterator[Event]:
    """Yields events with ids 0, 1, 2 … until told to stop."""
    now = dt.datetime.now(dt.UTC)
    for number in itertools.count():
        if stop.is_set():
            return
        data = WatchedData(impression_id=f"i{number}", watched_ms=number % 10_000)
        yield Watched(specversion="1.0", id=str(number), source="/kill-test", time=now, data=data)


class Sender(threading.Thread):
    """Sends numbered events until stopped; ``report`` says how many were acknowledged so far."""

    def __init__(self, url: str, key: str) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.report: SendReport | None = None
        self.error: BaseException | None = None
        self._options = SendOptions(url=url, key=key, batch=50, rate=RATE, connections=4, patience_s=120)

    def run(self) -> None:
        try:
            self.report = send(numbered(self.stop), self._options, progress=self._told)
        except BaseException as error:  # noqa: BLE001 - the test reads it
            self.error = error

    def _told(self, report: SendReport) -> None:
        self.report = report

    def acknowledged(self) -> int:
        assert self.error is None, self.error
        return 0 if self.report is None else self.report.acknowledged


def stored(lake: Path) -> tuple[int, int]:
    """Returns the rows and the different ids that plain DuckDB sees."""
    if not (lake / "clapometer.duckdb").exists():
        return 0, 0
    with duckdb.connect(str(lake / "clapometer.duckdb"), read_only=True) as connection:
        row = connection.execute(
            "SELECT count(*), count(DISTINCT id) FROM events WHERE source = '/kill-test'"
        ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def test_every_acknowledged_event_is_in_the_lake_once_after_twenty_kills_of_the_whole_group(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    service = RunningService(tmp_path, log_retention_seconds=0)
    sender = Sender(service.collector, service.secret_key())
    service.start()
    sender.start()
    try:
        for kill in range(KILLS):
            goal = sender.acknowledged() + chance.randrange(200, 2 * RATE)
            until(lambda goal=goal: sender.acknowledged() >= goal, 120)
            if kill % 4 == 0:  # the others strike while the loader starts, this one while it loads
                before = stored(service.lake)[0]
                until(lambda before=before: stored(service.lake)[0] > before, 120)
            service.kill()
            service.start()
        sender.stop.set()
        sender.join(120)
        assert not sender.is_alive()
        acknowledged = sender.acknowledged()
        until(lambda: stored(service.lake)[0] >= acknowledged, 120, every=0.2)
        assert service.stop() == 0
        assert stored(service.lake) == (acknowledged, acknowledged)
        assert ledger_difference(Lake(service.lake)) == 0
    finally:
        sender.stop.set()
        if service.process is not None and service.process.poll() is None:
            service.kill()
