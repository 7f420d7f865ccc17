"""Sorted runs of keys: short ones in memory, long ones as files that are searched and merged a slice at a time.

Neither the number of keys nor the length of a run decides how much memory is taken.
"""

import mmap
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
SLICE = 1 << 18
"""Keys of a run that are looked at, or merged, at a time."""


@dataclass(frozen=True, eq=False)
class Run:
    """Keys in ascending order, each with the hash of its payload."""

    keys: Int64s
    payloads: Int64s
    path: Path | None = None
    map: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def has(self, keys: Int64s) -> NDArray[np.bool_]:
        """Returns which of the sorted ``keys`` this run has."""
        found = np.zeros(len(keys), bool)
        for part, low, high in self._slices(keys):
            wanted, there = keys[low:high], self.keys[part]
            found[low:high] |= there[np.searchsorted(there, wanted)] == wanted
        return found

    def payloads_of(self, keys: Int64s) -> Iterator[tuple[int, set[int]]]:
        """Yields those of the sorted ``keys`` that this run has, with the hashes of their payloads."""
        for part, low, high in self._slices(keys):
            there, payloads = self.keys[part], self.payloads[part]
            starts = np.searchsorted(there, keys[low:high], "left")
            ends = np.searchsorted(there, keys[low:high], "right")
            for at in np.flatnonzero(ends > starts).tolist():
                yield int(keys[low + at]), set(payloads[starts[at] : ends[at]].tolist())

    def forget_pages(self) -> None:
        """Gives back the memory of the pages that were read."""
        if self.map is not None and hasattr(self.map, "madvise"):
            self.map.madvise(mmap.MADV_DONTNEED)

    def _slices(self, keys: Int64s) -> Iterator[tuple[slice, int, int]]:
        """Yields the slices of the run where some of the sorted ``keys`` may be, and from where to where those are."""
        for start in range(0, len(self.keys), SLICE):
            part = slice(start, min(start + SLICE, len(self.keys)))
            low = int(np.searchsorted(keys, self.keys[part.start], "left"))
            high = int(np.searchsorted(keys, self.keys[part.stop - 1], "right"))
            if low < high:
                yield part, low, high
                self.forget_pages()
        self.forget_pages()


def sort_run(keys: Int64s, payloads: Int64s) -> Run:
    """Returns a run in memory."""
    order = np.argsort(keys, kind="stable")
    return Run(keys[order], payloads[order])


def join_runs(older: Run, newer: Run) -> Run:
    """Returns a run in memory with the keys of both."""
    return sort_run(np.concatenate([older.keys, newer.keys]), np.concatenate([older.payloads, newer.payloads]))


def store_run(parts: Iterator[Run], length: int, folder: Path) -> Run:
    """Returns a run as a file in ``folder``, not synced, from parts that follow each other in ascending order."""
    path = folder / f"{uuid.uuid4().hex}.run"
    try:
        with path.open("wb") as keys, path.open("r+b") as payloads:
            keys.truncate(16 * length)
            payloads.seek(8 * length)
            for part in parts:
                keys.write(part.keys.data)
                payloads.write(part.payloads.data)
        return map_run(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def merge_runs(older: Run, newer: Run, folder: Path) -> Run:
    """Returns a run as a file in ``folder``, not synced, with the keys of both; takes a bounded amount of memory."""
    return store_run(_merged(older, newer), len(older) + len(newer), folder)


def map_run(path: Path) -> Run:
    """Returns the run in a file.

    Raises:
        OSError: There is no such file.
        ValueError: It is not a run.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size % 16 or not size:
            msg = f"{path} is not a run of keys"
            raise ValueError(msg)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    both = np.frombuffer(mapped, np.int64)
    half = len(both) // 2
    return Run(both[:half], both[half:], path, mapped)


def _merged(older: Run, newer: Run) -> Iterator[Run]:
    """Yields the keys of both in ascending order, in parts of at most two slices."""
    i = j = 0
    while i < len(older) or j < len(newer):
        left, right = older.keys[i : i + SLICE], newer.keys[j : j + SLICE]
        bound = min(int(part[-1]) for part in (left, right) if len(part))
        to_i = i + int(np.searchsorted(left, bound, "right"))
        to_j = j + int(np.searchsorted(right, bound, "right"))
        yield join_runs(
            Run(older.keys[i:to_i], older.payloads[i:to_i]), Run(newer.keys[j:to_j], newer.payloads[j:to_j])
        )
        older.forget_pages()
        newer.forget_pages()
        i, j = to_i, to_j
