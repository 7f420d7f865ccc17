"""Tables of the lake: durable commits, snapshots, application transactions."""

import datetime as dt
import errno
import os
import threading
import time
from pathlib import Path

import pyarrow as pa
import pytest

from clapometer.domain import TerminalError, TransientError
from clapometer.lake.delta.durable import fsync
from clapometer.lake.delta.table import REOPEN_INTERVAL, CommitConflictError
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake

DAY = dt.date(2026, 5, 1)


def letters(*reasons: str, date: dt.date = DAY) -> pa.Table:
    """Returns rows of ``rejected``."""
    at = dt.datetime.combine(date, dt.time(), dt.UTC)
    rows = [{"tenant": "a", "reason": reason, "received_at": at, "received_date": date} for reason in reasons]
    return pa.Table.from_pylist(rows, schema=TABLES["rejected"][0])


def reasons(lake: Lake, version: int | None = None) -> list[str]:
    """Returns the reasons that a version of ``rejected`` holds."""
    with lake.connect({} if version is None else {"rejected": version}, threads=1) as connection:
        return [reason for (reason,) in connection.execute("SELECT reason FROM rejected ORDER BY 1").fetchall()]


def test_rows_that_lack_a_column_are_refused(tmp_path):
    with pytest.raises(TerminalError, match="rejected"):
        Lake(tmp_path).append("rejected", pa.table({"tenant": ["a"]}))


def test_rows_with_a_column_of_another_type_are_refused(tmp_path):
    wrong = letters("x").set_column(0, "partition", pa.array(["not a number"]))
    with pytest.raises(TerminalError, match="rejected"):
        Lake(tmp_path).append("rejected", wrong)


def test_a_folder_that_cannot_be_one_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(TerminalError, match="cannot be used"):
        Lake(tmp_path / "file")


def test_every_table_of_an_empty_lake_reads_as_empty_with_its_columns(tmp_path):
    with Lake(tmp_path).connect(threads=1) as connection:
        for name, (schema, _) in TABLES.items():
            table = connection.sql(f"SELECT * FROM {name}").to_arrow_table()
            assert (table.column_names, table.num_rows) == (schema.names, 0)
            assert [field.type for field in table.schema] == [field.type for field in schema]


def test_a_version_is_read_for_ever_whatever_is_committed_later(tmp_path):
    lake = Lake(tmp_path)
    first = lake.append("rejected", letters("one"))
    second = lake.append("rejected", letters("two", "three", date=dt.date(2026, 5, 2)))
    lake.overwrite_partitions("rejected", letters("four"), [DAY])
    assert reasons(lake, first) == ["one"]
    assert reasons(lake, second) == ["one", "three", "two"]
    assert reasons(lake) == ["four", "three", "two"]
    assert (lake.rows("rejected", first), lake.rows("rejected")) == (1, 3)


def test_overwriting_touches_only_the_dates_that_are_named(tmp_path):
    lake = Lake(tmp_path)
    lake.append("rejected", letters("old"))
    lake.append("rejected", letters("kept", date=dt.date(2026, 5, 2)))
    with pytest.raises(TerminalError, match="2026-05-02"):
        lake.overwrite_partitions("rejected", letters("new", date=dt.date(2026, 5, 2)), [DAY])
    lake.overwrite_partitions("rejected", letters(), [DAY])
    assert reasons(lake) == ["kept"]
    lake.overwrite_partitions("rejected", letters("all"), None)
    assert reasons(lake) == ["all"]


def test_application_transactions_and_metadata_are_part_of_the_commit(tmp_path):
    lake = Lake(tmp_path)
    assert lake.txn("rejected", "app") is None
    version = lake.append("rejected", letters("one"), {"app": 7}, {"why": "because"})
    other = Lake(tmp_path)
    assert other.txn("rejected", "app") == 7
    assert [(each.version, each.metadata["why"]) for each in other.commits("rejected", 0)] == [(version, "because")]
    assert list(other.commits("rejected", version)) == []


def test_commits_are_numbered_rightly_while_somebody_else_commits(tmp_path):
    behind, ahead = Lake(tmp_path).open_table("rejected"), Lake(tmp_path)
    for number in range(3):
        ahead.append("rejected", letters("one"), metadata={"number": str(number)})
    behind.refresh()
    ahead.append("rejected", letters("later"), metadata={"number": "later"})
    found = [(each.version, each.metadata["number"]) for each in behind.commits(1)]
    assert found == [(2, "1"), (3, "2")]


def test_a_commit_whose_sync_failed_is_written_anew_before_it_counts_as_durable(tmp_path, monkeypatch):
    table = Lake(tmp_path).open_table("rejected")
    table.make_durable()
    failing = [True]
    synced: list[Path] = []

    def broken(path: Path) -> None:
        if failing[0] and path.suffix == ".json":
            raise OSError(errno.EIO, "the disk failed")
        fsync(path)
        synced.append(path)

    monkeypatch.setattr("clapometer.lake.delta.log.fsync", broken)
    added = table.write(letters("one"))
    with pytest.raises(TransientError, match="the log of rejected could not be brought onto the disk"):
        table.commit(added, {})
    entry = tmp_path / "rejected" / "_delta_log" / f"{1:020d}.json"
    before, content = entry.stat().st_ino, entry.read_bytes()
    failing[0] = False
    table.make_durable()
    assert entry.stat().st_ino != before
    assert entry.read_bytes() == content
    assert entry in synced
    assert reasons(Lake(tmp_path)) == ["one"]


def test_of_two_writers_with_one_application_transaction_the_slower_one_hears_of_it(tmp_path):
    slow, fast = Lake(tmp_path), Lake(tmp_path)
    assert slow.txn("rejected", "app") is None
    fast.append("rejected", letters("fast"), {"app": 1})
    with pytest.raises(CommitConflictError):
        slow.append("rejected", letters("slow"), {"app": 1})
    assert reasons(slow) == ["fast"]


def test_a_table_that_is_committed_to_for_long_has_a_recent_checkpoint_and_lost_nothing(tmp_path):
    lake, reader = Lake(tmp_path), Lake(tmp_path)
    reader.version("rejected")
    for number in range(2 * REOPEN_INTERVAL + 3):
        lake.append("rejected", letters(f"{number:03d}"), {"app": number})
    versions = [int(path.name[:20]) for path in (tmp_path / "rejected" / "_delta_log").glob("*.checkpoint.parquet")]
    assert lake.version("rejected") - max(versions) < REOPEN_INTERVAL
    assert reader.txn("rejected", "app") == 2 * REOPEN_INTERVAL + 2
    assert reasons(reader) == [f"{number:03d}" for number in range(2 * REOPEN_INTERVAL + 3)]


def test_the_log_of_a_table_that_is_committed_to_every_second_does_not_grow_for_ever(tmp_path):
    lake, log = Lake(tmp_path), tmp_path / "rejected" / "_delta_log"
    two_days_ago = time.time() - 2 * 86_400
    for number in range(3 * REOPEN_INTERVAL):
        lake.append("rejected", letters(f"{number:03d}"), {"app": number})
        entry = log / f"{number:020d}.json"
        if number < 2 * REOPEN_INTERVAL:
            for path in (entry, *log.glob(f"{number:020d}.checkpoint.parquet")):
                os.utime(path, (two_days_ago, two_days_ago))
    assert len(list(log.glob("*.json"))) < 2 * REOPEN_INTERVAL + 2
    assert len(reasons(Lake(tmp_path))) == 3 * REOPEN_INTERVAL


def test_two_rewrites_at_once_do_not_both_succeed(tmp_path):
    lake = Lake(tmp_path)
    lake.append("rejected", letters("one"))
    table = lake.table("rejected")
    table.refresh()
    stale, serial = table.files(), (table.txn("clapometer-rewrites") or 0) + 1
    Lake(tmp_path).overwrite_partitions("rejected", letters("two"), None)
    with pytest.raises(CommitConflictError):
        table.commit(table.removed(stale), {"clapometer-rewrites": serial})
    assert reasons(lake) == ["two"]


def test_writers_without_a_common_transaction_all_succeed(tmp_path):
    Lake(tmp_path).version("rejected")

    def write(name: int) -> None:
        lake = Lake(tmp_path)
        for index in range(5):
            lake.append("rejected", letters(f"{name}-{index}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(reasons(Lake(tmp_path)))) == 15


def test_rankings_of_before_are_read_in_todays_words(tmp_path: Path) -> None:
    words = ("winner", "loser", "not enough evidence", "explore", None)
    lake = Lake(tmp_path)
    blank = dict.fromkeys(TABLES["rankings"][0].names)
    rows = [blank | {"item": str(n), "verdict": word} for n, word in enumerate(words)]
    lake.append("rankings", pa.Table.from_pylist(rows, schema=TABLES["rankings"][0]))
    with lake.connect() as con:
        found = con.execute("SELECT verdict FROM rankings ORDER BY item").fetchall()
    assert [word for (word,) in found] == ["keep", "stop", "not enough evidence", "explore", None]
