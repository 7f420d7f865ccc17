"""What every event log must pass: inherit ``EventLogContract`` and say how to make one."""

import threading

import pytest

from clapometer.domain import LogFullError
from clapometer.eventlog import EventLog, Position


class EventLogContract:
    """Subclasses give ``make``; the log it returns starts empty and is closed by the test."""

    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        raise NotImplementedError

    @pytest.fixture
    def log(self):
        log = self.make()
        yield log
        log.close()

    def read_all(self, log: EventLog, partition: int, offset: int = 0) -> list[tuple[int, bytes]]:
        """Reads on from ``offset`` to the end, some bytes at a time."""
        read: list[tuple[int, bytes]] = []
        while records := log.read(partition, offset, 1000):
            assert all(record.partition == partition for record in records)
            read += [(record.offset, record.block) for record in records]
            offset = records[-1].offset + 1
        return read

    def test_an_empty_log_reads_as_nothing(self, log):
        assert [log.read(partition, 0, 1000) for partition in log.partitions()] == [[]] * len(log.partitions())

    def test_appending_nothing_gives_no_position(self, log):
        assert log.append_many([]) == []

    def test_a_log_that_takes_blocks_is_ready_and_saying_so_changes_nothing(self, log):
        assert log.ready()
        (position,) = log.append_many([b"a"])
        assert log.ready()
        assert log.next_offset(position.partition) == position.offset + 1
        assert self.read_all(log, position.partition) == [(position.offset, b"a")]

    def test_each_block_is_read_back_at_its_position(self, log):
        blocks = [b"block %d " % index * (index + 1) for index in range(50)]
        positions = log.append_many(blocks[:30]) + log.append_many(blocks[30:])
        found = {(p, offset): block for p in log.partitions() for offset, block in self.read_all(log, p)}
        assert [found[position] for position in positions] == blocks
        assert len(found) == len(blocks)

    def test_blocks_keep_their_order_within_a_partition(self, log):
        positions = [position for index in range(20) for position in log.append_many([b"%d" % index] * 3)]
        for partition in log.partitions():
            offsets = [position.offset for position in positions if position.partition == partition]
            assert offsets == sorted(offsets)
            assert len(set(offsets)) == len(offsets)

    def test_an_offset_is_always_that_of_the_next_record(self, log):
        (position,) = log.append_many([b"a"])
        assert log.next_offset(position.partition) == position.offset + 1
        assert log.read(position.partition, position.offset + 1, 1000) == []

    def test_reading_past_the_end_gives_nothing(self, log):
        (position,) = log.append_many([b"a"])
        assert log.read(position.partition, position.offset + 1000, 1000) == []

    def test_a_block_larger_than_the_limit_is_still_read(self, log):
        (position,) = log.append_many([b"x" * 5000])
        assert [record.block for record in log.read(position.partition, position.offset, 10)] == [b"x" * 5000]

    def test_a_read_returns_about_the_bytes_asked_for(self, log):
        positions = log.append_many([b"x" * 100] * 100)
        records = log.read(positions[0].partition, positions[0].offset, 1000)
        assert 1 <= len(records) <= 20

    def test_a_block_of_a_megabyte_and_an_empty_one_survive(self, log):
        blocks = [b"", b"y" * (1 << 20), b"", b"z"]
        positions = log.append_many(blocks)
        found = {(p, offset): block for p in log.partitions() for offset, block in self.read_all(log, p)}
        assert [found[position] for position in positions] == blocks

    def test_trimmed_records_are_gone_and_offsets_go_on(self, log):
        positions = log.append_many([b"%d" % index for index in range(10)])
        partition, first = positions[0]
        assert log.trim(partition, first + 4) == 4
        assert log.first_offset(partition) == first + 4
        assert self.read_all(log, partition, first)[0] == (first + 4, b"4")
        assert log.read(partition, first + 5, 1)[0].block == b"5"
        assert log.trim(partition, first + 10) == 6
        assert self.read_all(log, partition) == []
        assert log.first_offset(partition) == log.next_offset(partition) == first + 10
        appended = {position.partition: position for _ in log.partitions() for position in log.append_many([b"n"])}
        assert appended[partition] == Position(partition, first + 10)

    def test_trimming_twice_drops_nothing_more(self, log):
        positions = log.append_many([b"a"] * 5)
        partition, first = positions[0]
        log.trim(partition, first + 3)
        assert log.trim(partition, first + 3) == 0
        assert len(self.read_all(log, partition)) == 2

    def test_whoever_waits_is_told_of_what_is_there_and_of_what_comes(self, log):
        ends = {partition: log.next_offset(partition) for partition in log.partitions()}
        assert not log.wait(ends, 0.0)
        assert not log.wait({}, 0.0)
        waiting = threading.Timer(0.05, log.append_many, ([b"a"],))
        waiting.start()
        assert log.wait(ends, 60.0)
        waiting.join()
        assert log.wait(ends, 0.0)
        assert not log.wait({partition: log.next_offset(partition) for partition in log.partitions()}, 0.0)

    def test_appending_from_several_threads_gives_every_block_its_own_position(self, log):
        positions: list[tuple[Position, bytes]] = []

        def append(name: int) -> None:
            for index in range(20):
                blocks = [b"%d-%d-%d" % (name, index, part) for part in range(5)]
                positions.extend(zip(log.append_many(blocks), blocks, strict=True))

        threads = [threading.Thread(target=append, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = {(p, offset): block for p in log.partitions() for offset, block in self.read_all(log, p)}
        assert found == {tuple(position): block for position, block in positions}
        assert len(found) == 400

    def test_a_log_says_which_one_it_is(self, log):
        assert isinstance(log.identity, str)
        assert log.identity

    def test_closing_twice_is_harmless(self):
        log = self.make()
        log.close()
        log.close()


def fill(log: EventLog, blocks: list[bytes]) -> int:
    """Appends ``blocks`` over and over until the log is full; returns how many it took."""
    taken = 0
    for _ in range(100_000):
        try:
            taken += len(log.append_many(blocks))
        except LogFullError:
            return taken
    msg = "the log never filled up"
    raise AssertionError(msg)


class BoundedLogContract(EventLogContract):
    """For logs with a limit of their own."""

    def test_a_full_log_refuses_all_of_a_call_and_takes_blocks_again_after_a_trim(self):
        log = self.make(max_bytes=4 << 20)
        taken = fill(log, [b"x" * 3000, b"y" * 30_000, b"z"])
        following = log.next_offset(0)
        assert len(self.read_all(log, 0)) == taken == following
        with pytest.raises(LogFullError):
            log.append_many([b"x" * 30_000] * 5)
        assert log.next_offset(0) == following
        assert log.fill_ratio() > 0.9
        assert not log.ready()
        assert log.trim(0, following // 2) == following // 2
        assert log.fill_ratio() < 0.6
        assert log.ready()
        assert log.append_many([b"again"]) == [Position(0, following)]
        log.close()

    def test_a_log_that_is_filled_and_trimmed_for_long_never_loses_room(self):
        log = self.make(max_bytes=2 << 20)
        offset = 0
        for _ in range(40):
            assert fill(log, [b"x" * 1000] * 7 + [b"y" * 9_000]) > 500
            assert log.read(0, offset, 20_000)[0].offset == offset
            offset = log.next_offset(0) - 8
            log.trim(0, offset)
        log.close()
