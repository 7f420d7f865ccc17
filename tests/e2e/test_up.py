"""``clapometer up`` as one service: what goes in over HTTP can be asked for in SQL, and ending it loses nothing."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tests.e2e.running import RunningService
from tests.support.waiting import until


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(tmp_path)
    yield running
    if running.process is not None and running.process.poll() is None:
        running.kill()


def watched(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/up-test",
        "type": "clapometer.watched.v1",
        "time": dt.datetime.now(dt.UTC).isoformat(),
        "data": {"impression_id": f"i{number}", "watched_ms": number},
    }


def seen(service: RunningService) -> int:
    published = service.lake / "clapometer.duckdb"
    if not published.exists():
        return 0
    with duckdb.connect(str(published), read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE source = '/up-test'").fetchone()
    return 0 if row is None else int(row[0])


def test_an_event_is_seen_by_plain_duckdb_while_everything_runs(service: RunningService) -> None:
    key = service.secret_key()
    service.start("serving")
    assert service.post("/v1/events", key, [watched(1)])["accepted"] == 1
    until(lambda: seen(service) == 1)
    assert service.stop() == 0


def test_what_was_acknowledged_just_before_the_end_is_in_the_lake_after_it(service: RunningService) -> None:
    key = service.secret_key()
    service.start("collector")  # the loader may still be starting when it is told to end
    for batch in range(20):
        answer = service.post("/v1/events", key, [watched(500 * batch + number) for number in range(500)])
        assert answer["accepted"] == 500
    assert service.stop() == 0
    assert seen(service) == 10_000


def test_a_second_up_in_the_same_place_says_which_ports_are_taken(service: RunningService) -> None:
    service.start()
    with pytest.raises(AssertionError, match="collector_port, serving_port: Address already in use"):
        service.command("up")
    assert service.stop() == 0


def test_a_ranking_that_is_not_there_yet_is_explained(service: RunningService) -> None:
    service.start("collector")
    until((service.lake / "clapometer.duckdb").exists)
    with pytest.raises(AssertionError, match="no ranking has been computed yet"):
        service.command("rank")
    assert service.stop() == 0
