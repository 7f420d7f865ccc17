"""The log, read one batch ahead: while DuckDB works on a batch, the next one is fetched and cut into lines."""

import datetime as dt
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from clapometer.eventlog import EventLog, Record
from clapometer.jobs.batch import Batch, read_batch

FULL = 0.8
"""From this share of what a partition may give to a batch on, it is taken to have more."""


@dataclass(frozen=True)
class Fetched:
    """A batch, where it starts, and whether more waits behind it."""

    offsets: Mapping[int, int]
    batch: Batch
    more: bool

    @property
    def following(self) -> dict[int, int]:
        """Returns where each partition is to be read from next."""
        return {**self.offsets, **self.batch.next_offsets}


class ReadAhead:
    """Fetches batches of about ``max_bytes``, fairly from all partitions."""

    def __init__(self, log: EventLog, max_bytes: int, clock: Callable[[], dt.datetime]) -> None:
        self._log = log
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

    def fetch(self, offsets: Mapping[int, int], *, check_lines: bool = False) -> Fetched:
        """Reads a batch; with ``check_lines`` every line of it is decoded, and the bad ones refused."""
        share = self._max_bytes // max(1, len(offsets))
        records: list[Record] = []
        more = False
        for partition, offset in offsets.items():
            part = self._log.read(partition, offset, share)
            more |= sum(len(record.block) for record in part) > FULL * share
            records += part
        return Fetched(dict(offsets), read_batch(records, self._clock(), check_lines=check_lines), more)

    def close(self) -> None:
        """Waits for what is being fetched, and drops it."""
        self._executor.shutdown(cancel_futures=True)
        self._ahead = None
