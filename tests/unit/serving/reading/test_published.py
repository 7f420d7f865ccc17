"""The published file is replaced under its readers, all the time."""

import shutil
import threading
from pathlib import Path

import pytest
from tests.unit.serving.sample_lake import add, run_row

from clapometer.domain import TransientError
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.serving import NotPublishedError, Published


def runs(published: Published) -> int:
    with published.read() as connection:
        (n,) = connection.execute("SELECT count(*) FROM runs").fetchall()[0]
    return int(n)


def grow(lake: Lake, n: int) -> None:
    add(lake, "runs", [run_row(f"run-{n}")])
    publish(lake)


def test_there_may_be_no_file_yet(tmp_path: Path) -> None:
    with pytest.raises(NotPublishedError, match="clapometer load"), Published(tmp_path / "x.duckdb").read():
        pass


def test_a_file_that_is_no_database_is_said_to_be_away(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    path.write_bytes(b"no database at all")
    with pytest.raises(TransientError, match="cannot be opened"), Published(path).read():
        pass


def test_a_reader_keeps_its_snapshot_and_the_next_one_sees_the_new_file(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    grow(lake, 1)
    published = Published(lake.storage.published)
    with published.read() as connection:
        grow(lake, 2)
        assert runs(published) == 2
        assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(1,)]
    assert runs(published) == 2
    published.close()
    published.close()
    assert runs(published) == 2


def test_a_file_that_vanished_is_read_from_the_open_one(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    grow(lake, 1)
    published = Published(lake.storage.published)
    assert runs(published) == 1
    lake.storage.published.unlink()
    assert runs(published) == 1
    published.close()


def test_readers_never_see_fewer_runs_than_before_while_the_file_is_replaced(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    grow(lake, 0)
    published = Published(lake.storage.published)
    done, wrong = threading.Event(), []

    def read_on() -> None:
        last = 0
        while not done.is_set():
            found = runs(published)
            if found < last:
                wrong.append((last, found))
            last = found

    readers = [threading.Thread(target=read_on) for _ in range(3)]
    for reader in readers:
        reader.start()
    for n in range(1, 8):
        grow(lake, n)
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert runs(published) == 8
    published.close()


def test_a_quote_in_the_path_is_part_of_the_path(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "o'lake")
    grow(lake, 1)
    assert runs(Published(lake.storage.published)) == 1


def test_an_opening_in_the_very_moment_of_a_replacement_is_tried_again(tmp_path: Path) -> None:
    """Two files of different layout take each other's place thousands of times a second."""
    lake = Lake(tmp_path / "lake")
    copies = [tmp_path / "one", tmp_path / "other"]
    for copy, rows in zip(copies, (1, 20), strict=True):
        for n in range(rows):
            add(lake, "runs", [run_row(f"{copy.name}-{n}")])
        publish(lake)
        shutil.copyfile(lake.storage.published, copy)
    path, stop = tmp_path / "published", threading.Event()
    path.hardlink_to(copies[0])

    def swap() -> None:
        while not stop.is_set():
            for copy in reversed(copies):  # never a link over itself: that would be no replacement
                (tmp_path / "next").hardlink_to(copy)
                (tmp_path / "next").rename(path)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(40):
            published = Published(path, threads=1)
            assert runs(published) in {1, 21}
            published.close()
    finally:
        stop.set()
        thread.join()
