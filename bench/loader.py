"""Loader against DuckDB: rows a second from blocks of events to Parquet, both in this run.

The peer is ``duckdb`` reading the same events as one NDJSON file and writing them as Parquet in bulk: no
dedupe, no fsync, no commit. Usage: ``python bench/loader.py``.
"""

import argparse
import datetime as dt
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import duckdb

from clapometer.domain import encode_block, encode_events
from clapometer.domain.events import Impression, ImpressionData, Watched, WatchedData
from clapometer.eventlog import EmbeddedLog
from clapometer.lake.schema import DATA_COLUMNS
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader

BLOCK = 100
NOW = dt.datetime.now(dt.UTC)


def blocks(events: int, now: dt.datetime = NOW) -> Iterator[bytes]:
    """Yields blocks of 100 events of that time: impressions and what was watched of them, about 400 bytes each."""
    for start in range(0, events, BLOCK):
        batch = []
        for number in range(start, start + BLOCK, 2):
            shown = str(uuid.uuid4())
            data = ImpressionData(
                impression_id=shown, clip_id=f"clip_{number % 9999}", viewer_id=f"viewer_{number % 7777}",
                session_id="session_1", slate_id="slate_1", position=3, surface="feed", policy_id="ranked",
                propensity=0.013, candidates=120, locale="de-DE", device_class="phone", token="v1." + "a" * 60,
            )  # fmt: skip
            seen = WatchedData(impression_id=shown, watched_ms=1234, total_ms=3000, loops=1, end_reason="skipped")
            head = {"specversion": "1.0", "source": "/web/app", "time": now}
            batch.append(Impression(id=str(uuid.uuid4()), data=data, **head))
            batch.append(Watched(id=str(uuid.uuid4()), data=seen, **head))
        yield encode_block(encode_events(batch), len(batch), tenant="default", received_at=now)


def resident() -> tuple[int, int]:
    """Returns the resident and the anonymous memory of this process in MB."""
    found = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        found[name] = int(value.split()[0]) // 1024
    return found["Rss"], found["Anonymous"]


def peer(folder: Path, events: int) -> float:
    """Returns the rows a second of DuckDB."""
    columns = "{type: 'VARCHAR', id: 'VARCHAR', source: 'VARCHAR', time: 'TIMESTAMPTZ', data: '" + _struct() + "'}"
    select = ", ".join(
        "data." + ".".join(f'"{key}"' for key in column.path) + f' AS "{column.name}"' for column in DATA_COLUMNS
    )
    with duckdb.connect(config={"threads": 2}) as connection:
        started = time.perf_counter()
        connection.execute(
            f"COPY (SELECT type, id, source, time, {select} FROM read_json('{folder}/events.ndjson', "
            f"format = 'newline_delimited', columns = {columns})) TO '{folder}/peer.parquet' "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
        return events / (time.perf_counter() - started)


def _struct() -> str:
    tree: dict = {}
    kinds = {"string": "VARCHAR", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN"}
    for column in DATA_COLUMNS:
        folder = tree
        for key in column.path[:-1]:
            folder = folder.setdefault(key, {})
        folder[column.path[-1]] = "JSON" if column.is_json else kinds[str(column.type)]

    def spell(node: dict) -> str:
        inner = (f'"{key}" {spell(value) if isinstance(value, dict) else value}' for key, value in node.items())
        return f"STRUCT({', '.join(inner)})"

    return spell(tree)


def ours(folder: Path, events: int) -> tuple[float, list[tuple[int, int]]]:
    """Returns the rows a second of the loader, everything included, and its memory after each load."""
    log, lake = EmbeddedLog(folder / "log"), Lake(folder / "lake")
    lake.versions()
    loader = Loader(log, lake)
    memory = []
    started = time.perf_counter()
    stored = 0
    while (report := loader.load_once()).blocks:
        stored += report.stored
        memory.append(resident())
    seconds = time.perf_counter() - started
    assert stored == events, f"{stored} of {events} events are there"
    loader.close()
    log.close()
    shutil.rmtree(folder / "lake")
    return events / seconds, memory


def prepare(folder: Path, events: int) -> None:
    """Writes the same events as blocks of a log and as NDJSON."""
    log = EmbeddedLog(folder / "log", max_bytes=64 << 30)
    pending: list[bytes] = []
    with (folder / "events.ndjson").open("wb") as file:
        for block in blocks(events):
            file.write(block.partition(b"\n")[2])
            pending.append(block)
            if len(pending) == BLOCK:
                log.append_many(pending)
                pending.clear()
    log.append_many(pending)
    log.close()


def main() -> None:
    """Prints the best rate of each, their ratio, and the loader's memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="each runs so often, in turn; the best counts")
    parser.add_argument("--folder", type=Path, help="where to work; the system's temporary folder otherwise")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        prepare(folder, args.events)
        before = resident()
        rounds = [(ours(folder, args.events), peer(folder, args.events)) for _ in range(args.rounds)]
    finally:
        shutil.rmtree(folder)
    rate, reference = max(rate for (rate, _), _ in rounds), max(reference for _, reference in rounds)
    memory = rounds[0][0][1]
    print(f"duckdb {reference:12,.0f} rows/s")
    print(f"loader {rate:12,.0f} rows/s   ratio {rate / reference:.2f} (target 0.5)")
    print(f"rounds {', '.join(f'{one / other:.2f}' for (one, _), other in rounds)}")
    print("loader's memory in MB, resident (of it anonymous): "
          + ", ".join(f"{name} {rss} ({anonymous})" for name, (rss, anonymous) in {
              "before": before, "after a quarter": memory[len(memory) // 4], "at the end": memory[-1],
              "highest": max(memory)}.items()))  # fmt: skip


if __name__ == "__main__":
    main()
