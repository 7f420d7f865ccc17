"""The index of keys: exact, caught up from the lake, disposable."""

import datetime as dt
import random

import numpy as np
import pyarrow as pa
import pytest
from tests.builders import NOW

from clapometer.lake import TABLES, Lake
from clapometer.lake import dedupe as module
from clapometer.lake.dedupe import KeyIndex

TODAY = NOW.date()
SCHEMA = TABLES["events"][0]


def store(lake: Lake, keys: list[int], *, days_ago: int = 0) -> None:
    """Appends events with these keys; their payload hash is the key plus one."""
    count = len(keys)
    at = NOW - dt.timedelta(days=days_ago)
    filled = {"event_key": keys, "payload_hash": [key + 1 for key in keys], "received_date": [at.date()] * count}
    filled |= {name: [at] * count for name in ("time", "client_time", "received_at")}
    filled |= {name: ["x"] * count for name in ("tenant", "type", "source", "id", "trust")}
    columns = [pa.array(filled.get(field.name, [None] * count), field.type) for field in SCHEMA]
    lake.append("events", pa.table(columns, schema=SCHEMA))


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake")


@pytest.fixture
def make(lake, tmp_path):
    def make(**settings: int) -> KeyIndex:
        lake.version("events")
        index = KeyIndex(lake.table("events"), tmp_path / "keys", **settings)
        index.refresh(TODAY)
        return index

    return make


def has(index: KeyIndex, keys: list[int]) -> list[bool]:
    return index.contains(np.array(keys, np.int64)).tolist()


def test_an_empty_index_contains_nothing(make):
    assert has(make(), [1, 2, 0]) == [False, False, False]
    assert has(make(), []) == []


def test_it_contains_exactly_what_was_committed(lake, make, monkeypatch):
    monkeypatch.setattr(module, "MAX_RUN", 150)
    index, chance, stored = make(), random.Random(1), set()
    for _ in range(12):
        keys = chance.sample(range(2000), chance.randrange(1, 60))
        store(lake, keys)
        lake.version("events")
        index.refresh(TODAY)
        stored |= set(keys)
        asked = chance.sample(range(2000), 500)
        assert has(index, asked) == [key in stored for key in asked]
    some = sorted(stored)[:5]
    assert index.payloads(np.array([*some, 5000])) == {key: {key + 1} for key in some}


def test_it_is_the_same_after_a_restart_with_and_without_its_files(lake, make, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAPPED_RUN", 50)
    index = make()
    store(lake, list(range(0, 300, 2)))
    lake.version("events")
    index.refresh(TODAY)
    index.save()
    store(lake, [1, 3, 5])
    assert has(make(), [0, 1, 2, 3, 7, 298, 300]) == [True, True, True, True, False, True, False]
    for path in (tmp_path / "keys").iterdir():
        path.unlink()
    assert has(make(), [0, 1, 2, 3, 7, 298, 300]) == [True, True, True, True, False, True, False]


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json", b'{"format": 1, "version": 1, "entry": "x", "runs": {}}'])
def test_a_damaged_cache_is_made_again(lake, make, tmp_path, damage):
    store(lake, [1, 2])
    make().save()
    (tmp_path / "keys" / "manifest.json").write_bytes(damage)
    assert has(make(), [1, 2, 3]) == [True, True, False]


def test_a_missing_run_is_made_again(lake, make, tmp_path):
    store(lake, [1, 2])
    make().save()
    for path in (tmp_path / "keys").glob("*.run"):
        path.unlink()
    assert has(make(), [1, 2, 3]) == [True, True, False]


def test_the_cache_of_a_lake_that_lost_its_tail_is_not_believed(make, lake, tmp_path):
    store(lake, [1])
    store(lake, [2])
    make().save()
    entry = tmp_path / "lake" / "events" / "_delta_log" / f"{2:020d}.json"
    entry.unlink()
    recovered = Lake(tmp_path / "lake")
    recovered.version("events")
    index = KeyIndex(recovered.table("events"), tmp_path / "keys")
    index.refresh(TODAY)
    assert has(index, [1, 2]) == [True, False]
    store(recovered, [3])
    again = Lake(tmp_path / "lake")
    again.version("events")
    index = KeyIndex(again.table("events"), tmp_path / "keys")
    index.refresh(TODAY)
    assert has(index, [1, 2, 3]) == [True, False, True]


def test_it_forgets_what_is_older_than_the_window_and_nothing_younger(lake, make):
    for days_ago in range(10):
        store(lake, [days_ago], days_ago=days_ago)
    index = make(window_days=7)
    assert has(index, list(range(8))) == [True] * 8
    assert has(index, [9]) == [False]
    for _ in range(2):
        index.save()
        index.refresh(TODAY + dt.timedelta(days=3))
    index.save()
    assert has(index, [0, 4, 8]) == [True, True, False]


def test_it_reads_older_days_again_when_an_old_backlog_comes(lake, make):
    store(lake, [1], days_ago=20)
    store(lake, [2])
    index = make(window_days=7)
    assert has(index, [1, 2]) == [False, True]
    index.refresh(TODAY - dt.timedelta(days=19))
    assert has(index, [1, 2]) == [True, True]
    index.save()
    assert has(make(window_days=7), [1, 2]) == [True, True]


def test_it_reads_nothing_before_it_is_asked_to(lake, make):
    store(lake, [1])
    index = make()
    index.save()
    index.refresh(None)
    assert has(index, [1]) == [True]
