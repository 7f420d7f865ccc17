"""Blocks are written in groups, everyone hears of theirs, and too many are refused."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from tests.support.waiting import until

from clapometer.domain import LogFullError, TerminalError, TransientError
from clapometer.eventlog import EmbeddedLog, GroupCommitter, MemoryLog, Position


class GatedLog(MemoryLog):
    """A log whose disk stands still until ``gate`` is set."""

    def __init__(self, **limits: int) -> None:
        super().__init__(**limits)
        self.gate = threading.Event()
        self.groups: list[int] = []
        self.failure: Exception | None = None

    def append_many(self, blocks: Sequence[bytes]) -> list[Position]:
        self.groups.append(len(blocks))
        assert self.gate.wait(300)
        if self.failure:
            raise self.failure
        return super().append_many(blocks)


def test_every_waiter_gets_the_position_of_its_own_block(tmp_path):
    log = EmbeddedLog(tmp_path / "log")
    committer = GroupCommitter(log)

    async def send(name: int) -> None:
        for index in range(20):
            block = b"%d %d" % (name, index)
            position = await committer.append(block)
            assert log.read(0, position.offset, 1)[0].block == block

    async def main() -> None:
        await asyncio.gather(*(send(name) for name in range(30)))

    asyncio.run(main())
    assert log.next_offset(0) == 600
    committer.close()
    log.close()


def test_what_arrives_while_a_group_is_written_is_the_next_group():
    log = GatedLog()
    committer = GroupCommitter(log)
    first = committer.submit(b"first")
    until(lambda: log.groups == [1])
    rest = [committer.submit(b"%d" % index) for index in range(50)]
    log.gate.set()
    assert first.result(300) == Position(0, 0)
    assert [future.result(300).offset for future in rest] == list(range(1, 51))
    assert log.groups == [1, 50]
    committer.close()


def test_a_group_is_cut_where_it_would_be_too_large():
    log = GatedLog()
    committer = GroupCommitter(log, max_group_bytes=1000)
    futures = [committer.submit(b"x" * 100)]
    until(lambda: log.groups == [1])
    futures += [committer.submit(b"x" * 400) for _ in range(5)] + [committer.submit(b"x" * 5000)]
    log.gate.set()
    assert [future.result(300).offset for future in futures] == list(range(7))
    assert log.groups == [1, 2, 2, 1, 1]
    committer.close()


def test_more_than_the_limit_is_refused_at_once_and_taken_again_later():
    log = GatedLog()
    committer = GroupCommitter(log, max_pending_bytes=1000)
    waiting = [committer.submit(b"x" * 500), committer.submit(b"x" * 500)]
    with pytest.raises(LogFullError):
        committer.submit(b"x")
    assert committer.pending_bytes == 1000
    log.gate.set()
    assert [future.result(300).offset for future in waiting] == [0, 1]
    until(lambda: committer.pending_bytes == 0)
    assert committer.submit(b"x").result(300).offset == 2
    committer.close()


def test_a_block_larger_than_the_limit_is_taken_when_nothing_else_waits():
    committer = GroupCommitter(MemoryLog(), max_pending_bytes=10)
    assert committer.submit(b"x" * 100).result(300).offset == 0
    committer.close()


def test_a_full_log_is_told_to_every_waiter_and_the_next_group_is_tried():
    log = MemoryLog(max_bytes=10)
    committer = GroupCommitter(log)

    async def main() -> None:
        with pytest.raises(LogFullError):
            await committer.append(b"x" * 11)
        assert (await committer.append(b"x")).offset == 0

    asyncio.run(main())
    committer.close()


def test_an_unexpected_failure_of_the_log_is_a_transient_error():
    log = GatedLog()
    log.gate.set()
    log.failure = OSError("the disk is on fire")
    committer = GroupCommitter(log)
    with pytest.raises(TransientError, match="on fire"):
        committer.submit(b"x").result(300)
    log.failure = None
    assert committer.submit(b"x").result(300).offset == 0
    committer.close()


def test_closing_writes_what_waits_and_takes_nothing_more():
    log = GatedLog()
    committer = GroupCommitter(log)
    futures = [committer.submit(b"%d" % index) for index in range(100)]
    closer = threading.Thread(target=committer.close, daemon=True)
    closer.start()
    log.gate.set()
    closer.join(300)
    assert sorted(future.result(0).offset for future in futures) == list(range(100))
    with pytest.raises(TerminalError):
        committer.submit(b"late")
    committer.close()


def test_a_cancelled_waiter_costs_nobody_else_anything():
    log = GatedLog()
    committer = GroupCommitter(log)

    async def main() -> None:
        gone, stays = committer.append(b"gone"), committer.append(b"stays")
        gone.cancel()
        log.gate.set()
        assert (await stays).offset == 1

    asyncio.run(main())
    committer.close()


def test_waiters_of_several_event_loops_are_all_woken():
    committer = GroupCommitter(MemoryLog())
    offsets: list[int] = []

    async def main() -> None:
        for _ in range(50):
            offsets.append((await committer.append(b"x")).offset)  # noqa: PERF401

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(offsets) == list(range(150))
    committer.close()
