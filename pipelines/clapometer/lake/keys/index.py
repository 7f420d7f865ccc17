"""Which events the lake has: an exact index of their keys, as sorted runs, one set per day of receipt.

The lake is the truth: the index follows the commits of ``events`` and can be deleted at any time. Runs are
merged as they grow, so that there are few. From ``STORED_RUN`` keys on they are files of a cache folder, and a
thread merges them, so that neither memory nor the time of a commit grows with the number of events.
"""

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clapometer.domain import TerminalError
from clapometer.lake.delta.durable import fsync
from clapometer.lake.delta.files import DataFile
from clapometer.lake.delta.packing import is_packed
from clapometer.lake.delta.table import Table
from clapometer.lake.duck import connect
from clapometer.lake.event_rows import with_hashes
from clapometer.lake.keys.runs import Int64s, Run, join_runs, map_run, merge_runs, sort_run, store_run

FORMAT = 3
STORED_RUN = 1 << 18
"""Runs from this length on, in events, are files."""
TAKEN = 1 << 20
"""Events whose keys are sorted at a time where many come at once."""
MERGED = 16
"""Runs merged at a time, at most."""
NOTHING = "9999-12-31"
"""First day of an index that holds no day."""
MANIFEST = "manifest.json"
CLAIM = "claim"
"""File that is locked by the loader whose index it is; the kernel gives the lock back, however the process ends."""
MAX_LOADERS = 256
SAVE_INTERVAL = 64
"""Commits between two times that the index is saved."""


@dataclass(frozen=True, eq=False)
class _Merge:
    """Neighbours of a day that a thread makes one run of."""

    date: str
    runs: list[Run]
    made: Future[Run]


class KeyIndex:
    """The keys of the events in ``table`` that were received up to ``window_days`` before those to be judged.

    The window hangs on when events were received, not on a clock: an old backlog is deduplicated like a new
    one, and loading a log once more gives the same table.
    """

    def __init__(self, table: Table, folder: Path, *, window_days: int = 7) -> None:
        self._table = table
        self._folder, self._claim = _own_folder(folder)
        self._window = dt.timedelta(days=window_days + 1)
        self._runs: dict[str, list[Run]] = {}
        self._merge: _Merge | None = None
        self._merger = ThreadPoolExecutor(1, "clapometer-keys")
        self._synced: set[Path] = set()
        self._version = -1
        self._saved = -1
        self._from = self._wanted = NOTHING
        self._load()

    def __len__(self) -> int:
        return sum(len(run) for run in self._all())

    @property
    def since(self) -> str:
        """First day whose events the index knows."""
        return self._from

    def refresh(self, oldest: dt.date | None) -> None:
        """Takes in what was committed up to the version that ``table`` is at.

        Events received on ``oldest`` or later can be judged then, none at all where it is ``None``. Days
        that no event of the last commits needed are let go when the index is saved.
        """
        wanted = NOTHING if oldest is None else str(oldest - self._window)
        self._wanted = min(self._wanted, wanted)
        added = None if self._version < 0 or wanted < self._from else self._table.added_since(self._version)
        self._version = -1  # until all of it is taken in
        try:
            if added is not None:
                self._take(added)
        except FileNotFoundError:  # compacted and deleted since
            added = None
        if added is None:
            self._from = min(self._from, wanted)
            self._runs.clear()
            self._take(self._table.files())
        self._version = self._table.version
        self._keep_merging()
        if self._version - self._saved >= SAVE_INTERVAL:
            self.save()

    def contains(self, keys: Int64s) -> NDArray[np.bool_]:
        """Returns which of ``keys`` the index has."""
        order = np.argsort(keys)
        sorted_keys = keys[order]
        found = np.zeros(len(keys), bool)
        for run in self._all():
            found |= run.has(sorted_keys)
        result = np.empty_like(found)
        result[order] = found
        return result

    def payloads(self, keys: Int64s) -> dict[int, set[int]]:
        """Returns the payload hashes of each of ``keys`` that the index has."""
        wanted = np.unique(keys)
        found: dict[int, set[int]] = {}
        for run in self._all():
            for key, payloads in run.payloads_of(wanted):
                found.setdefault(key, set()).update(payloads)
        return found

    def save(self) -> None:
        """Writes the index to the cache folder, so that the next start need not read the lake."""
        if self._wanted != NOTHING:
            self._from = max(self._from, self._wanted)
            self._wanted = NOTHING
        for date in [date for date in self._runs if date < self._from]:
            del self._runs[date]
        for runs in self._runs.values():
            runs[:] = [run if run.path else self._store(run) for run in runs]
        for path in (run.path for run in self._all()):
            if path is not None and path not in self._synced:
                fsync(path)
                self._synced.add(path)
        listed = {date: [run.path.name for run in runs if run.path] for date, runs in self._runs.items()}
        manifest = {"format": FORMAT, "version": self._version, "entry": self._entry(self._version)}
        manifest |= {"from": self._from, "runs": listed}
        temporary = self._folder / f"{uuid.uuid4().hex}.json"
        temporary.write_text(json.dumps(manifest))
        fsync(temporary)
        temporary.rename(self._folder / MANIFEST)
        self._saved = self._version
        self._tidy()

    def close(self) -> None:
        """Saves the index for the next start, and leaves it to whoever comes next."""
        self._merger.shutdown()
        self._keep_merging(more=False)
        if self._version >= 0:
            self.save()
        os.close(self._claim)

    def _tidy(self) -> None:
        """Deletes the files that are no longer part of the index, but for one that is being written."""
        if self._merge is not None:
            return
        kept = {CLAIM, MANIFEST, *(run.path.name for run in self._all() if run.path)}
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)
                self._synced.discard(path)

    def _all(self) -> Iterable[Run]:
        return (run for runs in self._runs.values() for run in runs)

    def _take(self, files: Iterable[DataFile]) -> None:
        for file in files:
            date = str(file.partition["received_date"] or "")
            if date < self._from:
                continue
            for rows in _hashes(self._table.local([file])[0]):
                if len(rows):
                    self._add(date, sort_run(rows["event_key"].to_numpy(), rows["payload_hash"].to_numpy()))

    def _add(self, date: str, run: Run) -> None:
        """Appends a run; short ones are merged until each is at least twice as long as the next."""
        runs = self._runs.setdefault(date, [])
        while runs and runs[-1].path is None and len(runs[-1]) < 2 * len(run):
            run = join_runs([runs.pop(), run])
        runs.append(run if len(run) < STORED_RUN else self._store(run))

    def _keep_merging(self, *, more: bool = True) -> None:
        """Puts in place what the thread has merged, and gives it the next files."""
        if self._merge is not None:
            if more and not self._merge.made.done():
                return
            merge, self._merge = self._merge, None
            self._replace(merge)
        date, runs = next(self._due(), ("", [])) if more else ("", [])
        if runs:
            self._merge = _Merge(date, runs, self._merger.submit(merge_runs, runs, self._folder))

    def _replace(self, merge: _Merge) -> None:
        runs = self._runs.get(merge.date, [])
        with contextlib.suppress(OSError):  # a full disk: they stay several, and are tried again
            made = merge.made.result()
            if merge.runs[0] in runs:
                at = runs.index(merge.runs[0])
                if runs[at : at + len(merge.runs)] == merge.runs:
                    runs[at : at + len(merge.runs)] = [made]

    def _due(self) -> Iterator[tuple[str, list[Run]]]:
        """Yields neighbours of which each is less than twice as long as all newer ones together, the newest first."""
        for date, runs in sorted(self._runs.items(), reverse=True):
            group: list[Run] = []
            for run in [run for run in reversed(runs) if run.path]:
                if len(group) == MERGED or len(run) >= 2 * sum(map(len, group)):
                    if len(group) > 1:
                        yield date, group[::-1]
                    group = []
                group.append(run)
            if len(group) > 1:
                yield date, group[::-1]

    def _entry(self, version: int) -> str:
        """Returns a fingerprint of a commit: after a restore from a backup the same number is another commit."""
        entry = self._table.log_entry(version)
        return hashlib.sha256(entry).hexdigest() if entry is not None else ""

    def _load(self) -> None:
        """Maps the saved index, if it is one of this very table."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads((self._folder / MANIFEST).read_text())
            fitting = manifest["format"] == FORMAT and manifest["version"] <= self._table.version
            if fitting and manifest["entry"] and manifest["entry"] == self._entry(manifest["version"]):
                runs = {
                    date: [map_run(self._folder / name) for name in names] for date, names in manifest["runs"].items()
                }
                self._runs, self._version = runs, manifest["version"]
                self._saved, self._from = self._version, manifest["from"]
                self._synced = {run.path for run in self._all() if run.path}
        self._tidy()

    def _store(self, run: Run) -> Run:
        return store_run(iter([run]), len(run), self._folder)


def _hashes(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields event_key and payload_hash of the events in a file, made anew where it does not have them."""
    if not is_packed(path):
        yield from pq.ParquetFile(path).iter_batches(TAKEN, columns=["event_key", "payload_hash"])
        return
    with connect(threads=1, memory_limit="256MB") as connection:
        yield from connection.sql(
            f"SELECT event_key, payload_hash FROM ({with_hashes([path])})"  # noqa: S608 - our own names
        ).to_arrow_reader(TAKEN)


def _own_folder(folder: Path) -> tuple[Path, int]:
    """Returns a folder in ``folder`` that no other process uses, the first one, and the handle that holds it."""
    for number in range(MAX_LOADERS):
        own = folder / str(number)
        own.mkdir(parents=True, exist_ok=True)
        handle = os.open(own / CLAIM, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
        else:
            return own, handle
    msg = f"{folder} is used by {MAX_LOADERS} loaders already"
    raise TerminalError(msg)
