"""The loader's index of seen keys beside kept embedded stores: LMDB with integer keys, and SQLite.

``python bench/keys.py --keys 3_000_000``: each store, in a process of its own, is asked for batches of random
keys, of which a twentieth are repeats, and then given them, as the loader does at each commit. Printed are the seconds,
the memory that the store took for itself (private) and with the pages of its files (resident), and its files; each also
as a multiple of ours.
"""

import argparse
import datetime as dt
import multiprocessing
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import lmdb
import numpy as np
from numpy.typing import NDArray

from clapometer.lake.keys.index import SAVE_INTERVAL, KeyIndex
from clapometer.lake.keys.runs import sort_run

Keys = NDArray[np.int64]
MIB = 2**20
REPEATS = 20
"""One key in as many was there before."""


class Store(Protocol):
    """What the loader needs: which of some keys are there, and to remember them with the hashes of their payloads."""

    def contains(self, keys: Keys) -> NDArray[np.bool_]: ...
    def add(self, keys: Keys, payloads: Keys) -> None: ...
    def save(self) -> None: ...
    def close(self) -> None: ...


class Ours:
    """The index, without the table whose commits it follows."""

    class _NoTable:
        version = 0

        def files(self) -> list[object]:
            return []

        def log_entry(self, _version: int) -> bytes:
            return b"none"

    def __init__(self, folder: Path) -> None:
        self._index = KeyIndex(self._NoTable(), folder)  # type: ignore[arg-type]
        self._index.refresh(dt.date(2026, 1, 1))
        self.contains = self._index.contains
        self.save = self._index.save
        self.close = self._index.close

    def add(self, keys: Keys, payloads: Keys) -> None:
        self._index._add("2026-01-02", sort_run(keys, payloads))  # noqa: SLF001
        self._index._keep_merging()  # noqa: SLF001


class Lmdb:
    """A B+ tree of native integers, read through a map of memory."""

    def __init__(self, folder: Path) -> None:
        self._environment = lmdb.open(str(folder), map_size=8 << 30, max_dbs=1, sync=False)
        self._db = self._environment.open_db(b"keys", integerkey=True)

    def contains(self, keys: Keys) -> NDArray[np.bool_]:
        order = np.argsort(keys.view(np.uint64))
        asked = [key.tobytes() for key in keys[order]]
        found = np.zeros(len(keys), bool)
        with self._environment.begin(db=self._db) as reading, reading.cursor() as cursor:
            found[order] = [cursor.set_key(key) for key in asked]
        return found

    def add(self, keys: Keys, payloads: Keys) -> None:
        order = np.argsort(keys.view(np.uint64))
        pairs = zip([key.tobytes() for key in keys[order]], [each.tobytes() for each in payloads[order]], strict=True)
        with self._environment.begin(db=self._db, write=True) as writing, writing.cursor() as cursor:
            cursor.putmulti(pairs, overwrite=False)

    def save(self) -> None:
        self._environment.sync(True)

    def close(self) -> None:
        self.save()
        self._environment.close()


class Sqlite:
    """A B-tree by row id, with SQLite's own cache of pages."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "keys.sqlite", isolation_level=None)
        for statement in ("PRAGMA journal_mode = off", "PRAGMA synchronous = off", "PRAGMA cache_size = -65536"):
            self._connection.execute(statement)
        self._connection.execute("CREATE TABLE keys (key INTEGER PRIMARY KEY, payload INTEGER)")
        self._connection.execute("CREATE TEMP TABLE asked (at INTEGER, key INTEGER)")

    def contains(self, keys: Keys) -> NDArray[np.bool_]:
        order = np.argsort(keys)
        self._connection.execute("DELETE FROM asked")
        self._connection.executemany(
            "INSERT INTO asked VALUES (?, ?)", zip(order.tolist(), keys[order].tolist(), strict=True)
        )
        rows = self._connection.execute("SELECT at FROM asked JOIN keys USING (key)").fetchall()
        found = np.zeros(len(keys), bool)
        found[[at for (at,) in rows]] = True
        return found

    def add(self, keys: Keys, payloads: Keys) -> None:
        order = np.argsort(keys)
        self._connection.execute("BEGIN")
        rows = zip(keys[order].tolist(), payloads[order].tolist(), strict=True)
        self._connection.executemany("INSERT OR IGNORE INTO keys VALUES (?, ?)", rows)
        self._connection.execute("COMMIT")

    def save(self) -> None:
        """Every batch is in the file already."""

    def close(self) -> None:
        self._connection.close()


class Found(NamedTuple):
    """What a store cost: seconds of processor and of the clock, MiB."""

    seconds: float
    wall: float
    private: float
    resident: float
    files: float


STORES: dict[str, Callable[[Path], Store]] = {"ours": Ours, "LMDB": Lmdb, "SQLite": Sqlite}


def memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def measure(name: str, n_keys: int, batch: int, answer: "multiprocessing.Queue[Found]") -> None:
    draw = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as place:
        store = STORES[name](Path(place))
        private, resident = memory("RssAnon"), memory("VmRSS")
        seen = draw.integers(-(2**63), 2**63 - 1, batch // REPEATS)
        store.add(seen, seen)
        most_private, most_resident, wrong = private, resident, 0
        cpu, wall = time.process_time(), time.perf_counter()
        for number in range(n_keys // batch):
            keys = np.concatenate([seen, draw.integers(-(2**63), 2**63 - 1, batch - len(seen))])
            wrong += int(store.contains(keys).sum()) != len(seen)
            store.add(keys[len(seen) :], keys[len(seen) :])
            seen = draw.choice(keys, len(seen), replace=False)
            if number % SAVE_INTERVAL == SAVE_INTERVAL - 1:
                store.save()
            most_private, most_resident = max(most_private, memory("RssAnon")), max(most_resident, memory("VmRSS"))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        store.close()
        files = sum(path.stat().st_blocks * 512 for path in Path(place).rglob("*") if path.is_file()) / MIB
        assert wrong == 0, f"{name} was wrong in {wrong} batches"
        answer.put(Found(cpu, wall, most_private - private, most_resident - resident, files))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=5_000_000)
    parser.add_argument("--batch", type=int, default=20_000)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours: Found | None = None
    print(f"{options.keys:,} keys in batches of {options.batch:,}; in brackets: times ours")
    print(
        f"{'':8}"
        + "".join(
            f"{title:>22}" for title in ("processor, s", "clock, s", "private, MiB", "resident, MiB", "files, MiB")
        )
    )
    for name in STORES:
        answer: multiprocessing.Queue[Found] = context.Queue()
        process = context.Process(target=measure, args=(name, options.keys, options.batch, answer))
        process.start()
        found = answer.get()
        process.join()
        ours = ours or found
        print(
            f"{name:8}"
            + "".join(f"{value:>14.1f} ({value / own:.2f})" for value, own in zip(found, ours, strict=True)),
            flush=True,
        )


if __name__ == "__main__":
    main()
