"""Time travel: by the versions of the tables while they are kept, by what was received and recorded further back."""

import datetime as dt
import os
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from tests.support.event_rows import Row, answer, clip, events_table, impression, row

from clapometer.domain import InputError
from clapometer.lake.history import open_then, versions_at
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.takedown.erase import erase_viewers
from clapometer.training.train import train_once

QUERIES = [
    "SELECT count(*) FROM events",
    "SELECT impression_id, watched_ms, liked FROM outcomes ORDER BY ALL",
    "SELECT clip_id, withdrawn FROM clips ORDER BY ALL",
    "SELECT DISTINCT run_id FROM rankings ORDER BY ALL",
    "SELECT run_id FROM runs ORDER BY ALL",
    "SELECT count(*) FROM rejected",
]
WEEK_S = 7 * 86_400


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def receive(lake: Lake, *rows: Row) -> None:
    """Adds events as received now."""
    received = now()
    lake.append("events", events_table([each | {"received_at": received} for each in rows]))


def told(connection: duckdb.DuckDBPyConnection) -> list[list[tuple[object, ...]]]:
    return [connection.execute(query).fetchall() for query in QUERIES]


def forget_versions(lake: Lake) -> None:
    """Makes the log of every table old, so that a checkpoint drops it, as it does after days."""
    for name in TABLES:
        for path in (lake.storage.table(name) / "_delta_log").glob("*.json"):
            old = path.stat().st_mtime - 2 * WEEK_S
            os.utime(path, (old, old))
        lake.version(name)
        lake.table(name).checkpoint()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Three impressions, one of them watched, and a run over them."""
    lake = Lake(tmp_path / "lake")
    receive(lake, clip("c1"), clip("c2", model="m2"), *(impression(f"i{n}") for n in range(3)))
    receive(lake, answer("watched", "i0", "w0", watched_ms=4_000))
    assert train_once(lake, clock=now).run.status == "succeeded"
    return lake


def go_on(lake: Lake) -> None:
    """More of everything: answers to what was there before, new impressions, a clip taken down, a run."""
    receive(lake, answer("watched", "i0", "w1", watched_ms=9_000), answer("reacted", "i1", "r", reaction="like"))
    receive(lake, *(impression(f"later {n}") for n in range(4)), row("clip_withdrawn", "w", clip_id="c2", reason="x"))
    refused = {"tenant": "default", "received_at": now(), "received_date": now().date(), "reason": "bad"}
    lake.append("rejected", pa.Table.from_pylist([refused], schema=TABLES["rejected"][0]))
    assert train_once(lake, clock=now).run.status == "succeeded"


def test_further_back_than_the_log_it_is_told_what_the_versions_told(lake: Lake) -> None:
    moment = now()
    go_on(lake)
    then = open_then(lake, moment)
    assert then.exact
    exact = told(then.connection)
    forget_versions(lake)
    with pytest.raises(InputError, match=r"no longer kept|is not kept"):
        versions_at(lake, moment)
    later = open_then(lake, moment)
    assert not later.exact
    assert told(later.connection) == exact
    assert told(lake.connect()) != exact


def test_a_run_is_told_with_what_it_read(lake: Lake) -> None:
    ((run_id,),) = lake.connect().execute("SELECT run_id FROM runs").fetchall()
    exact = told(open_then(lake, run_id).connection)
    go_on(lake)
    forget_versions(lake)
    later = open_then(lake, run_id)
    assert not later.exact
    assert told(later.connection) == exact


def test_files_that_were_merged_and_deleted_since_are_not_needed(lake: Lake) -> None:
    moment = now()
    exact = told(open_then(lake, moment).connection)
    go_on(lake)
    table = lake.table("outcomes")
    for path in table.stale():
        path.unlink()
    later = open_then(lake, moment)
    assert not later.exact
    assert told(later.connection) == exact


def test_who_was_erased_does_not_come_back(lake: Lake) -> None:
    moment = now()
    go_on(lake)
    receive(lake, row("viewer_erased", "order", viewer_id="viewer of i0"))
    assert erase_viewers(lake, clock=now).viewers == 1
    for _ in range(2):
        then = open_then(lake, moment)
        for query in (
            "SELECT DISTINCT viewer_id FROM events WHERE viewer_id IS NOT NULL ORDER BY ALL",
            "SELECT viewer_id FROM outcomes ORDER BY ALL",
        ):
            assert then.connection.execute(query).fetchall() == [("viewer of i1",), ("viewer of i2",)]
        forget_versions(lake)


@pytest.mark.parametrize("as_of", [dt.datetime(2001, 1, 1, tzinfo=dt.UTC), "no-such-run"])
def test_what_never_was_is_refused(lake: Lake, as_of: dt.datetime | str) -> None:
    forget_versions(lake)
    with pytest.raises(InputError):
        open_then(lake, as_of)
