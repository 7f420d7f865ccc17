"""The embedded log keeps the contract, across restarts, processes and kills."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import psutil
import pytest
from tests.contract.eventlog_contract import BoundedLogContract
from tests.waiting import until

from clapometer.domain import TerminalError
from clapometer.eventlog import EmbeddedLog, EventLog, Position

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
            assert writer.communicate(timeout=60)
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
