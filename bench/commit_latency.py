"""Commit latency of the loader as the table of events grows: from a batch read to rows published.

``PYTHONPATH=. python bench/commit_latency.py --millions 1 10 100``: fills the lake with real files up to each size,
lets upkeep merge what there is to merge, and then loads the same small batches. Also the start of a loader, which
indexes the window.
"""

import argparse
import datetime as dt
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import duckdb

from clapometer.domain import encode_block, encode_events
from clapometer.domain.events import Watched, WatchedData
from clapometer.eventlog import MemoryLog
from clapometer.lake.schema import WATCHING_COLUMNS, WATCHING_SUFFIX
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.upkeep.merge import UpkeepSettings, compact

NOW = dt.datetime.now(dt.UTC)
FILE_ROWS = 4_000_000
DAYS = 8
BATCH = 1_000
FILLED = {
    "tenant": "'default'", "type": "'watched'", "source": "'/old'", "id": "'e' || i", "trust": "'key'",
    "time": "moment", "client_time": "moment", "received_at": "moment", "impression_id": "'i' || i",
    "event_key": "(hash(i) >> 1)::BIGINT", "payload_hash": "(hash(i, 1) >> 1)::BIGINT",
    "watched_ms": "i % 10000", "total_ms": "i % 12000",
}  # fmt: skip


def fill(lake: Lake, rows: int) -> None:
    """Adds files to ``events`` until it has that many rows, spread over the days of the window."""
    table = lake.table("events")
    have = lake.rows("events")
    names = [field for field in table.schema if field.name in WATCHING_COLUMNS and field.name != "received_date"]
    kinds = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}
    nothing = {field.name: f"NULL::{kinds.get(str(field.type), 'TIMESTAMPTZ')}" for field in names}
    columns = ", ".join(f'{value} AS "{name}"' for name, value in {**nothing, **FILLED}.items())
    with duckdb.connect(config={"memory_limit": "2GB"}) as connection:
        while have < rows:
            count = min(FILE_ROWS, rows - have)
            day = NOW - dt.timedelta(days=have // FILE_ROWS % DAYS)
            values: dict[str, str | None] = {"received_date": str(day.date())}
            path = table.new_file(values, WATCHING_SUFFIX)
            connection.execute(
                f"COPY (SELECT {columns} FROM (SELECT i, ?::TIMESTAMPTZ AS moment FROM range({have}, {have + count}) "
                f"r(i))) TO '{path}' (FORMAT parquet, COMPRESSION zstd)", [day],
            )  # fmt: skip
            table.commit([table.added(path, values)], {})
            have += count


class Measured(NamedTuple):
    """Seconds of one load, and those that processors spent."""

    seconds: float
    cpu_seconds: float


def batches(first: int) -> Iterator[bytes]:
    """Yields blocks of new events without end."""
    for start in itertools.count(first, BATCH):
        events = [
            Watched(
                specversion="1.0", id=f"n{number}", source="/new", time=NOW,
                data=WatchedData(impression_id=f"i{number}", watched_ms=1),
            )
            for number in range(start, start + BATCH)
        ]  # fmt: skip
        yield encode_block(encode_events(events), BATCH, tenant="default", received_at=dt.datetime.now(dt.UTC))


def measure(lake: Lake, first: int, count: int) -> tuple[float, list[Measured]]:
    """Returns the seconds of a loader's start, its first load included, and of loads after its index is merged."""
    log = MemoryLog()
    started = time.perf_counter()
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    blocks = batches(first)

    def load() -> Measured:
        log.append_many([next(blocks)])
        at = time.process_time()
        report = loader.load_once()
        assert report.stored == BATCH, report
        return Measured(report.seconds, time.process_time() - at)

    load()
    start = time.perf_counter() - started
    while loader._index._merge is not None:  # noqa: SLF001 - millions of keys came at once
        load()
    found = [load() for _ in range(count)]
    loader.close()
    return start, found


def main() -> None:
    """Prints median and slowest tenth at each size, and the ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 10, 100])
    parser.add_argument("--commits", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        lake.versions()
        base = None
        for number, size in enumerate(arguments.millions):
            fill(lake, int(size * 1e6))
            while compact(lake, UpkeepSettings()).made:
                pass
            start, found = measure(lake, 1_000_000 * number, arguments.commits)
            seconds = [each.seconds for each in found]
            median, cpu = statistics.median(seconds), statistics.median(each.cpu_seconds for each in found)
            base = base or (median, cpu)
            slow = statistics.quantiles(seconds, n=10)[-1]
            print(
                f"{size:g} million rows, {len(lake.files('events'))} files: commit of {BATCH:,} events "
                f"{median * 1e3:.0f} ms median, {slow * 1e3:.0f} ms slowest tenth, {cpu * 1e3:.0f} ms of processor "
                f"time; {median / base[0]:.2f} and {cpu / base[1]:.2f} of the first; start {start:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
