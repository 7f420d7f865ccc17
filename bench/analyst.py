"""The cookbook through the published file, against the same data in native DuckDB tables, pandas and SQLite.

``PYTHONPATH=. python bench/analyst.py --outcomes 10_000_000``: makes a lake by SQL through its own writer, copies it
into a native DuckDB file with the same views on top, and asks both the twenty questions in turn. Then: opening and
counting, bytes an event, with ``--load`` the same questions while a loader ingests 20,000 events a second, and with
``--peers`` five questions of pandas and SQLite. Everything is a ratio of this run.
"""

import argparse
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
from bench.loader import blocks
from tests.cookbook import questions

from clapometer.eventlog import EmbeddedLog
from clapometer.jobs.load import Loader
from clapometer.lake import TABLES, Lake, publish
from clapometer.lake.catalogue import statements
from clapometer.lake.data_files import TIDY
from clapometer.lake.schema import WATCHING_COLUMNS, WATCHING_SUFFIX
from clapometer.lake.views import OTHER_EVENTS

DAYS = 28
START = "TIMESTAMPTZ '2026-03-01 00:00:00+00'"
LIMITS = {"threads": 2, "memory_limit": "10GB"}
KINDS = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}
KINDS |= {pa.date32(): "DATE", pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ"}
RATE = 20_000


def uuid(number: str, time: str) -> str:
    """Returns SQL of a UUID version 7 that is the same whenever it is made of the same number."""
    stamp, luck = f"lpad(to_hex(epoch_ms({time})), 12, '0')", f"md5(({number})::VARCHAR)"
    return f"{stamp}[1:8] || '-' || {stamp}[9:12] || '-7' || {luck}[1:3] || '-a' || {luck}[4:6] || '-' || {luck}[7:18]"


def chance(of: str, salt: int) -> str:
    """Returns SQL of a number from 0 to 1 that depends on ``of``."""
    return f"(hash({of}, {salt}) % 1000003 / 1000003.0)"


class Maker:
    """Fills a lake by SQL; rows of impression ``i`` are the same in events and outcomes."""

    def __init__(self, root: Path, outcomes: int, events: int) -> None:
        self.lake, self.outcomes, self.events = Lake(root), outcomes, events
        self.clips, self.viewers = max(1_000, outcomes // 100), max(500, outcomes // 50)
        self.con = duckdb.connect(config=LIMITS | {"temp_directory": str(root / ".tmp")})
        self.con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
        shown = f"({START} + to_microseconds(((i * 1.0 / {outcomes}) * {DAYS} * 86400000000)::BIGINT))"
        clip = f"(pow({chance('i', 1)}, 2) * {self.clips})::BIGINT"  # some are shown much more
        self.shown = {
            "tenant": "'default'", "impression_id": uuid("i", shown), "clip_id": f"'clip_' || {clip}",
            "viewer_id": f"'viewer_' || (hash(i, 2) % {self.viewers})", "session_id": "'session_' || (i // 10)",
            "slate_id": "'slate_' || (i // 10)", "position": "i % 10", "surface": "['feed', 'rail'][(i % 2)::INT + 1]",
            "policy_id": "'ranked'", "propensity": f"0.001 + {chance('i', 3)} / 10", "candidates": "120",
            "explored": f"{chance('i', 4)} < 0.1",
            "audience": "['everyone', 'teens', 'early'][(hash(i, 5) % 3)::INT + 1]",
            "locale": "['en-US', 'de-DE', 'ja-JP', 'pt-BR'][(hash(i, 6) % 4)::INT + 1]", "device_class": "'phone'",
            "experiment": """CASE WHEN i % 10 = 0 THEN '[{"id":"sound","variant":"' || (hash(i, 7) % 2) || '"}]' END""",
        }  # fmt: skip
        self.shown_at = shown
        self.watched = f"CASE WHEN {chance('i', 8)} < 0.9 THEN (pow({chance('i', 9)}, 2) * 12000)::BIGINT END"

    def _columns(self, table: str, given: dict[str, str], kept: frozenset[str] | None = None) -> str:
        schema, partition = TABLES[table]
        return ", ".join(
            f'({given.get(field.name, "NULL")})::{KINDS[field.type]} AS "{field.name}"'
            for field in schema
            if field.name not in partition and (kept is None or field.name in kept)
        )

    def _write(self, table: str, query: str, partition: dict[str, str | None], suffix: str = ".parquet") -> None:
        into = self.lake.table(table)
        path = into.new_file(partition, suffix)
        self.con.execute(f"COPY ({query}) TO '{path}' ({TIDY})")
        into.refresh()
        into.commit([into.added(path, partition)], {})

    def make(self) -> None:
        """Writes all tables and publishes them."""
        self.lake.versions()
        for day in range(DAYS):
            date = self.con.execute(f"SELECT (DATE '2026-03-01' + {day})::VARCHAR").fetchall()[0][0]
            self._day(day, date)
        self._clips()
        self._rest()
        publish(self.lake)

    def _day(self, day: int, date: str) -> None:
        first, last = (self.outcomes * d // DAYS for d in (day, day + 1))
        flags = {"liked": 0.06, "saved": 0.01, "shared": 0.01, "commented": 0.005, "followed": 0.004, "disliked": 0.004,
                 "hidden": 0.003, "not_interested": 0.004, "reported": 0.001, "clicked": 0.03, "visual_searched": 0.003,
                 "carted": 0.004, "purchased": 0.001}  # fmt: skip
        given = self.shown | {name: f"{chance('i', 20 + n)} < {p}" for n, (name, p) in enumerate(flags.items())}
        bought = f"{chance('i', 20 + list(flags).index('purchased'))} < 0.001"
        given |= {
            "shown_at": self.shown_at, "last_event_at": f"{self.shown_at} + INTERVAL 9 SECOND", "trust": "'token'",
            "watched_ms": self.watched, "total_ms": f"({self.watched}) * (1 + i % 2)", "loops": "i % 2",
            "muted_ms": "0", "revenue": f"CASE WHEN {bought} THEN 5 + i % 50 END",
            "currency": f"CASE WHEN {bought} THEN 'EUR' END",
        }  # fmt: skip
        query = f"SELECT {self._columns('outcomes', given)} FROM range({first}, {last}) t(i)"
        self._write("outcomes", f"FROM ({query}) ORDER BY tenant, clip_id, impression_id", {"shown_date": date})
        first, last = (self.events * d // DAYS for d in (day, day + 1))
        self._write("events", self._watching(first, last), {"received_date": date}, WATCHING_SUFFIX)

    def _watching(self, first: int, last: int) -> str:
        """Events in the order of receipt: nine of twenty are impressions, nine watch reports, two reactions.

        Ids are as the player's SDK makes them: version 7, and an impression's event has that of the impression.
        """
        head = {
            "tenant": "'default'", "type": "['impression', 'watched', 'reacted'][k]", "source": "'/web/app'",
            "id": f"CASE WHEN k = 1 THEN {self.shown['impression_id']} ELSE {uuid('e', self.shown_at)} END",
            "time": self.shown_at, "client_time": self.shown_at,
            "received_at": f"{self.shown_at} + INTERVAL 2 SECOND", "trust": "'token'", "event_key": "hash(e) >> 1",
            "payload_hash": "hash(e, 1) >> 1", "impression_id": self.shown["impression_id"],
        }  # fmt: skip
        only = {name: f"CASE WHEN k = 1 THEN {value} END" for name, value in self.shown.items() if name not in head}
        only |= {"watched_ms": f"CASE WHEN k = 2 THEN {self.watched} END", "loops": "CASE WHEN k = 2 THEN i % 2 END",
                 "total_ms": f"CASE WHEN k = 2 THEN ({self.watched}) * (1 + i % 2) END",
                 "end_reason": "CASE WHEN k = 2 THEN 'skipped' END",
                 "reaction": "CASE WHEN k = 3 THEN 'like' END"}  # fmt: skip
        numbers = (
            "SELECT e, CASE WHEN e % 20 < 18 THEN e % 2 + 1 ELSE 3 END AS k, "
            f"(e * {self.outcomes} // {self.events}) // 2 * 2 AS i FROM range({first}, {last}) t(e)"
        )
        return f"SELECT {self._columns('events', head | only, WATCHING_COLUMNS)} FROM ({numbers})"

    def _clips(self) -> None:
        when = f"({START} - INTERVAL 1 DAY)"
        given = {
            "tenant": "'default'", "type": "'clip_registered'", "source": "'/generator'", "id": uuid("-i - 1", when),
            "time": when, "client_time": when, "received_at": when, "trust": "'key'", "event_key": "hash(-i - 1) >> 1",
            "payload_hash": "hash(-i - 1, 1) >> 1", "clip_id": "'clip_' || i", "prompt_id": "md5((i // 8)::VARCHAR)",
            "prompt_text": "'A prompt about subject ' || (i // 8)", "model_name": "'model'", "model_version": "i % 12",
            "duration_ms": "[2000, 4000, 5000, 8000, 15000, 30000][(hash(i) % 6)::INT + 1]", "task": "'t2v'",
            "template_id": "'t' || (i // 8) % 40", "template_version": "'1'", "cost_amount": "0.01 + i % 7 / 100",
            "cost_currency": "'EUR'",
        }  # fmt: skip
        rows = f"SELECT {self._columns('events', given)} FROM range({self.clips}) t(i)"
        self._write("events", rows, {"received_date": "2026-02-28"})
        taken = {**given, "type": "'clip_withdrawn'", "id": "'taken ' || i", "event_key": "i", "reason": "'rights'"}
        voted = {
            **given, "type": "'voted'", "id": "'vote ' || i", "event_key": "i + 5000",
            "result": "['left', 'right'][(i % 2)::INT + 1]",
            "left_impression_id": uuid("(i * 2)", self.shown_at.replace("i * 1.0", "i * 2.0")),
            "right_impression_id": uuid("(i * 4)", self.shown_at.replace("i * 1.0", "i * 4.0")),
        }  # fmt: skip
        for query in (
            f"SELECT {self._columns('events', taken)} FROM range(50) t(i)",
            f"SELECT {self._columns('events', voted)} FROM range(2000) t(i)",
        ):
            self._write("events", query, {"received_date": "2026-03-01"})

    def _rest(self) -> None:
        """Writes rankings, labels, runs, the ledger and dead letters."""
        place = {"run_id": "'r1'", "tenant": "'default'"}
        run = place | {"status": "'succeeded'", "started_at": START, "finished_at": START}
        self._write("runs", f"SELECT {self._columns('runs', run)}", {})
        ranked = place | {
            "segment": "'all'", "segment_value": "''", "rank": "i + 1", "rank_low": "i", "rank_high": "i + 2",
            "effect": "0.1 - i / 1000", "effect_low": "0.09 - i / 1000", "effect_high": "0.11 - i / 1000",
            "tier": "'B'",
            "impressions": "1000", "clips": "10", "p_best": "0.1", "label": "'item ' || i",
        }  # fmt: skip
        for subject, item, n in (("model_versions", "'model@' || i", 12), ("prompts", "md5(i::VARCHAR)", 5_000)):
            given = ranked | {"subject": _text(subject), "item": item}
            self._write("rankings", f"SELECT {self._columns('rankings', given)} FROM range({n}) t(i)", {})
        pair = place | {
            "left_clip_id": "'clip_' || i", "right_clip_id": "'clip_' || (i // 8 * 8 + (i + 1) % 8)", "p_left": "0.6",
            "result": "['left', 'right', 'tie'][(hash(i) % 3)::INT + 1]", "weight": "1", "tier": "'B'",
        }  # fmt: skip
        n = min(self.clips, 100_000)
        self._write("comparisons", f"SELECT {self._columns('comparisons', pair)} FROM range({n}) t(i)", {})
        hour = {"tenant": "'default'", "source": "'/web/app'", "hour": f"{START} + to_hours(i::INTEGER)"}
        counts = dict.fromkeys(("received", "stored"), "1000") | dict.fromkeys(
            ("duplicate", "rejected", "suppressed"), "0"
        )
        self._write("ledger", f"SELECT {self._columns('ledger', hour | counts)} FROM range({DAYS * 24}) t(i)", {})
        dead = {"tenant": "'default'", "received_at": START, "reason": "'reason ' || i % 5", "raw": "'{}'"}
        dated = {"received_date": "2026-03-01"}
        self._write("rejected", f"SELECT {self._columns('rejected', dead)} FROM range(1000) t(i)", dated)


def _text(value: str) -> str:
    return f"'{value}'"


def native(lake: Lake, path: Path) -> None:
    """Copies the lake's tables into a DuckDB file and puts the same views on top."""
    with duckdb.connect(str(path), config=LIMITS) as con:
        con.execute(f"SET enable_progress_bar = false; ATTACH '{lake.storage.published}' AS lake (READ_ONLY)")
        con.execute("CREATE SCHEMA files")
        for name in TABLES:
            con.execute(f'CREATE TABLE files."{name}" AS FROM lake."{name}"')
        con.execute(f'CREATE VIEW files."{OTHER_EVENTS}" AS FROM files.events')
        con.execute("DETACH lake")
        for statement in statements():
            con.execute(statement)


def opened(path: Path) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(str(path), read_only=True, config=LIMITS)
    con.execute("SET enable_progress_bar = false")
    return con


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


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
    for name in ("events", "outcomes"):
        size = sum(path.stat().st_size for path in lake.files(name))
        print(
            f"{name}: {size / lake.rows(name):.1f} bytes a row (target 35 for events), {size / 1e9:.2f} GB", flush=True
        )


def under_load(lake: Lake, idle: dict[str, float], folder: Path) -> None:
    """Prints how much longer the questions take while a loader ingests into the same lake."""
    command = [sys.executable, __file__, "--ingest", str(lake.root), "--folder", str(folder)]
    loading = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert loading.stdout is not None
    print(loading.stdout.readline().strip(), flush=True)
    ratios = []
    for words, query in questions().items():
        con = opened(lake.storage.published)
        ask(con, query)()
        ratios.append(min(seconds(ask(con, query)) for _ in range(2)) / idle[words])
        con.close()
    loading.terminate()
    print(loading.stdout.read().strip())
    loading.wait()
    print(
        f"while loading: {statistics.geometric_mean(ratios):.2f} of the idle time, worst {max(ratios):.2f} (target 1.5)"
    )


def ingest(root: Path, folder: Path) -> None:
    """Loads 20,000 events a second until it is told to end."""
    log = EmbeddedLog(folder / "ingest-log")
    loader = Loader(log, Lake(root))
    made, started, stored = blocks(10_000_000), 0.0, 0
    try:
        while True:
            now = time.perf_counter()
            if not started:
                loader.load_once()
                started = now = time.perf_counter()
                print(f"loading {RATE:,} events a second", flush=True)
            due = int((now - started) * RATE) - stored
            while due > 0:
                log.append_many([next(made) for _ in range(10)])
                stored, due = stored + 1_000, due - 1_000
            loader.load_once()
            time.sleep(0.2)
    finally:
        print(f"loaded {stored:,} in {time.perf_counter() - started:.0f} s", flush=True)


SMALL = {
    "hook and completion by day": (
        "SELECT shown_date, avg(viewed_3s), avg(completed) FROM t GROUP BY 1",
        lambda t: t.groupby("shown_date")[["viewed_3s", "completed"]].mean(),
    ),
    "likes by surface, position and exploration": (
        "SELECT surface, position, explored, avg(liked), count(*) FROM t GROUP BY 1, 2, 3",
        lambda t: t.groupby(["surface", "position", "explored"])["liked"].agg(["mean", "size"]),
    ),
    "audience by model version": (
        "SELECT audience, model, avg(liked), count(*) FROM t GROUP BY 1, 2",
        lambda t: t.groupby(["audience", "model"])["liked"].agg(["mean", "size"]),
    ),
    "reports by clip": (
        "SELECT clip_id, sum(disliked_it), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
        lambda t: t.groupby("clip_id")["disliked_it"].agg(["sum", "size"]).nlargest(20, "sum"),
    ),
    "viewers who react without watching": (
        "SELECT viewer_id, sum(liked AND played_ms < 1000), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
        lambda t: (
            (t["liked"] & (t["played_ms"] < 1000)).groupby(t["viewer_id"]).agg(["sum", "size"]).nlargest(20, "sum")
        ),
    ),
}
COLUMNS = (
    "shown_date", "viewed_3s", "completed", "surface", "position", "explored", "liked", "audience", "model", "clip_id",
    "disliked_it", "viewer_id", "played_ms",
)  # fmt: skip


def peers(lake: Lake, folder: Path) -> None:
    """Prints how much longer pandas and SQLite take than the published file."""
    import pandas  # noqa: PLC0415 - of the group bench

    con = opened(lake.storage.published)
    ours = {words: min(seconds(ask(con, _duck(query))) for _ in range(3)) for words, (query, _) in SMALL.items()}
    table = con.sql(f"SELECT {', '.join(COLUMNS)} FROM measures").to_arrow_table()
    frame: pandas.DataFrame = table.to_pandas()
    database = sqlite3.connect(folder / "peer.sqlite")
    database.execute(f"CREATE TABLE t ({', '.join(COLUMNS)})")
    for batch in table.to_batches(200_000):
        columns = [column.cast(pa.int64()) if pa.types.is_boolean(column.type) else column for column in batch.columns]
        odd = (pa.types.is_date, pa.types.is_decimal)
        columns = [
            c.cast(pa.string()) if odd[0](c.type) else c.cast(pa.float64()) if odd[1](c.type) else c for c in columns
        ]
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        database.executemany(f"INSERT INTO t VALUES ({', '.join('?' * len(COLUMNS))})", rows)
    database.commit()
    ratios: dict[str, list[float]] = {"pandas, in memory": [], "SQLite": []}
    for words, (query, work) in SMALL.items():
        in_memory = min(seconds(lambda work=work: work(frame)) for _ in range(2))
        in_file = seconds(lambda query=query: database.execute(query).fetchall())
        ratios["pandas, in memory"].append(in_memory / ours[words])
        ratios["SQLite"].append(in_file / ours[words])
        print(f"  {words}: ours {ours[words]:.3f} s, pandas {in_memory:.3f} s, SQLite {in_file:.3f} s", flush=True)
    for name, found in ratios.items():
        print(f"{name}: {statistics.geometric_mean(found):.1f} times our time (target 10)", flush=True)


def _duck(query: str) -> str:
    """Returns the question as DuckDB wants it: truth values are counted by casting."""
    for name in ("viewed_3s", "completed", "liked", "disliked_it"):
        query = query.replace(f"avg({name})", f"avg({name}::INT)").replace(f"sum({name})", f"sum({name}::INT)")
    return query.replace("sum(liked AND played_ms < 1000)", "sum((liked AND played_ms < 1000)::INT)").replace(
        " t ", " measures "
    )


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
