"""The log, read one batch ahead: while a batch is judged and written, the next one is fetched and parsed."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from clapometer.eventlog import EventLog, Record
from clapometer.loading.blocks import CORRUPT_TENANT, Batch, Refusal, read_batch
from clapometer.loading.event_rows import NOTHING, MalformedLineError, Parsed, Parser

GONE = "left the log before it was loaded"
"""Reason of the dead letter that stands for such blocks."""
FULL = 0.8
"""From this share of what a partition may give to a batch on, it is taken to have more."""


@dataclass(frozen=True)
class Fetched:
    """A batch.

    Attributes:
        offsets: Where it starts.
        batch: Its lines, and what is refused already.
        events: Its events.
        more: Whether more waits behind it.
        gone: Whether blocks are refused for having left the log before it.
    """

    offsets: Mapping[int, int]
    batch: Batch
    events: Parsed
    more: bool
    gone: bool

    @property
    def following(self) -> dict[int, int]:
        """Returns where each partition is to be read from next."""
        return {**self.offsets, **self.batch.next_offsets}


class ReadAhead:
    """Fetches batches of about ``max_bytes``, fairly from all partitions."""

    def __init__(self, log: EventLog, parser: Parser, max_bytes: int, clock: Callable[[], dt.datetime]) -> None:
        self._log = log
        self._parser = parser
        self._max_bytes = max_bytes
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, "clapometer-read-ahead")
        self._ahead: tuple[dict[int, int], Future[Fetched]] | None = None

    def take(self, offsets: Mapping[int, int]) -> Fetched:
        """Returns the batch from ``offsets`` on, which may have been fetched already."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == offsets:
            return ahead[1].result()
        return self.fetch(offsets)

    def prepare(self, offsets: Mapping[int, int]) -> None:
        """Begins to fetch the batch that will be asked for next, probably."""
        self._ahead = (dict(offsets), self._executor.submit(self.fetch, dict(offsets)))

    def fetch(self, offsets: Mapping[int, int]) -> Fetched:
        """Reads a batch; where our collector did not write it, every line is decoded, and the bad ones refused."""
        try:
            return self._fetch(offsets, check_lines=False)
        except MalformedLineError:
            return self._fetch(offsets, check_lines=True)

    def _fetch(self, offsets: Mapping[int, int], *, check_lines: bool) -> Fetched:
        records, more = self._read(offsets)
        if not records:
            return Fetched(dict(offsets), read_batch((), self._clock()), NOTHING, more=False, gone=False)
        now = self._clock()
        batch = read_batch(records, now, check_lines=check_lines)
        gone = list(self._gone(records, offsets, now))
        batch.refusals.extend(gone)
        del records  # as large as the batch
        return Fetched(dict(offsets), batch, self._parser.parse(batch.lines), more, bool(gone))

    def _read(self, offsets: Mapping[int, int]) -> tuple[list[Record], bool]:
        share = self._max_bytes // max(1, len(offsets))
        records: list[Record] = []
        more = False
        for partition, offset in offsets.items():
            part = self._log.read(partition, offset, share)
            more |= sum(len(record.block) for record in part) > FULL * share
            records += part
        return records, more

    def _gone(self, records: Sequence[Record], offsets: Mapping[int, int], now: dt.datetime) -> Iterator[Refusal]:
        """Yields what is to be told of blocks that left the log unread; a lake that never read it misses none."""
        oldest = {record.partition: record.offset for record in reversed(records)}
        for partition, offset in offsets.items():
            if 0 < offset < oldest.get(partition, 0) and (first := self._log.first_offset(partition)) > offset:
                last = min(first, oldest[partition]) - 1
                told = f"{GONE}: blocks {offset} to {last}; let the log keep its blocks for longer"
                yield Refusal(CORRUPT_TENANT, now, told, partition, last, code="lost_block")

    def close(self) -> None:
        """Waits for what is being fetched, and drops it."""
        self._executor.shutdown(cancel_futures=True)
        self._ahead = None
