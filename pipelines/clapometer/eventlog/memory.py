"""An event log that forgets at exit: for tests of what stands on a log."""

import threading
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import islice

from clapometer.domain import LogFullError
from clapometer.eventlog.contract import Position, Record


class MemoryLog:
    """Blocks in lists, dealt to the partitions in turn; full at ``max_bytes`` in all."""

    def __init__(self, *, partitions: int = 1, max_bytes: int = 1 << 30) -> None:
        self._blocks: list[deque[bytes]] = [deque() for _ in range(partitions)]
        self._first = [0] * partitions
        self._max_bytes = max_bytes
        self._bytes = 0
        self._turn = 0
        self._lock = threading.Condition(threading.Lock())
        self.identity = uuid.uuid4().hex

    def append_many(self, blocks: Sequence[bytes]) -> list[Position]:
        """Returns the position of each block; the blocks of one call go to one partition.

        Raises:
            LogFullError: They do not fit into ``max_bytes``.
        """
        size = sum(map(len, blocks))
        with self._lock:
            if self._bytes + size > self._max_bytes:
                msg = f"the event log holds {self._bytes} of {self._max_bytes} bytes; {size} more do not fit"
                raise LogFullError(msg)
            partition = self._turn
            self._turn = (partition + 1) % len(self._blocks)
            start = self._first[partition] + len(self._blocks[partition])
            self._blocks[partition].extend(blocks)
            self._bytes += size
            self._lock.notify_all()
            return [Position(partition, start + index) for index in range(len(blocks))]

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """Returns records from ``offset`` on, about ``max_bytes`` of them."""
        with self._lock:
            first = max(offset, self._first[partition])
            records: list[Record] = []
            size = 0
            for block in islice(self._blocks[partition], first - self._first[partition], None):
                if records and size + len(block) > max_bytes:
                    break
                records.append(Record(partition, first + len(records), block))
                size += len(block)
            return records

    def wait(self, offsets: Mapping[int, int], seconds: float) -> bool:
        """Returns whether some partition goes on beyond its offset; is told of what is appended meanwhile."""
        with self._lock:
            return self._lock.wait_for(lambda: any(self._end(each) > at for each, at in offsets.items()), seconds)

    def partitions(self) -> list[int]:
        """Returns the numbers from 0 on."""
        return list(range(len(self._blocks)))

    def next_offset(self, partition: int) -> int:
        """Returns the offset that the next block gets."""
        with self._lock:
            return self._end(partition)

    def first_offset(self, partition: int) -> int:
        """Returns the offset of the oldest block left, or of the next one."""
        with self._lock:
            return self._first[partition]

    def trim(self, partition: int, before: int) -> int:
        """Drops the records before ``before``."""
        with self._lock:
            blocks = self._blocks[partition]
            dropped = min(max(0, before - self._first[partition]), len(blocks))
            for _ in range(dropped):
                self._bytes -= len(blocks.popleft())
            self._first[partition] += dropped
            return dropped

    def scrub(self) -> None:
        """Does nothing: memory that was freed is no file."""

    def fill_ratio(self) -> float:
        """Returns the share of ``max_bytes`` that is used."""
        return self._bytes / self._max_bytes

    def ready(self) -> bool:
        """Returns whether there is room for a sixteenth of what it holds at most: memory is always there."""
        return self._bytes + self._max_bytes // 16 <= self._max_bytes

    def close(self) -> None:
        """Does nothing: there is nothing to release."""

    def _end(self, partition: int) -> int:
        return self._first[partition] + len(self._blocks[partition])
