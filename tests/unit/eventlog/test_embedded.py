"""The embedded log keeps the contract, across restarts, processes and kills."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lmdb
import psutil
import pytest
from tests.contract.eventlog_contract import BoundedLogContract
from tests.support.waiting import until

from clapometer.domain import TerminalError, TransientError
from clapometer.eventlog import DamagedLogError, EmbeddedLog, EventLog, Position, known_identity

APPENDER = """
import sys
from clapometer.eventlog import EmbeddedLog
log = EmbeddedLog(sys.argv[1])
for index in range(int(sys.argv[3])):
    positions = log.append_many([b"%s %d %d" % (sys.argv[2].encode(), index, part) for part in range(3)])
    print(positions[-1].offset, flush=True)
"""


def appender(path: Path, name: str, groups: int) -> subprocess.Popen[str]:
    """Starts a process that appends and prints the last offset of each durable group."""
    command = [sys.executable, "-c", APPENDER, str(path), name, str(groups)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class TestEmbeddedLog(BoundedLogContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.path = tmp_path / "log"

    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        return EmbeddedLog(self.path, max_bytes=max_bytes)

    def test_offsets_go_on_after_trim_and_restart(self):
        log = self.make()
        log.append_many([b"a"] * 10)
        log.trim(0, 10)
        identity = log.identity
        log.close()
        log = self.make()
        assert log.identity == identity
        assert log.next_offset(0) == 10
        assert log.append_many([b"b"]) == [Position(0, 10)]
        assert self.read_all(log, 0) == [(10, b"b")]
        log.close()

    def test_several_processes_append_at_once_and_a_third_reads(self):
        log = self.make()
        writers = [appender(self.path, name, 50) for name in ("one", "two")]
        until(lambda: log.next_offset(0) > 30)
        assert log.read(0, 0, 100)
        for writer in writers:
            assert writer.communicate(timeout=300)
            assert writer.returncode == 0
        records = self.read_all(log, 0)
        assert [offset for offset, _ in records] == list(range(300))
        for name in (b"one", b"two"):
            mine = [block for _, block in records if block.startswith(name)]
            assert mine == [b"%s %d %d" % (name, index, part) for index in range(50) for part in range(3)]
        log.close()

    def test_what_was_acknowledged_before_a_kill_is_there(self):
        log = self.make()
        writer = appender(self.path, "killed", 1_000_000)
        assert writer.stdout is not None
        acknowledged = [int(writer.stdout.readline()) for _ in range(20)][-1]
        os.kill(writer.pid, signal.SIGKILL)
        rest, _ = writer.communicate()
        acknowledged = max([acknowledged, *map(int, rest.split()[:-1])])
        records = self.read_all(log, 0)
        assert len(records) > acknowledged
        assert len(records) % 3 == 0, "a group is in the log as a whole or not at all"
        assert [offset for offset, _ in records] == list(range(len(records)))
        log.append_many([b"the writer's lock died with it"])
        log.close()

    def test_reading_and_trimming_a_long_log_does_not_grow_resident_memory(self):
        log = EmbeddedLog(self.path, max_bytes=1 << 30)
        for _ in range(60):
            log.append_many([b"x" * 50_000] * 100)
        process = psutil.Process()
        before, highest, offset = process.memory_info().rss, 0, 0
        while records := log.read(0, offset, 4 << 20):
            offset = records[-1].offset + 1
            highest = max(highest, process.memory_info().rss)
        log.trim(0, offset)
        highest = max(highest, process.memory_info().rss)
        assert offset == 6000
        assert highest - before < 130 << 20, "300 MB were read"
        log.close()

    def test_the_file_does_not_grow_when_blocks_are_trimmed_as_they_come(self):
        log = EmbeddedLog(self.path, max_bytes=32 << 20)
        for index in range(60):
            log.append_many([b"x" * (700 + 13 * index)] * 2000)
            log.trim(0, log.next_offset(0) - 4000)
        assert (self.path / "data.mdb").stat().st_size < 40 << 20
        log.close()

    def test_a_log_of_a_newer_format_is_refused(self):
        self.make().close()
        env = lmdb.open(str(self.path), max_dbs=2)
        with env.begin(write=True, db=env.open_db(b"meta")) as txn:
            txn.put(b"format", b"99")
        env.close()
        with pytest.raises(TerminalError, match="format 99"):
            self.make()

    def test_a_closed_log_says_so(self):
        log = self.make()
        log.close()
        with pytest.raises(TerminalError, match="closed"):
            log.append_many([b"a"])


def test_a_scrub_leaves_nothing_of_dropped_blocks_and_all_of_the_others(tmp_path: Path) -> None:
    log = EmbeddedLog(tmp_path / "log")
    for n in range(40):
        log.append_many([b"dropped-secret %d " % n * 30, b"x" * 9_000])
    kept = log.next_offset(0)
    log.append_many([b"kept %d" % n for n in range(5)])
    log.trim(0, kept)
    log.scrub()
    log.append_many([b"later"])
    assert [record.block for record in log.read(0, 0, 1 << 20)] == [*(b"kept %d" % n for n in range(5)), b"later"]
    log.close()
    assert b"dropped-secret" not in (tmp_path / "log" / "data.mdb").read_bytes()


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """Returns the folder of a log with a megabyte of blocks."""
    log = EmbeddedLog(tmp_path / "log")
    for _ in range(8):
        log.append_many([os.urandom(1 << 17)])
    log.close()
    return tmp_path / "log"


@pytest.mark.parametrize("kept", [0, 1, 4096, 8192, 12288, 40_960, 500_000])
def test_a_file_that_was_cut_is_told_and_neither_taken_for_a_new_log_nor_read(filled: Path, kept: int) -> None:
    identity = known_identity(filled)
    os.truncate(filled / "data.mdb", kept)
    with pytest.raises(DamagedLogError) as told:
        EmbeddedLog(filled)
    assert told.value.identity == identity != ""
    for said in (str(filled / "data.mdb"), "Lost for certain is what was acknowledged and not loaded yet", "restore"):
        assert said in str(told.value)
    assert (filled / "data.mdb").stat().st_size == kept


def test_a_file_that_is_gone_is_no_new_log(filled: Path) -> None:
    (filled / "data.mdb").unlink()
    with pytest.raises(DamagedLogError, match=r"data\.mdb is gone"):
        EmbeddedLog(filled)
    assert not (filled / "data.mdb").exists()


def test_the_file_of_another_log_is_not_taken_for_this_one(filled: Path, tmp_path: Path) -> None:
    EmbeddedLog(tmp_path / "other").close()
    (tmp_path / "other" / "data.mdb").replace(filled / "data.mdb")
    with pytest.raises(DamagedLogError, match="is another log"):
        EmbeddedLog(filled)


def test_a_log_of_before_the_identity_was_written_down_is_opened_and_keeps_its_own(filled: Path) -> None:
    identity = known_identity(filled)
    (filled / "identity").unlink()
    log = EmbeddedLog(filled)
    assert (log.identity, log.next_offset(0)) == (identity, 8)
    log.close()
    assert known_identity(filled) == identity


def test_a_file_that_lacks_only_pages_with_nothing_on_them_is_opened(filled: Path) -> None:
    log = EmbeddedLog(filled)
    log.trim(0, 8)
    log.append_many([b"little"])  # the end of the file is free now
    log.append_many([b"more"])
    log.close()
    os.truncate(filled / "data.mdb", (filled / "data.mdb").stat().st_size - 4096)
    log = EmbeddedLog(filled)
    assert [record.block for record in log.read(0, 0, 1 << 20)] == [b"little", b"more"]
    log.close()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """No file of this process may grow beyond ``size`` meanwhile, as on a disk without room."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_log_whose_file_cannot_grow_is_not_ready_although_it_takes_a_little(tmp_path):
    log = EmbeddedLog(tmp_path / "log")
    log.append_many([b"x" * 100_000])
    with no_file_larger_than((tmp_path / "log" / "data.mdb").stat().st_size):
        with pytest.raises(TransientError):
            log.append_many([b"y" * 500_000])
        assert not log.ready()
    assert log.ready()
    assert [len(record.block) for record in log.read(0, 0, 1 << 20)] == [100_000]
    log.close()
