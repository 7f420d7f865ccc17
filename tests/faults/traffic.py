"""Numbered events through the real HTTP API, and what became of them."""

import datetime as dt
import itertools
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from clapometer.domain import Event
from clapometer.domain.events import Watched, WatchedData
from clapometer.traffic import SendOptions, SendReport, send

BATCH = 50
AGE = dt.timedelta(days=5)
"""How old the events are: young ones would be refused as sent from the future by a clock that jumped back."""

_NUMBER = re.compile(rb'"id":"([0-9]+)"')


def watched_ms(number: int) -> int:
    """Returns what the event of a number says."""
    return number % 9973


def numbered(source: str, stop: threading.Event) -> Iterator[Event]:
    """Yields events with ids 0, 1, 2 … until told to stop; what each says follows from its number."""
    now = dt.datetime.now(dt.UTC) - AGE
    for number in itertools.count():
        if stop.is_set():
            return
        data = WatchedData(impression_id=f"i{number}", watched_ms=watched_ms(number))
        yield Watched(specversion="1.0", id=str(number), source=source, time=now, data=data)


class Sender(threading.Thread):
    """Sends numbered events until stopped, each until it is acknowledged."""

    def __init__(self, url: str, key: str, source: str, *, rate: float = 1000, patience_s: float = 180) -> None:
        super().__init__(daemon=True, name=f"sender-{source}")
        self.source = source
        self.rate = rate
        self._halt = threading.Event()
        self._report: SendReport | None = None
        self._error: BaseException | None = None
        self._options = SendOptions(
            url=url, key=key, batch=BATCH, rate=rate, connections=4, patience_s=patience_s, timeout_s=10,
            first_wait_s=0.02,
        )  # fmt: skip

    def run(self) -> None:
        """Sends; whoever asks for the result hears of an error."""
        try:
            self._report = send(numbered(self.source, self._halt), self._options, progress=self._told)
        except BaseException as error:  # noqa: BLE001 - told by `acknowledged`
            self._error = error

    def acknowledged(self) -> int:
        """Returns how many events were acknowledged so far."""
        if self._error is not None:
            raise self._error
        assert self._report is None or not self._report.rejected, self._report
        return 0 if self._report is None else self._report.acknowledged

    def finish(self, seconds: float = 180) -> int:
        """Stops sending and returns how many events there were: each of them, from 0 on, is acknowledged."""
        self.halt()
        self.join(seconds)
        assert not self.is_alive(), f"{self.source}: not everything is acknowledged after {seconds} s"
        return self.acknowledged()

    def halt(self) -> None:
        """Makes it send no further events."""
        self._halt.set()

    def _told(self, report: SendReport) -> None:
        self._report = report


@dataclass(frozen=True)
class Found:
    """What the lake has of the events that were acknowledged.

    Attributes:
        acknowledged: Events that were answered 202.
        lost: Those that are not in the lake, or say something else there, and are not quarantined either.
        doubled: Rows beyond the first of an event.
        quarantined: Those that are not among the events, but whose bytes are in `rejected` with the reason.
    """

    acknowledged: int
    lost: int
    doubled: int
    quarantined: int = 0


def rows_stored(lake: Path, source: str) -> int:
    """Returns how many events plain DuckDB sees."""
    published = lake / "clapometer.duckdb"
    if not published.exists():
        return 0
    with duckdb.connect(str(published), read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE source = ?", [source]).fetchone()
    assert row is not None
    return int(row[0])


def compare(lake: Path, source: str, acknowledged: int, set_aside: Iterable[int] = ()) -> Found:
    """Compares the events 0 to ``acknowledged`` with what plain DuckDB reads.

    ``set_aside`` are numbers that are known to be in a dead letter which does not hold their bytes.
    """
    with duckdb.connect(str(lake / "clapometer.duckdb"), read_only=True) as connection:
        connection.execute(
            "CREATE TEMP TABLE found AS SELECT CAST(id AS BIGINT) AS number, watched_ms FROM events WHERE source = ?",
            [source],
        )
        row = connection.execute(
            "SELECT count(*) - count(DISTINCT number) FROM found WHERE watched_ms = number % 9973"
        ).fetchone()
        missing = connection.execute(
            "SELECT number FROM range(?) AS sent(number)"
            " ANTI JOIN (SELECT number FROM found WHERE watched_ms = number % 9973) USING (number)",
            [acknowledged],
        ).fetchall()
        blocks = connection.execute("SELECT from_base64(raw) FROM rejected WHERE encoding = 'base64'").fetchall()
    assert row is not None
    aside = {int(number) for (block,) in blocks for number in _NUMBER.findall(block)} | set(set_aside)
    quarantined = sum(number in aside for (number,) in missing)
    return Found(acknowledged, len(missing) - quarantined, int(row[0]), quarantined)
