"""The loader: blocks of the event log become rows of the lake, each event exactly once.

A load is one commit of ``events``: the rows, the next offset of each partition and the counts for the ledger,
all or nothing. What was refused is written to ``rejected`` just before, with offsets of its own, so that a
crash in between neither loses nor doubles it.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from clapometer.domain import TransientError
from clapometer.eventlog import EventLog, Record
from clapometer.jobs.batch import Batch, Refusal, read_batch
from clapometer.jobs.counts import count
from clapometer.jobs.maintain import UpkeepSettings, keep_up
from clapometer.jobs.parser import MalformedLineError, Parser
from clapometer.jobs.refusals import RefusalWriter
from clapometer.jobs.retention import Trimmer
from clapometer.jobs.verdicts import Verdicts, judge
from clapometer.lake import CommitConflictError, Lake, publish
from clapometer.lake.dedupe import KeyIndex
from clapometer.lake.ledger import LedgerEntry, settle, to_metadata

LOADS = "clapometer-loads"
"""Application transaction of every load: of two loaders at once one fails, and judges its events again."""
MAX_ATTEMPTS = 100
CONFLICT = "conflict: an event with this source and id was stored before with other data"


@dataclass(frozen=True)
class LoadSettings:
    """How the loader paces itself.

    Attributes:
        max_batch_bytes: Blocks read for one commit, in bytes.
        linger_s: At light load, least time between two commits.
        poll_s: Time between two looks at an empty log.
        publish_interval_s: At a backlog, least time between two publications.
        window_days: Days for which a repeated event is recognised.
        retention_s: How long blocks stay in the log after they were loaded.
        threads: Threads of DuckDB.
        memory_limit: Memory of DuckDB.
        upkeep: How the running loader keeps the lake tidy; ``None`` where someone else does.
    """

    max_batch_bytes: int = 64 << 20
    linger_s: float = 0.75
    poll_s: float = 0.1
    publish_interval_s: float = 1.0
    window_days: int = 7
    retention_s: float = 3600.0
    threads: int = 2
    memory_limit: str = "512MB"
    upkeep: UpkeepSettings | None = field(default_factory=UpkeepSettings)


@dataclass(frozen=True)
class LoadReport:
    """What one load did; all counts are events, but ``blocks`` and ``corrupt`` are blocks.

    Attributes:
        received: stored + duplicate + rejected + suppressed.
        conflict: Duplicates whose data differed.
        corrupt: Blocks that could not be read.
        bytes: Size of the blocks.
        version: Version of ``events`` that has the rows; -1 where nothing was loaded.
        seconds: Time the load took.
        more: Whether more waits than one batch holds.
        lag: Blocks that wait, by partition.
    """

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0
    suppressed: int = 0
    blocks: int = 0
    corrupt: int = 0
    bytes: int = 0
    version: int = -1
    seconds: float = 0.0
    more: bool = False
    lag: Mapping[int, int] = field(default_factory=dict)


def utc_now() -> dt.datetime:
    """Returns the time of this machine's clock."""
    return dt.datetime.now(dt.UTC)


class Loader:
    """Loads ``log`` into ``lake``, from where the lake says that it left off.

    Several loaders may share a lake; each takes ``partitions`` (all of them where ``None``).
    """

    def __init__(
        self,
        log: EventLog,
        lake: Lake,
        settings: LoadSettings | None = None,
        *,
        partitions: Sequence[int] | None = None,
        clock: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self._log = log
        self._lake = lake
        self._settings = settings or LoadSettings()
        self._partitions = list(log.partitions() if partitions is None else partitions)
        self._clock = clock
        self._events = lake.table("events")
        self._index = KeyIndex(self._events, lake.storage.cache / "keys", window_days=self._settings.window_days)
        self._parser = Parser(lake, threads=self._settings.threads, memory_limit=self._settings.memory_limit)
        self._refusals = RefusalWriter(lake, log.identity)
        self._trimmer = Trimmer(log, self._settings.retention_s, clock)
        self._unpublished = True
        self._published_at = float("-inf")

    def load_once(self) -> LoadReport:
        """Loads what the log holds, up to one batch, and publishes it.

        At a backlog it is published at intervals instead, and in any case with the last batch.

        Raises:
            TransientError: The log or the lake is away. Nothing is lost; try again.
        """
        started = time.perf_counter()
        self._refusals.begin()
        for _ in range(MAX_ATTEMPTS):
            self._events.refresh()
            offsets = self._offsets()
            records, more = self._read(offsets)
            try:
                report = self._load(records) if records else LoadReport()
            except CommitConflictError:
                continue  # another loader was faster, and may have stored what we were about to
            offsets |= {record.partition: record.offset + 1 for record in records}
            self._trimmer.loaded(offsets)
            self._publish(wait=more)
            self._trimmer.trim()
            return replace(report, more=more, lag=self._lag(offsets), seconds=time.perf_counter() - started)
        msg = f"the load lost against other loaders {MAX_ATTEMPTS} times"
        raise TransientError(msg)

    def run(
        self,
        stop: threading.Event,
        *,
        on_report: Callable[[LoadReport], None] = lambda _: None,
        on_error: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Loads until ``stop`` is set, then what is left in the log; errors are told, and tried again."""
        upkeep = self._start_upkeep(stop, on_error)
        failures = 0
        while not stop.is_set():
            try:
                report = self.load_once()
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever a load fails of
                on_error(error)
                failures += 1
                stop.wait(min(30.0, 0.25 * 2 ** min(failures, 10)))
                continue
            failures = 0
            if report.blocks:
                on_report(report)
            stop.wait(self._pause(report))
        self._drain(on_report, on_error)
        if upkeep is not None:
            upkeep.join()

    def close(self) -> None:
        """Saves the index of keys for the next start."""
        self._index.save()
        self._parser.close()

    def _start_upkeep(self, stop: threading.Event, on_error: Callable[[Exception], None]) -> threading.Thread | None:
        """Merges files beside the loading, with a lake object of its own, so that neither waits for the other."""
        if self._settings.upkeep is None:
            return None
        thread = threading.Thread(
            target=keep_up,
            args=(Lake(self._lake.root), self._settings.upkeep, stop),
            kwargs={"on_error": on_error},
            name="clapometer-upkeep",
        )
        thread.start()
        return thread

    def _pause(self, report: LoadReport) -> float:
        if report.more:
            return 0.0
        return self._settings.linger_s if report.blocks else self._settings.poll_s

    def _drain(self, on_report: Callable[[LoadReport], None], on_error: Callable[[Exception], None]) -> None:
        try:
            while (report := self.load_once()).blocks:
                on_report(report)
        except Exception as error:  # noqa: BLE001 - what is left stays in the log for the next start
            on_error(error)

    def _app_id(self, partition: int) -> str:
        return f"load-{self._log.identity}-p{partition}"

    def _offsets(self) -> dict[int, int]:
        """Returns where the lake says that each partition is to be read from."""
        return {partition: self._events.txn(self._app_id(partition)) or 0 for partition in self._partitions}

    def _lag(self, offsets: Mapping[int, int]) -> dict[int, int]:
        return {partition: self._log.next_offset(partition) - offset for partition, offset in offsets.items()}

    def _read(self, offsets: Mapping[int, int]) -> tuple[list[Record], bool]:
        """Returns records of all partitions, and whether a partition had more than its share."""
        share = self._settings.max_batch_bytes // max(1, len(offsets))
        records: list[Record] = []
        more = False
        for partition, offset in offsets.items():
            part = self._log.read(partition, offset, share)
            more |= sum(len(record.block) for record in part) > 0.8 * share
            records += part
        return records, more

    def _load(self, records: Sequence[Record]) -> LoadReport:
        """Judges the events of some records and commits them.

        Raises:
            CommitConflictError: Another loader committed meanwhile.
        """
        batch, events = self._parsed(records)
        self._index.refresh(_oldest_day(events))
        keys = events["event_key"].to_numpy()
        verdicts = judge(keys, self._index, self._parser.fingerprints, self._parser.stored)
        conflicts = _conflicts(events, verdicts)
        self._refusals.write([*batch.refusals, *conflicts], batch.next_offsets)
        entries = count(events, verdicts, batch.refusals, conflicts)
        version = self._commit(verdicts, batch.next_offsets, entries)
        return _report(entries, records, batch.corrupt, version)

    def _parsed(self, records: Sequence[Record]) -> tuple[Batch, pa.Table]:
        """Returns the batch, and its lines with source and key."""
        batch = read_batch(records, self._clock())
        try:
            return batch, self._parser.identify(batch.lines)
        except MalformedLineError:
            batch = read_batch(records, self._clock(), check_lines=True)
            return batch, self._parser.identify(batch.lines)

    def _commit(self, verdicts: Verdicts, next_offsets: Mapping[int, int], entries: Sequence[LedgerEntry]) -> int:
        added = self._parser.write(verdicts.stored)
        txns = {self._app_id(partition): offset for partition, offset in next_offsets.items()}
        txns[LOADS] = (self._events.txn(LOADS) or 0) + 1
        try:
            version = self._events.commit(added, txns, to_metadata(entries))
        except CommitConflictError:
            for action in added:
                (self._events.folder / action.path).unlink(missing_ok=True)
            raise
        self._unpublished = True
        return version

    def _publish(self, *, wait: bool) -> None:
        """Publishes what is not published yet; with ``wait`` only if the last time is long enough ago."""
        now = time.monotonic()
        if not self._unpublished or (wait and now - self._published_at < self._settings.publish_interval_s):
            return
        settle(self._lake)
        publish(self._lake)
        self._unpublished = False
        self._published_at = now


def _oldest_day(events: pa.Table) -> dt.date | None:
    oldest = pc.min(events["received_at"]).as_py()
    return None if oldest is None else oldest.astimezone(dt.UTC).date()


def _conflicts(events: pa.Table, verdicts: Verdicts) -> list[Refusal]:
    """Returns the dead letters of events that contradict one that was stored before."""
    rows = events.filter(pa.array(verdicts.conflict)).to_pylist() if verdicts.conflict.any() else []
    return [
        Refusal(
            tenant=row["tenant"], received_at=row["received_at"], reason=CONFLICT, partition=row["partition"],
            offset=row["offset"], source=row["source"], id=row["id"], raw=row["line"].rstrip("\n"),
        )
        for row in rows
    ]  # fmt: skip


def _report(entries: Sequence[LedgerEntry], records: Sequence[Record], corrupt: int, version: int) -> LoadReport:
    names = ("received", "stored", "duplicate", "conflict", "rejected", "suppressed")
    totals = {name: sum(getattr(entry, name) for entry in entries) for name in names}
    size = sum(len(record.block) for record in records)
    return LoadReport(**totals, blocks=len(records), corrupt=corrupt, bytes=size, version=version)
