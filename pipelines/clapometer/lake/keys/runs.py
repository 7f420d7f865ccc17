"""Sorted runs of keys: short ones in memory, long ones as files of which only the pages are read that may have a key.

Neither the number of keys nor the length of a run decides how much memory is taken, but for one key in 512.
"""

from __future__ import annotations

import mmap
import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
SLICE = 1 << 18
"""Keys of runs that are merged at a time."""
PAGE = 512
"""Keys of a page of memory. The first key of each page of a stored run is kept in memory."""
ASKED = 1 << 10
"""Keys that are looked up before the pages that were read for them are given back."""


@dataclass(frozen=True, eq=False)
class Run:
    """Keys in ascending order, each with the hash of its payload; of a file, with the first key of each page."""

    keys: Int64s
    payloads: Int64s
    firsts: Int64s
    path: Path | None = None
    map: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def has(self, keys: Int64s) -> NDArray[np.bool_]:
        """Returns which of the sorted ``keys`` this run has."""
        found = np.zeros(len(keys), bool)
        for start in range(0, len(keys), ASKED):
            wanted = keys[start : start + ASKED]
            found[start : start + ASKED] = self.keys[self._last_up_to(wanted)] == wanted
            self.forget_pages()
        return found

    def payloads_of(self, keys: Int64s) -> Iterator[tuple[int, set[int]]]:
        """Yields those of the sorted ``keys`` that this run has, with the hashes of their payloads."""
        for start in range(0, len(keys), ASKED):
            wanted = keys[start : start + ASKED]
            starts, ends = self._last_up_to(wanted - 1) + 1, self._last_up_to(wanted) + 1
            starts[wanted - 1 < self.firsts[0]] = 0
            for at in np.flatnonzero((ends > starts) & (wanted >= self.firsts[0])).tolist():
                yield int(wanted[at]), set(self.payloads[starts[at] : ends[at]].tolist())
            self.forget_pages()

    def part(self, which: slice) -> Run:
        """Returns some neighbouring keys as a run of their own."""
        keys = self.keys[which]
        return Run(keys, self.payloads[which], keys[::PAGE])

    def forget_pages(self) -> None:
        """Gives back the memory of the pages that were read."""
        if self.map is not None and hasattr(self.map, "madvise"):
            self.map.madvise(mmap.MADV_DONTNEED)

    def _last_up_to(self, wanted: Int64s) -> NDArray[np.intp]:
        """Returns where the last key is that is not above each of ``wanted``; 0 where all are."""
        at = np.maximum(np.searchsorted(self.firsts, wanted, "right") - 1, 0) * PAGE
        step = PAGE // 2
        while step:
            further = np.minimum(at + step, len(self.keys) - 1)
            at = np.where(self.keys[further] <= wanted, np.maximum(at, further), at)
            step //= 2
        return at


def sort_run(keys: Int64s, payloads: Int64s) -> Run:
    """Returns a run in memory."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    return Run(keys, payloads[order], keys[::PAGE])


def join_runs(runs: Sequence[Run]) -> Run:
    """Returns a run in memory with the keys of all."""
    return sort_run(np.concatenate([run.keys for run in runs]), np.concatenate([run.payloads for run in runs]))


def store_run(parts: Iterator[Run], length: int, folder: Path) -> Run:
    """Returns a run as a file in ``folder``, not synced, from parts that follow each other in ascending order.

    The file has all keys, all payloads, and the first key of each page, which starts at a multiple of ``PAGE`` keys.
    """
    path = folder / f"{uuid.uuid4().hex}.run"
    firsts = np.empty(-(-length // PAGE), np.int64)
    try:
        with path.open("wb") as keys, path.open("r+b") as payloads:
            keys.truncate(16 * length)
            payloads.seek(8 * length)
            done = 0
            for part in parts:
                mine = part.keys[-done % PAGE :: PAGE]
                firsts[-(-done // PAGE) : -(-done // PAGE) + len(mine)] = mine
                keys.write(part.keys.data)
                payloads.write(part.payloads.data)
                done += len(part)
            payloads.write(firsts.data)
            payloads.write(length.to_bytes(8, "little"))
        return map_run(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def merge_runs(runs: Sequence[Run], folder: Path) -> Run:
    """Returns a run as a file in ``folder``, not synced, with the keys of all; takes a bounded amount of memory."""
    return store_run(_merged(runs), sum(map(len, runs)), folder)


def map_run(path: Path) -> Run:
    """Returns the run in a file.

    Raises:
        OSError: There is no such file.
        ValueError: It is not a run.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(8), "little")
        pages = -(-length // PAGE)
        if not length or size != 16 * length + 8 * pages + 8:
            msg = f"{path} is not a run of keys"
            raise ValueError(msg)
        file.seek(16 * length)
        firsts = np.frombuffer(file.read(8 * pages), np.int64)
        mapped = mmap.mmap(file.fileno(), 16 * length, access=mmap.ACCESS_READ)
    both = np.frombuffer(mapped, np.int64)
    return Run(both[:length], both[length:], firsts, path, mapped)


def _merged(runs: Sequence[Run]) -> Iterator[Run]:
    """Yields the keys of all in ascending order, in parts of about a slice."""
    at = [0] * len(runs)
    size = max(1, SLICE // len(runs))
    while any(start < len(run) for start, run in zip(at, runs, strict=True)):
        parts = [run.keys[start : start + size] for start, run in zip(at, runs, strict=True)]
        bound = min(int(part[-1]) for part in parts if len(part))
        ends = [start + int(np.searchsorted(part, bound, "right")) for start, part in zip(at, parts, strict=True)]
        cut = [slice(start, end) for start, end in zip(at, ends, strict=True)]
        yield join_runs([run.part(part) for run, part in zip(runs, cut, strict=True)])
        for run in runs:
            run.forget_pages()
        at = ends
