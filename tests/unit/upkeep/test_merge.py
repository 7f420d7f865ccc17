"""Upkeep: fewer files, the same rows, and no reader broken."""

import datetime as dt
import os
import threading
import time
from dataclasses import replace

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.builders import NOW, block, impression, registered, watched
from tests.support.waiting import until
from tests.unit.lake.test_tables import letters, reasons

from clapometer.domain import TransientError
from clapometer.eventlog import MemoryLog
from clapometer.folding.fold import refresh_outcomes
from clapometer.lake.delta.table import Table
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.published.publish import publish
from clapometer.lake.schema import WATCHING_COLUMNS, WATCHING_SUFFIX
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.upkeep import merge as maintain
from clapometer.upkeep.merge import UpkeepSettings, compact, keep_up, vacuum

QUICK = UpkeepSettings(interval_s=0.02, vacuum_interval_s=0.1, grace_hours=1)


def appended(lake: Lake, count: int, start: int = 0) -> list[str]:
    """Appends a file of one row ``count`` times; returns the rows' reasons in order."""
    names = [f"{number:04d}" for number in range(start, start + count)]
    for name in names:
        lake.append("rejected", letters(name))
    return names


def event_rows(schema: pa.Schema, numbers: range, **given: list[object]) -> pa.Table:
    """Returns rows of ``events`` with what every event has, and what is given."""
    rows = len(numbers)
    given |= {name: [text] * rows for name, text in {"tenant": "default", "source": "/test", "trust": "key"}.items()}
    given |= {name: [NOW] * rows for name in ("time", "client_time", "received_at")}
    given |= {"id": [f"event {n * 7919 % 1_000_003}" for n in numbers], "event_key": list(numbers)}
    given |= {"payload_hash": [1] * rows, "received_date": [NOW.date()] * rows}
    return pa.table([pa.array(given.get(field.name, [None] * rows), field.type) for field in schema], schema=schema)


def watch_reports(lake: Lake, files: int, rows: int) -> None:
    """Adds files of watch reports, each of another impression, as the loader leaves them."""
    table = lake.table("events")
    schema = pa.schema([field for field in table.schema if field.name in WATCHING_COLUMNS - {"received_date"}])
    values = {"received_date": str(NOW.date())}
    for number in range(files):
        numbers = range(number * rows, (number + 1) * rows)
        shown = [f"shown {n}" for n in numbers]
        path = table.new_file(values, WATCHING_SUFFIX)
        pq.write_table(event_rows(schema, numbers, type=["watched"] * rows, impression_id=shown), path)
        table.commit([table.added(path, values)], {})


def opened(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Opens the published file as a process of its own would: in one process, DuckDB opens a path only once."""
    reader = duckdb.connect()
    reader.execute(f"ATTACH '{lake.storage.published}' AS lake (READ_ONLY); USE lake")
    return reader


def test_few_files_are_left_alone(tmp_path):
    lake = Lake(tmp_path)
    appended(lake, 7)
    version = lake.version("rejected")
    assert compact(lake, QUICK).merged == 0
    assert lake.version("rejected") == version


def test_many_small_files_become_one_with_the_same_rows(tmp_path):
    lake = Lake(tmp_path)
    names = appended(lake, 20)
    report = compact(lake, QUICK)
    assert (report.merged, report.made) == (20, 1)
    assert len(lake.files("rejected")) == 1
    assert reasons(lake) == names
    assert lake.rows("rejected") == 20
    assert reasons(Lake(tmp_path)) == names


def test_what_is_left_of_days_that_are_over_becomes_one_file_each(tmp_path):
    lake = Lake(tmp_path)
    for day in range(1, 8):
        for number in range(3):
            lake.append("rejected", letters(f"{day}-{number}", date=dt.date(2026, 5, day)))
    names = reasons(lake)
    assert compact(lake, QUICK).made == 4
    assert len(lake.files("rejected")) == 4 + 3 * 3
    assert reasons(lake) == names
    assert compact(lake, QUICK).made == 0


def test_merged_files_stay_below_the_target(tmp_path):
    lake = Lake(tmp_path)
    names = appended(lake, 20)
    size = lake.files("rejected")[0].stat().st_size
    compact(lake, UpkeepSettings(target_bytes=5 * size))
    assert len(lake.files("rejected")) == 4
    assert reasons(lake) == names


def test_merged_files_have_no_more_rows_than_can_be_sorted(tmp_path):
    lake = Lake(tmp_path)
    names = appended(lake, 20)
    compact(lake, UpkeepSettings(target_rows=5))
    assert [pq.read_metadata(path).num_rows for path in lake.files("rejected")] == [5] * 4
    assert reasons(lake) == names


def test_files_that_cannot_be_sorted_in_the_memory_are_given_more(tmp_path):
    lake = Lake(tmp_path)
    watch_reports(lake, files=8, rows=40_000)
    compact(lake, UpkeepSettings(memory_mb=32))
    assert (len(lake.files("events")), lake.rows("events")) == (1, 8 * 40_000)


def test_files_too_large_for_any_memory_are_told_and_keep_no_others_from_being_merged(tmp_path):
    lake = Lake(tmp_path)
    names = appended(lake, 20)
    watch_reports(lake, files=8, rows=40_000)
    with pytest.raises(duckdb.OutOfMemoryException):
        compact(lake, UpkeepSettings(memory_mb=8))
    assert (len(lake.files("events")), lake.rows("events")) == (8, 8 * 40_000)
    assert len(lake.files("rejected")) == 1
    assert reasons(lake) == names


def test_many_registrations_are_merged_in_little_memory(tmp_path):
    lake = Lake(tmp_path)
    schema, rows = TABLES["events"][0], 40_000
    for number in range(8):
        numbers = range(number * rows, (number + 1) * rows)
        prompts = [f"a cat on roof {n}" for n in numbers]
        lake.append("events", event_rows(schema, numbers, type=["clip_registered"] * rows, prompt_text=prompts))
    compact(lake, UpkeepSettings(memory_mb=32))
    assert (len(lake.files("events")), lake.rows("events")) == (1, 8 * rows)


def test_a_commit_that_is_there_though_the_disk_failed_after_it_keeps_its_file(tmp_path, monkeypatch):
    lake = Lake(tmp_path)
    names = appended(lake, 8)

    def failing(_):
        monkeypatch.undo()
        msg = "the log could not be brought onto the disk"
        raise TransientError(msg)

    monkeypatch.setattr(Table, "make_durable", failing)
    with pytest.raises(TransientError, match="brought onto the disk"):
        compact(lake, QUICK)
    again = Lake(tmp_path)
    assert len(again.files("rejected")) == 1
    assert reasons(again) == names


def test_whoever_stops_waits_for_one_merging_only(tmp_path):
    lake = Lake(tmp_path)
    appended(lake, 24)
    settings = replace(QUICK, target_rows=8)
    stops = iter([False, True])
    assert compact(lake, settings, until=lambda: next(stops)).made == 1
    assert len(lake.files("rejected")) == 17
    assert compact(lake, settings).made > 1


def test_the_number_of_files_stays_small_however_many_commits_there_are(tmp_path):
    lake = Lake(tmp_path)
    names = []
    for start in range(0, 60, 10):
        names += appended(lake, 10, start)
        compact(lake, QUICK)
        assert len(lake.files("rejected")) < 20
    assert reasons(lake) == names


def test_a_reader_of_the_snapshot_before_goes_on_until_the_grace_time_is_over(tmp_path):
    lake = Lake(tmp_path)
    names = appended(lake, 10)
    publish(lake)
    with duckdb.connect() as reader:
        reader.execute(f"ATTACH '{lake.storage.published}' AS lake (READ_ONLY)")
        compact(lake, QUICK)
        assert vacuum(lake, QUICK).deleted == 0
        assert len(reader.execute("SELECT * EXCLUDE received_at FROM lake.rejected").fetchall()) == 10
    assert vacuum(lake, UpkeepSettings(grace_hours=0)).deleted == 10
    assert reasons(lake) == names
    assert len(list((tmp_path / "rejected").glob("received_date=*/*.parquet"))) == 1
    with duckdb.connect(str(lake.storage.published), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM rejected").fetchall() == [(10,)]


def test_whoever_opened_the_file_long_ago_reads_on_through_loads_compaction_and_vacuum(tmp_path):
    """Files of days ago are merged just now: what counts is when a file was replaced, not how old it is."""
    lake, log = Lake(tmp_path / "lake"), MemoryLog()
    loader = Loader(log, lake, LoadSettings(upkeep=None))

    def load(first: int, commits: int) -> None:
        for number in range(first, first + commits):
            shown = [impression(f"{number}-{n}") for n in range(5)]
            log.append_many([block([registered(f"r{number}", clip=f"c{number}"), *shown], trust="key")])
            loader.load_once()

    load(0, 20)
    refresh_outcomes(lake)
    publish(lake)
    for path in lake.root.rglob("*.parquet"):
        os.utime(path, (path.stat().st_mtime - 3 * 86_400,) * 2)
    busy, idle = opened(lake), opened(lake)
    questions = [
        "SELECT count(*), max(impression_id) FROM events", "SELECT clip_id, model FROM clips ORDER BY ALL",
        "SELECT impression_id, clip_id FROM outcomes ORDER BY ALL",
    ]  # fmt: skip
    expected = [busy.execute(question).fetchall() for question in questions]
    load(20, 20)
    refresh_outcomes(lake, full=True)
    upkeep = UpkeepSettings()
    assert compact(lake, upkeep).merged > 40
    assert vacuum(lake, upkeep).deleted == 0
    load(40, 5)
    for reader in (busy, idle):  # one that read before, and one that opened the file and asks for the first time
        assert [reader.execute(question).fetchall() for question in questions] == expected
    new = opened(lake)
    assert new.execute(questions[0]).fetchall()[0][0] == 45 * 6
    assert vacuum(lake, replace(upkeep, grace_hours=0)).deleted > 40
    with pytest.raises(duckdb.IOException):
        idle.execute(questions[0]).fetchall()
    loader.close()
    for reader in (busy, idle, new):
        reader.close()


def test_a_rewrite_by_someone_else_is_not_undone(tmp_path, monkeypatch):
    lake, other = Lake(tmp_path), Lake(tmp_path)
    appended(lake, 10)
    new_file = maintain.Table.new_file

    def meanwhile(table, *args):
        monkeypatch.setattr(maintain.Table, "new_file", new_file)
        other.overwrite_partitions("rejected", letters("other"), None)
        return new_file(table, *args)

    monkeypatch.setattr(maintain.Table, "new_file", meanwhile)
    assert compact(lake, QUICK).made == 0
    assert reasons(lake) == ["other"]


def test_a_duplicate_of_an_event_in_a_merged_file_is_still_recognised(tmp_path):
    lake, log = Lake(tmp_path), MemoryLog()
    loader = Loader(log, lake, LoadSettings(threads=1), clock=lambda: NOW)
    for number in range(9):
        log.append_many([block([watched(str(number))])])
        loader.load_once()
    assert compact(lake, QUICK).made >= 2
    vacuum(lake, UpkeepSettings(grace_hours=0))
    for one in (loader, Loader(log, Lake(tmp_path), LoadSettings(threads=1), clock=lambda: NOW)):
        log.append_many([block([watched("3"), watched("8", ms=5), watched(f"new-{log.next_offset(0)}")])])
        report = one.load_once()
        assert (report.stored, report.duplicate, report.conflict) == (1, 2, 1)
    assert ledger_difference(lake) == 0


def test_upkeep_goes_on_beside_loading_and_no_reader_ever_fails(tmp_path):
    lake, log, stop = Lake(tmp_path), MemoryLog(), threading.Event()
    settings = LoadSettings(threads=1, linger_s=0.0, poll_s=0.01, publish_interval_s=0.0, upkeep=QUICK)
    loader, errors = Loader(log, lake, settings, clock=lambda: NOW), []
    loader.load_once()
    thread = threading.Thread(target=loader.run, args=(stop,), kwargs={"on_error": errors.append}, daemon=True)
    thread.start()
    sent = 0
    seen = -1
    for _ in range(200):
        log.append_many([block([watched(str(sent))])])
        sent += 1
        with duckdb.connect(config={"threads": 1}) as reader:
            reader.execute(f"ATTACH '{lake.storage.published}' AS lake (READ_ONLY)")
            ((stored,),) = reader.execute("SELECT count(DISTINCT id) FROM lake.events").fetchall()
            ((counted,),) = reader.execute("SELECT coalesce(sum(stored), 0)::INT FROM lake.ledger").fetchall()
        assert stored >= max(seen, counted)
        seen = stored
    stop.set()
    thread.join(300)
    assert errors == []
    assert lake.rows("events") == sent
    assert ledger_difference(lake) == 0


def test_upkeep_that_fails_is_told_and_tried_again(tmp_path, monkeypatch):
    lake, stop, told, reports = Lake(tmp_path), threading.Event(), [], []
    appended(lake, 8)
    merge, failures = maintain._merge, [OSError("disk full")]

    def failing(*args, **named):
        if failures:
            raise failures.pop()
        return merge(*args, **named)

    monkeypatch.setattr(maintain, "_merge", failing)
    run = {"on_report": reports.append, "on_error": told.append}
    thread = threading.Thread(target=keep_up, args=(lake, QUICK, stop), kwargs=run, daemon=True)
    thread.start()
    until(lambda: reports)
    stop.set()
    thread.join(300)
    assert [str(error) for error in told] == ["disk full"]
    assert reports[0].made == 1


def test_a_lake_that_nobody_changed_is_not_looked_through_again(tmp_path):
    lake, stop, looked = Lake(tmp_path), threading.Event(), []
    appended(lake, 1)
    settings = replace(QUICK, vacuum_interval_s=0.0)
    thread = threading.Thread(
        target=keep_up, args=(lake, settings, stop), kwargs={"also": lambda: looked.append(1)}, daemon=True
    )
    thread.start()

    def rounds(count: int) -> None:  # each ends with a vacuum, which publishes
        for _ in range(count):
            before = lake.storage.published.stat().st_mtime_ns
            until(lambda before=before: lake.storage.published.stat().st_mtime_ns != before)

    until(lake.storage.published.exists)
    rounds(3)
    assert len(looked) == 1
    appended(Lake(tmp_path), 1, start=1)
    rounds(3)
    assert len(looked) == 2
    stop.set()
    thread.join(300)


def test_what_fails_for_good_keeps_nothing_else_from_being_done(tmp_path, monkeypatch):
    lake, stop, told, reports = Lake(tmp_path), threading.Event(), [], []
    appended(lake, 8)
    left = lake.storage.temporary(".duckdb")
    left.write_bytes(b"half")
    os.utime(left, (time.time() - 7200, time.time() - 7200))

    def failing(what):
        raise OSError(what)

    monkeypatch.setattr(maintain, "_merge", lambda *_, **__: failing("cannot be merged"))
    run = {"on_report": reports.append, "on_error": told.append, "also": lambda: failing("cannot be erased")}
    thread = threading.Thread(target=keep_up, args=(lake, QUICK, stop), kwargs=run, daemon=True)
    thread.start()
    until(lambda: reports)
    stop.set()
    thread.join(300)
    assert reports[0].deleted == 1
    assert not left.exists()
    assert {str(error) for error in told} == {"cannot be merged", "cannot be erased"}


def test_what_crashed_writers_left_is_deleted_after_the_grace_time(tmp_path):
    lake = Lake(tmp_path)
    appended(lake, 1)
    left = [lake.storage.temporary(".duckdb"), tmp_path / "rejected" / "received_date=2026-05-01" / "left.parquet"]
    young = lake.storage.temporary(".duckdb")
    for path in (*left, young):
        path.write_bytes(b"half")
    for path in left:
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    vacuum(lake, QUICK)
    assert [path.exists() for path in (*left, young)] == [False, False, True]
    assert lake.rows("rejected") == 1
