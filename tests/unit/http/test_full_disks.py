"""A disk that is really full: each part that has to write says that it is not ready, and goes on when there is room."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.disks import SmallDisk, small_disk
from tests.support.builders import block, watched
from tests.support.waiting import until
from tests.unit.collector.conftest import Collector
from tests.unit.serving.running import Serving

from clapometer.collector import CollectorConfig
from clapometer.eventlog import EmbeddedLog
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path, megabytes=24) as mounted:
        yield mounted


def events(batch: int) -> list[dict[str, object]]:
    """Returns a hundred events."""
    head = {
        "specversion": "1.0", "source": "/full", "type": "clapometer.watched.v1", "time": "2026-05-01T12:00:00Z",
    }  # fmt: skip
    names = [f"{batch}-{number}" for number in range(100)]
    return [{**head, "id": name, "data": {"impression_id": name, "watched_ms": 1}} for name in names]


def test_a_collector_whose_log_has_no_room_is_not_ready_and_keeps_all_that_it_acknowledged(disk: SmallDisk) -> None:
    collector = Collector(disk.folder, CollectorConfig())
    batches = itertools.count()
    acknowledged: list[str] = []

    def taken() -> bool:
        sent = events(next(batches))
        status = collector.post(sent).status_code
        assert status in {202, 503}
        if status == 202:
            acknowledged.extend(str(event["id"]) for event in sent)
        return status == 202

    try:
        assert taken()
        assert collector.http.get("/readyz").status_code == 200
        disk.fill()
        until(lambda: not taken(), every=0)
        ready = collector.http.get("/readyz")
        assert ready.status_code == 503, ready.text
        assert "the disk of the event log" in ready.text
        disk.empty()
        until(lambda: collector.http.get("/readyz").status_code == 200)
        assert taken()
        assert sorted(collector.stored_ids()) == sorted(acknowledged)
    finally:
        collector.stop()


def test_a_loader_whose_lake_has_no_room_fails_and_loses_nothing_while_serving_stays_ready(
    disk: SmallDisk, tmp_path: Path
) -> None:
    log, lake = EmbeddedLog(tmp_path / "log", max_bytes=1 << 26), Lake(disk.folder / "lake")
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    log.append_many([block([watched("first")])])
    loader.load_once()
    publish(lake)
    serving = Serving(lake.storage.published)
    try:
        disk.fill()
        log.append_many([block([watched(f"{number}") for number in range(500)])])
        with pytest.raises(Exception, match=r"No space left|os error 28"):
            loader.load_once()
        assert serving.get("/readyz").json() == {"status": "ready", "lake": "open"}
        disk.empty()
        loader.load_once()
        assert lake.rows("events") == 501
        assert serving.get("/readyz").json() == {"status": "ready", "lake": "open"}
    finally:
        serving.stop()
        loader.close()
        log.close()
