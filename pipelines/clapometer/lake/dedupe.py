"""Which events the lake has: an exact index of their keys, as sorted runs, one set per day of receipt.

The lake is the truth: the index follows the commits of ``events`` and can be deleted at any time. Runs are
merged as they grow, so that there are few; large ones are files of a cache folder, mapped into memory.
"""

import contextlib
import datetime as dt
import hashlib
import json
import mmap
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clapometer.lake.commit import DataFile, Table
from clapometer.lake.storage import fsync

Int64s = NDArray[np.int64]
FORMAT = 1
MAX_RUN = 1 << 24
"""Longest run, in events: merging two runs takes twice their memory."""
MAPPED_RUN = 1 << 18
"""Runs from this length on are mapped from files once the index is saved."""
NOTHING = "9999-12-31"
"""First day of an index that holds no day."""
SAVE_INTERVAL = 64
"""Commits between two times that the index is saved."""


@dataclass(frozen=True, eq=False)
class Run:
    """Keys in ascending order, each with the hash of its payload."""

    keys: Int64s
    payloads: Int64s
    path: Path | None = None
    map: mmap.mmap | None = None

    def at(self, keys: Int64s) -> tuple[Int64s, Int64s]:
        """Returns, for each of the sorted ``keys``, from where to where this run has it."""
        found = np.searchsorted(self.keys, keys, "left"), np.searchsorted(self.keys, keys, "right")
        return found[0].astype(np.int64), found[1].astype(np.int64)

    def has(self, keys: Int64s) -> NDArray[np.bool_]:
        """Returns which of the sorted ``keys`` this run has."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found: NDArray[np.bool_] = self.keys[at] == keys
        return found

    def forget_pages(self) -> None:
        """Gives back the memory of the pages that were read."""
        if self.map is not None and hasattr(self.map, "madvise"):
            self.map.madvise(mmap.MADV_DONTNEED)


class KeyIndex:
    """The keys of the events in ``table`` that were received up to ``window_days`` before those to be judged.

    The window hangs on when events were received, not on a clock: an old backlog is deduplicated like a new
    one, and loading a log once more gives the same table.
    """

    def __init__(self, table: Table, folder: Path, *, window_days: int = 7) -> None:
        self._table = table
        self._folder = folder
        self._window = dt.timedelta(days=window_days + 1)
        self._runs: dict[str, list[Run]] = {}
        self._version = -1
        self._saved = -1
        self._from = self._wanted = NOTHING
        self._folder.mkdir(parents=True, exist_ok=True)
        self._load()

    def __len__(self) -> int:
        return sum(len(run.keys) for runs in self._runs.values() for run in runs)

    def refresh(self, oldest: dt.date | None) -> None:
        """Takes in what was committed up to the version that ``table`` is at.

        Events received on ``oldest`` or later can be judged then, none at all where it is ``None``. Days
        that no event of the last commits needed are let go when the index is saved.
        """
        wanted = NOTHING if oldest is None else str(oldest - self._window)
        self._wanted = min(self._wanted, wanted)
        added = None if self._version < 0 or wanted < self._from else self._table.added_since(self._version)
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
        if self._version - self._saved >= SAVE_INTERVAL:
            self.save()

    def contains(self, keys: Int64s) -> NDArray[np.bool_]:
        """Returns which of ``keys`` the index has."""
        order = np.argsort(keys)
        sorted_keys = keys[order]
        found = np.zeros(len(keys), bool)
        for run in self._all():
            found |= run.has(sorted_keys)
            run.forget_pages()
        result = np.empty_like(found)
        result[order] = found
        return result

    def payloads(self, keys: Int64s) -> dict[int, set[int]]:
        """Returns the payload hashes of each of ``keys`` that the index has."""
        wanted = np.unique(keys)
        found: dict[int, set[int]] = {}
        for run in self._all():
            low, high = run.at(wanted)
            for index in np.flatnonzero(high > low).tolist():
                found.setdefault(int(wanted[index]), set()).update(run.payloads[low[index] : high[index]].tolist())
            run.forget_pages()
        return found

    def save(self) -> None:
        """Writes the index to the cache folder, so that the next start need not read the lake."""
        if self._wanted != NOTHING:
            self._from = max(self._from, self._wanted)
            self._wanted = NOTHING
        for date in [date for date in self._runs if date < self._from]:
            del self._runs[date]
        for runs in self._runs.values():
            runs[:] = [run if run.path else self._write(run) for run in runs]
        listed = {date: [run.path.name for run in runs if run.path] for date, runs in self._runs.items()}
        manifest = {"format": FORMAT, "version": self._version, "entry": self._entry(self._version)}
        manifest |= {"from": self._from, "runs": listed}
        temporary = self._folder / f"{uuid.uuid4().hex}.json"
        temporary.write_text(json.dumps(manifest))
        fsync(temporary)
        temporary.rename(self._folder / "manifest.json")
        self._saved = self._version
        kept = {"manifest.json", *(name for names in listed.values() for name in names)}
        for path in self._folder.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)

    def _all(self) -> Iterable[Run]:
        return (run for runs in self._runs.values() for run in runs)

    def _take(self, files: Iterable[DataFile]) -> None:
        for file in files:
            if (file.partition["received_date"] or "") < self._from:
                continue
            rows = pq.ParquetFile(self._table.folder / file.path).read(columns=["event_key", "payload_hash"])
            keys = rows["event_key"].to_numpy()
            order = np.argsort(keys)
            run = Run(keys[order], rows["payload_hash"].to_numpy()[order])
            if len(keys):
                _add(self._runs.setdefault(str(file.partition["received_date"]), []), run)

    def _entry(self, version: int) -> str:
        """Returns a fingerprint of a commit: after a restore from a backup the same number is another commit."""
        entry = self._table.log_entry(version)
        return hashlib.sha256(entry).hexdigest() if entry is not None else ""

    def _load(self) -> None:
        """Maps the saved index, if it is one of this very table."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            manifest = json.loads((self._folder / "manifest.json").read_text())
            fitting = manifest["format"] == FORMAT and manifest["version"] <= self._table.version
            if fitting and manifest["entry"] and manifest["entry"] == self._entry(manifest["version"]):
                runs = {date: [_map(self._folder / name) for name in names] for date, names in manifest["runs"].items()}
                self._runs, self._version = runs, manifest["version"]
                self._saved, self._from = self._version, manifest["from"]

    def _write(self, run: Run) -> Run:
        path = self._folder / f"{uuid.uuid4().hex}.run"
        with path.open("wb") as file:
            run.keys.tofile(file)
            run.payloads.tofile(file)
            file.flush()
            os.fsync(file.fileno())
        return _map(path) if len(run.keys) >= MAPPED_RUN else Run(run.keys, run.payloads, path)


def _add(runs: list[Run], run: Run) -> None:
    """Appends a run and merges from the end until each is at least twice as long as the next."""
    runs.append(run)
    while len(runs) > 1 and len(runs[-2].keys) < 2 * len(runs[-1].keys):
        if len(runs[-2].keys) + len(runs[-1].keys) > MAX_RUN:
            return
        newer, older = runs.pop(), runs.pop()
        keys = np.concatenate([older.keys, newer.keys])
        order = np.argsort(keys, kind="stable")
        runs.append(Run(keys[order], np.concatenate([older.payloads, newer.payloads])[order]))


def _map(path: Path) -> Run:
    """Returns the run in a file, mapped.

    Raises:
        OSError: There is no such file.
        ValueError: It is not a run.
    """
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    both = np.frombuffer(mapped, np.int64)
    half, odd = divmod(len(both), 2)
    if odd:
        msg = f"{path} is not a run of keys"
        raise ValueError(msg)
    return Run(both[:half], both[half:], path, mapped)
