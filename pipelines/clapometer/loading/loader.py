"""The loader: blocks of the event log become rows of the lake, each event exactly once.

A load is one commit of ``events``: the rows, the next offset of each partition and the counts for the ledger,
all or nothing. What was refused is written to ``rejected`` just before, with offsets of its own, so that a
crash in between neither loses nor doubles it.
"""

import datetime as dt
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.transaction import AddAction
from numpy.typing import NDArray

from clapometer.domain import TransientError
from clapometer.eventlog import EventLog
from clapometer.lake.delta.table import CommitConflictError
from clapometer.lake.keys.index import KeyIndex
from clapometer.lake.ledger import LedgerEntry, settle, to_metadata
from clapometer.lake.progress import load_app_id
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.loading.blocks import Refusal
from clapometer.loading.dead_letters import CONFLICT, RefusalWriter
from clapometer.loading.duplicates import Verdicts, judge
from clapometer.loading.event_rows import Parser
from clapometer.loading.ledger_entries import count
from clapometer.loading.read_ahead import Fetched, ReadAhead
from clapometer.loading.trimming import Trimmer
from clapometer.takedown.erase import erase_viewers
from clapometer.upkeep.merge import UpkeepSettings, keep_up

LOADS = "clapometer-loads"
"""Application transaction of every load: of two loaders at once one fails, and judges its events again."""
MAX_ATTEMPTS = 100


@dataclass(frozen=True)
class LoadSettings:
    """How the loader paces itself.

    Attributes:
        max_batch_bytes: Blocks read for one commit, in bytes.
        linger_s: At light load, least time between two commits.
        poll_s: How long a loader without work sleeps at most, unless the log wakes it.
        publish_interval_s: At a backlog, least time between two publications.
        window_days: Days for which a repeated event is recognised.
        retention_s: How long blocks stay in the log after they were loaded.
        drain_wait_s: How long a loader that ends waits to be told its partitions.
        threads: Threads of DuckDB.
        memory_limit: Memory of DuckDB.
        upkeep: How the running loader keeps the lake tidy; ``None`` where someone else does.
    """

    max_batch_bytes: int = 24 << 20
    linger_s: float = 0.75
    poll_s: float = 0.25
    publish_interval_s: float = 1.0
    window_days: int = 7
    retention_s: float = 3600.0
    drain_wait_s: float = 15.0
    threads: int = 2
    memory_limit: str = "256MB"
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
        oldest: When the first of the events was received, where there are any.
        newest: When the last of them was.
        reasons: How many events were rejected, by code.
        published: Whether readers see it already.
        waiting: Whether the loader waits to be told which partitions are its own.
        parsed: Batches that this loader has parsed so far, those read ahead included.
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
    oldest: dt.datetime | None = None
    newest: dt.datetime | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)
    published: bool = False
    waiting: bool = False
    parsed: int = 0


def utc_now() -> dt.datetime:
    """Returns the time of this machine's clock."""
    return dt.datetime.now(dt.UTC)


@dataclass
class _Work:
    """A batch on its way into the lake; a lost race repeats only what it has to.

    Attributes:
        fetched: The batch.
        stored: Which of its events ``files`` has.
        files: What was written for them and is not committed yet.
    """

    fetched: Fetched
    stored: NDArray[np.bool_] | None = None
    files: list[AddAction] = field(default_factory=list)


class Loader:
    """Loads ``log`` into ``lake``, from where the lake says that it left off.

    Several loaders may share a lake. Each loads the partitions that ``partitions()`` names at the time; it answers
    ``None`` while that is not known. Without it a loader loads them all.
    """

    def __init__(
        self,
        log: EventLog,
        lake: Lake,
        settings: LoadSettings | None = None,
        *,
        partitions: Callable[[], Sequence[int] | None] | None = None,
        clock: Callable[[], dt.datetime] = utc_now,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._lake = lake
        self._clock = clock
        self._settings = settings or LoadSettings()
        self._partitions = partitions or log.partitions
        self._events = lake.open_table("events")
        self._index = KeyIndex(self._events, lake.storage.cache / "keys", window_days=self._settings.window_days)
        self._parser = Parser(
            self._events,
            spill=lake.storage.scratch / "spill",
            threads=self._settings.threads,
            memory_limit=self._settings.memory_limit,
        )
        self._ahead = ReadAhead(log, self._parser, self._settings.max_batch_bytes, clock)
        self._refusals = RefusalWriter(lake, log)
        self._trimmer = Trimmer(log, self._settings.retention_s, seconds)
        self._unpublished = True
        self._published_at = float("-inf")

    def load_once(self) -> LoadReport:
        """Loads what the log holds, up to one batch, and publishes it.

        At a backlog it is published at intervals instead, and in any case with the last batch.

        Raises:
            TransientError: The log or the lake is away. Nothing is lost; try again.
        """
        started = time.perf_counter()
        self._events.refresh()
        partitions = self._partitions()
        fetched = self._ahead.take(self._offsets(partitions or ()))
        report = LoadReport()
        if fetched.batch.blocks:
            if fetched.more:
                self._ahead.prepare(fetched.following)
            report = self._load(fetched)
        self._events.make_durable()  # a commit whose sync failed counts only once that was made good
        loaded = self._offsets(fetched.offsets)  # not what was fetched: another loader may have been faster, with less
        self._trimmer.loaded(loaded)
        self._publish(wait=fetched.more)
        self._trimmer.trim()
        lag = {partition: self._log.next_offset(partition) - offset for partition, offset in loaded.items()}
        return replace(
            report,
            more=fetched.more or (fetched.batch.blocks > report.blocks),  # overtaken: it may not be all of it
            lag=lag,
            published=not self._unpublished,
            waiting=partitions is None,
            parsed=self._parser.parsed,
            seconds=time.perf_counter() - started,
        )

    def run(
        self,
        stop: threading.Event,
        *,
        on_report: Callable[[LoadReport], None] = lambda _: None,
        on_error: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Loads until ``stop`` is set, then what the log holds at that time; errors are told, and tried again.

        Every look at the log is reported, also one that finds nothing. While nothing comes nothing is done but to look.
        """
        upkeep = self._start_upkeep(stop, on_error)
        failures = 0
        while not stop.is_set():
            try:
                ends = self._ends()  # before the load: what comes during it is news
                report = self.load_once()
                failures = 0
                on_report(report)
                if report.blocks or report.waiting:
                    stop.wait(0.0 if report.more else self._settings.linger_s)
                elif not report.more:
                    self._rest(ends, stop, partial(on_report, report))
            except Exception as error:  # noqa: BLE001 - the loop outlives whatever a load fails of
                on_error(error)
                failures += 1
                stop.wait(min(30.0, 0.25 * 2 ** min(failures, 10)))
        self._drain(on_report, on_error)
        if upkeep is not None:
            upkeep.join()

    def close(self) -> None:
        """Saves the index of keys for the next start."""
        self._ahead.close()
        self._index.close()
        self._parser.close()

    def _start_upkeep(self, stop: threading.Event, on_error: Callable[[Exception], None]) -> threading.Thread | None:
        """Merges files and erases viewers beside the loading, with a lake object of its own: neither has to wait."""
        if self._settings.upkeep is None:
            return None
        lake = Lake(self._lake.storage)
        settings = replace(self._settings.upkeep, window_days=self._settings.window_days)
        erase = partial(erase_viewers, lake, clock=self._clock, log=self._log)
        thread = threading.Thread(
            target=keep_up,
            args=(lake, settings, stop),
            kwargs={"on_error": on_error, "also": erase},
            name="clapometer-upkeep",
        )
        thread.start()
        return thread

    def _rest(self, ends: Mapping[int, int], stop: threading.Event, look: Callable[[], None]) -> None:
        """Returns once the log goes on beyond ``ends``, or something else is to be done."""
        while not stop.is_set() and not self._log.wait(ends, self._settings.poll_s):
            if list(self._partitions() or ()) != list(ends) or self._taken_away():
                return
            self._trimmer.trim()
            look()

    def _taken_away(self) -> bool:
        return not self._lake.storage.published.exists()

    def _ends(self) -> dict[int, int]:
        return {partition: self._log.next_offset(partition) for partition in self._partitions() or ()}

    def _drain(self, on_report: Callable[[LoadReport], None], on_error: Callable[[Exception], None]) -> None:
        """Loads what waits now; what others go on sending waits for the next start."""
        deadline = time.monotonic() + self._settings.drain_wait_s
        try:
            while self._partitions() is None and time.monotonic() < deadline:
                continue  # the answer takes its time
            ends = self._ends()
            report = self.load_once()
            while report.blocks:
                on_report(report)
                reached = self._offsets(ends)
                if all(reached.get(partition, end) >= end for partition, end in ends.items()):
                    break
                report = self.load_once()
        except Exception as error:  # noqa: BLE001 - what is left stays in the log for the next start
            on_error(error)

    def _app_id(self, partition: int) -> str:
        return load_app_id(self._log.identity, partition)

    def _offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        """Returns where the lake says that each partition is to be read from."""
        return {partition: self._events.txn(self._app_id(partition)) or 0 for partition in partitions}

    def _load(self, fetched: Fetched) -> LoadReport:
        """Commits a batch; where another loader was faster, what it stored may be what is in the batch."""
        if fetched.gone and self._overtaken(fetched):
            return LoadReport()  # nothing is gone: the other one loaded it, and let the log drop it
        work = _Work(fetched)
        self._refusals.begin()
        try:
            for _ in range(MAX_ATTEMPTS):
                try:
                    return self._commit(work)
                except CommitConflictError:
                    if self._overtaken(fetched):
                        return LoadReport()  # the other one loads our partitions; start again from where it is
            msg = f"the load lost against other loaders {MAX_ATTEMPTS} times"
            raise TransientError(msg)
        finally:
            self._discard(work)

    def _overtaken(self, fetched: Fetched) -> bool:
        """Returns whether another loader committed blocks of these partitions since they were fetched."""
        self._events.refresh()
        return self._offsets(fetched.offsets) != fetched.offsets

    def _commit(self, work: _Work) -> LoadReport:
        """Judges the events and commits them with offsets and counts.

        Raises:
            CommitConflictError: Another loader committed meanwhile.
        """
        batch, events = work.fetched.batch, work.fetched.events
        self._index.refresh(_oldest_day(events.rows))
        stored = partial(self._parser.stored, since=self._index.since)
        verdicts = judge(events.keys, self._index, events.fingerprints, stored)
        conflicts = _conflicts(batch.lines, events.rows, verdicts)
        self._refusals.write([*batch.refusals, *conflicts], batch.next_offsets)
        if work.stored is None or not np.array_equal(work.stored, verdicts.stored):
            self._discard(work)
            work.files, work.stored = self._parser.write(events, verdicts.stored), verdicts.stored
        # A lost race may have written conflicts that are none any more; the ledger counts what is in `rejected`.
        conflicts = list(dict.fromkeys([*conflicts, *self._refusals.conflicts]))
        entries = count(events.rows, verdicts, batch.refusals, conflicts)
        txns = {self._app_id(partition): offset for partition, offset in batch.next_offsets.items()}
        txns[LOADS] = (self._events.txn(LOADS) or 0) + 1
        version = self._events.commit(work.files, txns, to_metadata(entries))
        work.files = []
        self._unpublished = True
        return _report(entries, work, version, [*batch.refusals, *conflicts])

    def _discard(self, work: _Work) -> None:
        """Deletes files that no commit names."""
        self._events.delete(self._events.folder / action.path for action in work.files)
        work.files = []

    def _publish(self, *, wait: bool) -> None:
        """Publishes what is not published yet, or was taken away; with ``wait`` only if that was long enough ago."""
        now = time.monotonic()
        if not self._unpublished and not self._taken_away():
            return
        if wait and now - self._published_at < self._settings.publish_interval_s:
            return
        settle(self._lake)
        publish(self._lake)
        self._unpublished = False
        self._published_at = now


def _oldest_day(events: pa.Table) -> dt.date | None:
    oldest = pc.min(events["received_at"]).as_py()
    return None if oldest is None else oldest.astimezone(dt.UTC).date()


def _conflicts(lines: pa.Table, rows: pa.Table, verdicts: Verdicts) -> list[Refusal]:
    """Returns the dead letters of events that contradict one that was stored before."""
    at = pa.array(np.flatnonzero(verdicts.conflict))
    found = lines.take(at).append_column("id", rows["id"].take(at)).append_column("source", rows["source"].take(at))
    return [
        Refusal(
            tenant=row["tenant"], received_at=row["received_at"], reason=CONFLICT, partition=row["partition"],
            offset=row["offset"], code="conflict", source=row["source"], id=row["id"], raw=row["line"].rstrip("\n"),
            trace_id=row["trace_id"],
        )
        for row in found.to_pylist()
    ]  # fmt: skip


def _report(entries: Sequence[LedgerEntry], work: _Work, version: int, refusals: Sequence[Refusal]) -> LoadReport:
    batch, rows = work.fetched.batch, work.fetched.events.rows
    names = ("received", "stored", "duplicate", "conflict", "rejected", "suppressed")
    totals = {name: sum(getattr(entry, name) for entry in entries) for name in names}
    received = pc.min_max(rows["received_at"]).as_py()
    return LoadReport(
        **totals,
        blocks=batch.blocks,
        corrupt=batch.corrupt,
        bytes=batch.bytes,
        version=version,
        oldest=received["min"],
        newest=received["max"],
        reasons=Counter(each.code for each in refusals),
    )
