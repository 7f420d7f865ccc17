"""What an export of many preference labels takes, against writing the same rows to the same kinds of files alone.

    python bench/export.py [--pairs N] [--folder F]

Makes a lake with a run of that many labels, 20 of each prompt of 7 clips, and exports it in a process of its own, which
may use ``--memory`` of DuckDB's and two threads. Prints its seconds and its largest resident memory, and the ratio to
the peer: DuckDB's COPY of the labels' table, not joined with anything, to Parquet and JSON Lines.
"""

import argparse
import datetime as dt
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from clapometer.export.export import Source, export_run
from clapometer.export.options import ExportOptions
from clapometer.labels import DEFAULT_RULE
from clapometer.lake.duck import connect
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters
from clapometer.training.reading import Resources
from clapometer.training.runs import Run, record_run

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
PAIRS, CLIPS = 20, 7

REGISTERED = f"""
SELECT
    'default' AS tenant, '/bench' AS source, i AS event_key, i AS payload_hash, 'clip_registered' AS type,
    'r' || i AS id, TIMESTAMPTZ '2026-02-28 00:00:00+00' AS received_at, received_at AS time, time AS client_time,
    DATE '2026-02-28' AS received_date, 'key' AS trust, 'clip-' || i AS clip_id, 'p' || (i // {CLIPS}) AS prompt_id,
    'a vase of kind ' || (i // {CLIPS}) || ' turning on a wooden table in the morning light' AS prompt_text,
    'm' AS model_name, CAST(i % {CLIPS} AS VARCHAR) AS model_version, 8000 AS duration_ms, true AS training_allowed
FROM range({{clips}}) r(i)"""

LABELS = f"""
SELECT
    'run' AS run_id, 'default' AS tenant, 'default@1' AS rule, 'p' || (i // {PAIRS}) AS prompt_id,
    'clip-' || (i // {PAIRS} * {CLIPS} + left_one) AS left_clip_id,
    'clip-' || (i // {PAIRS} * {CLIPS} + (left_one + 1 + i % {PAIRS} // {CLIPS}) % {CLIPS}) AS right_clip_id,
    hash(i) % 1000003 / 1000003 AS p_left, if(p_left > 0.5, 'left', 'right') AS result, p_left - 0.5 AS margin,
    abs(margin) AS weight, 'B' AS tier, 40 AS left_impressions, 30 AS right_impressions, 'impressions' AS evidence
FROM (SELECT i, i % {PAIRS} % {CLIPS} AS left_one FROM range({{pairs}}) r(i))"""


def make(root: Path, pairs: int) -> Lake:
    """Returns a lake with a run of so many labels."""
    lake = Lake(root)
    with connect() as connection:
        for table, query in (
            ("events", REGISTERED.format(clips=pairs // PAIRS * CLIPS)),
            ("comparisons", LABELS.format(pairs=pairs)),
        ):
            schema = TABLES[table][0]
            connection.register("empty", schema.empty_table())
            rows = connection.sql(f"FROM empty UNION ALL BY NAME {query}").to_arrow_table()
            lake.append(table, rows.cast(schema))
    run = Run(
        run_id="run", tenant="default", status="succeeded", trigger="bench", started_at=NOW, finished_at=NOW, as_of=NOW,
        code_version="bench", rule=DEFAULT_RULE, parameters=Parameters(), seed=0, snapshot={}, tier="B",
    )  # fmt: skip
    record_run(lake, run)
    return lake


def export(root: Path, out: Path, memory: str) -> None:
    """Exports in this process, and prints seconds and MiB."""
    started = time.perf_counter()
    export_run(Source(Lake(root), Resources(2, memory)), ExportOptions(kind="trl-preference", held_out=0.05), out)
    print(f"{time.perf_counter() - started:.1f} {_peak():.0f}")


def _peak() -> float:
    """Returns the largest resident memory of this program in MiB; `getrusage` counts what it was forked from, too."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def copied(lake: Lake, folder: Path, memory: str) -> float:
    """Returns the seconds of the peer."""
    folder.mkdir()
    started = time.perf_counter()
    with lake.connect(threads=2, memory_limit=memory) as connection:
        connection.execute("SET preserve_insertion_order = false")
        for form, options in (("parquet", ", COMPRESSION zstd"), ("json", "")):
            connection.execute(f"COPY comparisons TO '{folder / form}' (FORMAT {form}{options})")
    return time.perf_counter() - started


def main() -> None:
    """Runs the bench."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10_000_000)
    parser.add_argument("--memory", default="600MB")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--export", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.export:
        export(*options.export, options.memory)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        lake, out = make(Path(name) / "lake", options.pairs), Path(name) / "out"
        again = [sys.executable, __file__, "--memory", options.memory, "--export", str(lake.root), str(out)]
        seconds, mib = map(float, subprocess.run(again, check=True, capture_output=True, text=True).stdout.split())
        size = sum(path.stat().st_size for path in out.iterdir())
        peer = copied(lake, Path(name) / "peer", options.memory)
    print(f"{options.pairs:,} labels: {seconds:.0f} s, {mib:,.0f} MiB resident, {size / 1e6:,.0f} MB written")
    print(f"DuckDB's COPY alone: {peer:.0f} s; ratio {seconds / peer:.2f}")


if __name__ == "__main__":
    main()
