"""What every event log promises; ``tests/contract/eventlog_contract.py`` holds each implementation to it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Position(NamedTuple):
    """Where a block lies. ``offset + 1`` is the next one to read; offsets of a partition never repeat."""

    partition: int
    offset: int


class Record(NamedTuple):
    """A block and where it lies."""

    partition: int
    offset: int
    block: bytes


class EventLog(Protocol):
    """Durable blocks in order, per partition. An offset is always that of the *next* record."""

    @property
    def identity(self) -> str:
        """Returns what tells this log from every other: a position means something only together with it."""
        ...

    def append_many(self, blocks: Sequence[bytes]) -> list[Position]:
        """Returns the position of each block once all of them are durable.

        Raises:
            LogFullError: There is no room; none of the blocks is in the log.
            TransientError: The log is away; blocks of this call may or may not be in it.
        """
        ...

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """Returns records from ``offset`` on, about ``max_bytes`` of them and at least one; empty at the end.

        An offset before the oldest record left reads from that record on.
        """
        ...

    def wait(self, offsets: Mapping[int, int], seconds: float) -> bool:
        """Returns whether some partition goes on beyond its offset; where none does, waits up to ``seconds`` for that.

        Waiting costs next to nothing.

        Raises:
            TransientError: The log is away.
        """
        ...

    def partitions(self) -> list[int]:
        """Returns the partitions this log has."""
        ...

    def next_offset(self, partition: int) -> int:
        """Returns the offset that the next appended block of ``partition`` gets."""
        ...

    def first_offset(self, partition: int) -> int:
        """Returns the offset of the oldest block left in ``partition``, or of the next one where none is."""
        ...

    def trim(self, partition: int, before: int) -> int:
        """Drops the records of ``partition`` before offset ``before``; returns how many. Offsets go on."""
        ...

    def scrub(self) -> None:
        """Overwrites what dropped records left behind, as far as this log decides over its disk."""
        ...

    def fill_ratio(self) -> float:
        """Returns how full the log is, 0 to 1; 0 where it has no limit of its own."""
        ...

    def ready(self) -> bool:
        """Returns whether the log could take a block now, found out by trying where it was not tried lately."""
        ...

    def close(self) -> None:
        """Releases what the log holds; calling it twice is harmless."""
        ...
