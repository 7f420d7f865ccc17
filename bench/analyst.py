"""The cookbook through the published file, against the same data in native DuckDB tables, pandas and SQLite.

``PYTHONPATH=. python bench/analyst.py --outcomes 10_000_000``: makes a lake of 28 days by SQL, its files as upkeep
leaves them, copies it into a native DuckDB file with the same views on top, and asks both the twenty questions in turn.
With ``--folder`` what was made stays there, and a making that was broken off goes on where it was. Then: opening and
counting, bytes an event, with ``--load`` the same questions while a loader ingests 20,000 events a second, and with
``--peers`` seven of the questions of pandas and SQLite. Everything is a ratio of this run.
"""

import argparse
import datetime as dt
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench.analyst_lake import LAST, LIMITS, Maker
from bench.loader import blocks
from tests.support.cookbook import questions

from clapometer.eventlog import EmbeddedLog
from clapometer.lake.delta.packing import is_packed
from clapometer.lake.published.catalogue import statements
from clapometer.lake.published.publish import publish
from clapometer.lake.published.views import OTHER_EVENTS
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadReport, LoadSettings

RATE = 20_000
Answer = TypeVar("Answer")


def native(lake: Lake, path: Path) -> None:
    """Copies the lake's tables into a DuckDB file with the same views on top; it is complete when it has its name."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with duckdb.connect(str(part), config=LIMITS) as con:
        con.execute(f"SET enable_progress_bar = false; ATTACH '{lake.storage.published}' AS lake (READ_ONLY)")
        con.execute("CREATE SCHEMA files")
        for name in TABLES:
            con.execute(f'CREATE TABLE files."{name}" AS FROM lake."{name}"')
        con.execute(f'CREATE VIEW files."{OTHER_EVENTS}" AS FROM files.events')
        con.execute("DETACH lake")
        for statement in statements():
            con.execute(statement)
    part.rename(path)


def opened(path: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(str(path), read_only=True, config=LIMITS)
    con.execute("SET enable_progress_bar = false")
    return con


def seconds(work: Callable[[], object]) -> float:
    return timed(work)[0]


def timed(work: Callable[[], Answer]) -> tuple[float, Answer]:
    """Returns how many seconds it takes, and what comes of it."""
    started = time.perf_counter()
    answer = work()
    return time.perf_counter() - started, answer


def ask(con: duckdb.DuckDBPyConnection, query: str) -> Callable[[], pa.Table]:
    return lambda: con.sql(query.rstrip().removesuffix(";")).to_arrow_table()


def compare(published: Path, table: Path, rounds: int) -> dict[str, float]:
    """Prints the seconds of each question, each way; returns those through the published file."""
    one, other = opened(published), opened(table)
    best: dict[str, float] = {}
    ratios = []
    for words, query in questions().items():
        times = [(seconds(ask(one, query)), seconds(ask(other, query))) for _ in range(rounds + 1)][1:]
        ours, native_s = min(first for first, _ in times), min(second for _, second in times)
        best[words] = ours
        ratios.append(ours / native_s)
        print(f"  {ours:8.3f} s  native {native_s:8.3f} s  ratio {ours / native_s:5.2f}  {words}", flush=True)
    print(f"geometric mean {statistics.geometric_mean(ratios):.2f} (target 1.3)", flush=True)
    return best


def open_and_count(published: Path) -> None:
    """Prints how long a fresh process's first opening and counting take."""
    program = (
        "import duckdb, sys, time; started = time.perf_counter(); c = duckdb.connect(sys.argv[1], read_only=True); "
        "n = c.execute('SELECT count(*) FROM events').fetchone()[0]; print(n, time.perf_counter() - started)"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program, str(published)], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(7)
    ]
    times = sorted(float(line.split()[1]) for line in runs)
    print(f"open and count(*) of {int(runs[0].split()[0]):,} events: {times[3] * 1000:.0f} ms (target 150)", flush=True)


def sizes(lake: Lake) -> None:
    """Prints bytes a row, by how files are kept, and by column where that is much."""
    for name in ("events", "outcomes"):
        kinds = {"all days": lake.files(name)}
        if name == "events":
            kinds |= {"older than the window": [path for path in kinds["all days"] if is_packed(path)]}
            kinds |= {"the last days": [path for path in kinds["all days"] if not is_packed(path)]}
        for kind, paths in kinds.items():
            size, read = sum(path.stat().st_size for path in paths), [pq.read_metadata(path) for path in paths]
            rows = sum(metadata.num_rows for metadata in read)
            print(f"{name}, {kind}: {size / rows:.1f} bytes a row, {size / 1e9:.2f} GB", flush=True)
            print("  ", ", ".join(f"{column} {part / rows:.1f}" for column, part in by_column(read) if part > rows / 9))


def by_column(read: Sequence[pq.FileMetaData]) -> list[tuple[str, int]]:
    """Returns the bytes of each column, the largest first."""
    sizes: Counter[str] = Counter()
    for metadata in read:
        for group in range(metadata.num_row_groups):
            for column in map(metadata.row_group(group).column, range(metadata.num_columns)):
                sizes[column.path_in_schema] += column.total_compressed_size
    return sizes.most_common()


def under_load(lake: Lake, idle: dict[str, float], folder: Path) -> None:
    """Prints how much longer the questions take while a loader ingests into the same lake."""
    command = [sys.executable, __file__, "--ingest", str(lake.root), "--folder", str(folder)]
    loading = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert loading.stdout is not None
    print(loading.stdout.readline().strip(), flush=True)
    ratios = []
    for words, query in questions().items():
        con = opened(lake.storage.published)
        took = min(seconds(ask(con, query)) for _ in range(2))
        con.close()
        ratios.append(took / idle[words])
        print(f"  {took:8.3f} s  {ratios[-1]:5.2f} of idle  {words}", flush=True)
    loading.terminate()
    print(loading.stdout.read().strip(), flush=True)
    loading.wait()
    print(
        f"while loading: {statistics.geometric_mean(ratios):.2f} of the idle time, worst {max(ratios):.2f} (target 1.5)"
    )


def ingest(root: Path, folder: Path) -> None:
    """Loads 20,000 events a second, of the day after the last, with upkeep and all, until it is told to end."""
    stop, now = threading.Event(), dt.datetime.fromisoformat(LAST).replace(tzinfo=dt.UTC) + dt.timedelta(days=1)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    log, made, reports = EmbeddedLog(folder / "ingest-log"), blocks(10**12, now), list[LoadReport]()
    loader = Loader(log, Lake(root), LoadSettings(retention_s=0), clock=lambda: now)
    loader.load_once()  # makes the index of keys
    loading = threading.Thread(target=loader.run, args=(stop,), kwargs={"on_report": reports.append, "on_error": print})
    loading.start()
    print(f"loading {RATE:,} events a second", flush=True)
    started, sent = time.perf_counter(), 0
    while not stop.wait(0.05):
        while sent < (time.perf_counter() - started) * RATE:
            log.append_many([next(made) for _ in range(10)])
            sent += 1_000
    seconds_sent = time.perf_counter() - started
    loading.join()
    stored = sum(report.stored for report in reports)
    print(f"loaded {stored:,} of {sent:,} events in {seconds_sent:.0f} s and {len(reports)} looks", flush=True)


def peers(lake: Lake, folder: Path) -> None:
    """Prints how much longer pandas and SQLite take for the same answers than the published file."""
    from bench.peers.analyst import QUESTIONS, sqlite_of  # noqa: PLC0415 - pandas is of the group bench

    con, asked = opened(lake.storage.published), questions()
    names = sorted({name for question in QUESTIONS.values() for name in question.raw})
    outcomes = con.sql(f"SELECT {', '.join(names)} FROM outcomes").to_arrow_table()
    listed = con.sql(
        "SELECT clip_id, model, duration_ms, lineage_creator_id AS creator_id, "
        "withdrawn OR ad OR watermark AS left_out FROM clips"
    ).to_arrow_table()
    frame, clips = outcomes.to_pandas(), listed.to_pandas()
    database, files = sqlite_of(outcomes, listed, folder / "peer.sqlite"), lake.files("outcomes")
    ratios: dict[str, list[float]] = {"pandas on the files": [], "pandas, outcomes in memory": [], "SQLite": []}
    for number, question in QUESTIONS.items():
        words, query = next(item for item in asked.items() if item[0].startswith(f"{number}. "))
        ours, answer = min((timed(ask(con, query)) for _ in range(3)), key=lambda found: found[0])
        expected = sorted(answer.column(question.check).to_pylist())
        theirs = (
            timed(partial(question.from_files, files, clips)),
            timed(partial(question.from_memory, frame, clips)),
            timed(partial(question.from_sqlite, database)),
        )
        for (name, found), (time_s, values) in zip(ratios.items(), theirs, strict=True):
            if not np.allclose(sorted(values), expected, rtol=0.005):
                raise SystemExit(f"{words}: {name} has another {question.check}: {sorted(values)} and not {expected}")
            found.append(time_s / ours)
        print(
            f"  {ours:8.3f} s  pandas {theirs[0][0]:7.3f} s, in memory {theirs[1][0]:7.3f} s, "
            f"SQLite {theirs[2][0]:7.3f} s  {words}", flush=True,
        )  # fmt: skip
    for name, found in ratios.items():
        print(f"{name}: {statistics.geometric_mean(found):.1f} times our time (target 10)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outcomes", type=int, default=1_000_000)
    parser.add_argument("--events", type=int, help="as many as outcomes where left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="where to work, and to leave the data; a temporary folder otherwise"
    )
    parser.add_argument("--make", action="store_true", help="only make the data in the folder")
    parser.add_argument("--peers", action="store_true", help="ask pandas and SQLite too")
    parser.add_argument("--load", action="store_true", help="ask while a loader ingests too")
    parser.add_argument("--ingest", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ingest is not None:
        ingest(args.ingest, args.folder)
        return
    folder = args.folder or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if not (folder / "native.duckdb").exists():
            Maker(folder / "lake", args.outcomes, args.events or args.outcomes).make()
            native(Lake(folder / "lake"), folder / "native.duckdb")
        if not args.make:
            measure(folder, args)
    finally:
        if args.folder is None:
            shutil.rmtree(folder)


def measure(folder: Path, args: argparse.Namespace) -> None:
    lake = Lake(folder / "lake")
    publish(lake)
    sizes(lake)
    open_and_count(lake.storage.published)
    idle = compare(lake.storage.published, folder / "native.duckdb", args.rounds)
    if args.peers:
        peers(lake, folder)
    if args.load:
        under_load(lake, idle, folder)


if __name__ == "__main__":
    main()
