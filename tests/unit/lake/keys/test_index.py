"""The index of keys: exact, caught up from the lake, disposable."""

import contextlib
import datetime as dt
import os
import random
import shutil
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest
from tests.support.builders import NOW

from clapometer.lake.keys import index as module
from clapometer.lake.keys import runs as key_runs
from clapometer.lake.keys.index import KeyIndex
from clapometer.lake.keys.runs import map_run, merge_runs, sort_run, store_run
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake

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
        made.append(index)
        return index

    made: list[KeyIndex] = []
    yield make
    for index in made:
        crash(index)


def crash(index: KeyIndex) -> None:
    """Ends an index as the end of its process would."""
    index._merger.shutdown()
    with contextlib.suppress(OSError):
        os.close(index._claim)


@pytest.fixture
def small_runs(monkeypatch):
    monkeypatch.setattr(module, "STORED_RUN", 50)
    monkeypatch.setattr(key_runs, "SLICE", 16)


def has(index: KeyIndex, keys: list[int]) -> list[bool]:
    return index.contains(np.array(keys, np.int64)).tolist()


def test_an_empty_index_contains_nothing(make):
    assert has(make(), [1, 2, 0]) == [False, False, False]
    assert has(make(), []) == []


def test_it_contains_exactly_what_was_committed(lake, make, small_runs):
    index, chance, stored = make(), random.Random(1), set()
    for _ in range(20):
        keys = chance.sample(range(2000), chance.randrange(1, 60))
        store(lake, keys)
        lake.version("events")
        index.refresh(TODAY)
        stored |= set(keys)
        asked = chance.sample(range(2000), 500)
        assert has(index, asked) == [key in stored for key in asked]
    some = sorted(stored)[:5]
    assert index.payloads(np.array([*some, 5000])) == {key: {key + 1} for key in some}
    assert max(len(run) for run in index._all()) > 50, "no files were merged"


def test_of_the_same_key_with_several_payloads_all_are_found_wherever_they_lie(tmp_path, monkeypatch):
    monkeypatch.setattr(key_runs, "SLICE", 4)
    older = sort_run(np.array([5] * 9 + [1, 9]), np.arange(11))
    newer = sort_run(np.array([5] * 6 + [7]), np.arange(20, 27))
    run = merge_runs([older, newer], tmp_path)
    assert run.keys.tolist() == [1, *[5] * 15, 7, 9]
    found: dict[int, set[int]] = {}
    for key, payloads in run.payloads_of(np.array([0, 5, 6, 9])):
        found.setdefault(key, set()).update(payloads)
    assert found == {5: {*range(9), *range(20, 26)}, 9: {10}}


@pytest.mark.parametrize("highest", [5, 100, 5_000, 2**62])
@pytest.mark.parametrize("parts", [1, 2, 5])
def test_a_run_has_what_was_put_into_it_however_keys_lie_in_its_pages(tmp_path, monkeypatch, highest, parts):
    monkeypatch.setattr(key_runs, "SLICE", 700)
    monkeypatch.setattr(key_runs, "ASKED", 64)
    draw = np.random.default_rng(highest + parts)
    for length in (5, 512, 513, 3_000):
        keys, payloads = draw.integers(0, highest, length), draw.integers(0, 9, length)
        cut = zip(np.array_split(keys, parts), np.array_split(payloads, parts), strict=True)
        run = merge_runs([sort_run(*part) for part in cut], tmp_path)
        asked = np.unique(np.concatenate([draw.integers(0, highest, 200), keys[:50], [0, 2**62]]))
        assert np.array_equal(run.has(asked), np.isin(asked, keys))
        expected = {int(key): set(payloads[keys == key].tolist()) for key in asked if key in keys}
        assert dict(run.payloads_of(asked)) == expected
        assert np.array_equal(map_run(run.path).firsts, np.sort(keys)[::512])


def test_a_file_that_is_no_run_is_refused(tmp_path):
    whole = store_run(iter([sort_run(np.arange(600), np.arange(600))]), 600, tmp_path).path
    for damaged in (b"", whole.read_bytes()[:-8], whole.read_bytes() + bytes(8), bytes(8)):
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ValueError, match="is not a run of keys"):
            map_run(tmp_path / "damaged")


def test_many_runs_of_a_day_become_few(lake, make, small_runs):
    index = make()
    for number in range(40):
        store(lake, list(range(100 * number, 100 * number + 60)))
        lake.version("events")
        index.refresh(TODAY)
        if index._merge is not None:
            index._merge.made.result()
    assert next(len(runs) for runs in index._runs.values()) <= 6
    assert sorted(key for run in index._all() for key in run.keys.tolist()) == [
        100 * number + k for number in range(40) for k in range(60)
    ]


def test_long_runs_are_stored_searched_and_merged_in_little_memory(tmp_path):
    draw = np.random.default_rng(7)
    first, second = (np.sort(draw.integers(0, 2**62, 2_000_000)) for _ in range(2))
    runs = [store_run(iter([sort_run(keys, keys // 2)]), len(keys), tmp_path) for keys in (first, second)]
    asked = np.sort(np.concatenate([first[::50], draw.integers(0, 2**62, 40_000)]))
    tracemalloc.start()
    try:
        merged = merge_runs(runs, tmp_path)
        found = merged.has(asked)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(merged.keys, np.sort(np.concatenate([first, second])))
    assert np.array_equal(merged.payloads, merged.keys // 2)
    assert np.array_equal(found, np.isin(asked, first) | np.isin(asked, second))
    assert peak < merged.keys.nbytes, f"{peak:,} bytes were taken for runs of {merged.keys.nbytes:,}"


def test_indexes_of_two_loaders_do_not_touch_each_other(lake, make, small_runs):
    one, two = make(), make()
    for number in range(6):
        store(lake, list(range(100 * number, 100 * number + 70)))
        lake.version("events")
        for index in (one, two):
            index.refresh(TODAY)
            index.save()
    for index in (one, two):
        assert has(index, [0, 69, 70, 569, 570]) == [True, True, False, True, False]
        index.close()
    assert has(make(), [0, 69, 70, 569, 570]) == [True, True, False, True, False]


def test_a_disk_that_fills_up_while_runs_are_merged_costs_nothing(lake, make, small_runs, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "merge_runs", full)
    index = make()
    for number in range(5):
        store(lake, list(range(100 * number, 100 * number + 60)))
        lake.version("events")
        index.refresh(TODAY)
    assert has(index, [0, 59, 60, 459, 460]) == [True, True, False, True, False]


def test_it_is_the_same_after_a_restart_with_and_without_its_files(lake, make, tmp_path, small_runs):
    index = make()
    store(lake, list(range(0, 300, 2)))
    lake.version("events")
    index.refresh(TODAY)
    index.save()
    crash(index)
    store(lake, [1, 3, 5])
    again = make()
    assert has(again, [0, 1, 2, 3, 7, 298, 300]) == [True, True, True, True, False, True, False]
    crash(again)
    shutil.rmtree(tmp_path / "keys")
    assert has(make(), [0, 1, 2, 3, 7, 298, 300]) == [True, True, True, True, False, True, False]


@pytest.mark.parametrize("damage", [b"", b"{}", b"not json", b'{"format": 2, "version": 1, "entry": "x", "runs": {}}'])
def test_a_damaged_cache_is_made_again(lake, make, tmp_path, damage):
    store(lake, [1, 2])
    make().close()
    (tmp_path / "keys" / "0" / "manifest.json").write_bytes(damage)
    assert has(make(), [1, 2, 3]) == [True, True, False]


def test_a_missing_run_is_made_again(lake, make, tmp_path):
    store(lake, [1, 2])
    make().close()
    for path in (tmp_path / "keys").glob("*/*.run"):
        path.unlink()
    assert has(make(), [1, 2, 3]) == [True, True, False]


def test_the_cache_of_a_lake_that_lost_its_tail_is_not_believed(make, lake, tmp_path):
    store(lake, [1])
    store(lake, [2])
    make().close()
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
    index.close()
    assert has(make(window_days=7), [1, 2]) == [True, True]


def test_it_reads_nothing_before_it_is_asked_to(lake, make):
    store(lake, [1])
    index = make()
    index.save()
    index.refresh(None)
    assert has(index, [1]) == [True]
