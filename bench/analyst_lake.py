"""The lake of `bench.analyst`: 28 days by SQL, through the lake's own writer, and as upkeep would leave it."""

from pathlib import Path

import duckdb
import pyarrow as pa

from clapometer.lake.delta.packing import PACKED, suffix_of, write_tidily
from clapometer.lake.published.publish import publish
from clapometer.lake.schema import WATCHING_COLUMNS, WATCHING_SUFFIX
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.upkeep.merge import UpkeepSettings

DAYS = 28
START = "TIMESTAMPTZ '2026-03-01 00:00:00+00'"
LIMITS = {"threads": 2, "memory_limit": "10GB"}
KINDS = {pa.string(): "VARCHAR", pa.int64(): "BIGINT", pa.float64(): "DOUBLE", pa.bool_(): "BOOLEAN"}
KINDS |= {pa.date32(): "DATE", pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ"}
LAST, LAST_PACKED = "2026-03-28", f"2026-03-{DAYS - UpkeepSettings().window_days - 1:02d}"


def uuid(number: str, time: str) -> str:
    """Returns SQL of a UUID version 7 that is the same whenever it is made of the same number."""
    stamp, luck = f"lpad(lower(to_hex(epoch_ms({time}))), 12, '0')", f"md5(({number})::VARCHAR)"
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
        shown = f"({START} + to_milliseconds(((i * 1.0 / {outcomes}) * {DAYS} * 86400000)::BIGINT))"
        self.skew = "to_milliseconds((hash(i, 12) % 50)::BIGINT)"
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
        self.reported = f"CASE WHEN {clip} % 1000 = 7 THEN 0.05 ELSE 0.001 END"  # some clips much more
        self.watched = f"CASE WHEN {chance('i', 8)} < 0.9 THEN (pow({chance('i', 9)}, 2) * 12000)::BIGINT END"

    def _columns(self, table: str, given: dict[str, str], kept: frozenset[str] | None = None) -> str:
        schema, partition = TABLES[table]
        return ", ".join(
            f'({given.get(field.name, "NULL")})::{KINDS[field.type]} AS "{field.name}"'
            for field in schema
            if field.name not in partition and (kept is None or field.name in kept)
        )

    def _write(self, table: str, query: str, partition: dict[str, str | None], suffix: str = ".parquet") -> None:
        """Writes the file of a partition with such a suffix, unless it is there."""
        into = self.lake.table(table)
        into.refresh()
        there = [file.path for file in into.files() if file.partition == partition]
        if suffix in (suffix_of([path], packed=False).removeprefix(PACKED) for path in there):
            return
        old = str(partition.get("received_date", LAST)) <= LAST_PACKED
        path = into.new_file(partition, suffix_of([suffix], packed=table == "events" and old))
        write_tidily(self.con, table, query, path)
        into.commit([into.added(path, partition)], {})

    def make(self) -> None:
        """Writes all tables and publishes them."""
        self.lake.versions()
        for day in range(DAYS):
            date = self.con.execute(f"SELECT (DATE '2026-03-01' + {day})::VARCHAR").fetchall()[0][0]
            self._day(day, date)
            print(f"made {date}", flush=True)
        self._clips()
        self._rest()
        publish(self.lake)

    def _day(self, day: int, date: str) -> None:
        first, last = (self.outcomes * d // DAYS for d in (day, day + 1))
        flags = {"liked": 0.06, "saved": 0.01, "shared": 0.01, "commented": 0.005, "followed": 0.004, "disliked": 0.004,
                 "hidden": 0.003, "not_interested": 0.004, "reported": self.reported, "clicked": 0.03,
                 "visual_searched": 0.003, "carted": 0.004, "purchased": 0.001}  # fmt: skip
        given = self.shown | {name: f"{chance('i', 20 + n)} < {p}" for n, (name, p) in enumerate(flags.items())}
        bought = f"{chance('i', 20 + list(flags).index('purchased'))} < 0.001"
        given |= {
            "shown_at": f"{self.shown_at} + {self.skew}", "last_event_at": f"{self.shown_at} + INTERVAL 9 SECOND",
            "trust": "'token'", "watched_ms": self.watched, "total_ms": f"({self.watched}) * (1 + i % 2)",
            "loops": "i % 2", "muted_ms": "0", "revenue": f"CASE WHEN {bought} THEN 5 + i % 50 END",
            "currency": f"CASE WHEN {bought} THEN 'EUR' END",
        }  # fmt: skip
        query = f"SELECT {self._columns('outcomes', given)} FROM range({first}, {last}) t(i)"
        self._write("outcomes", f"FROM ({query}) ORDER BY tenant, clip_id, impression_id", {"shown_date": date})
        first, last = (self.events * d // DAYS for d in (day, day + 1))
        self._write("events", self._watching(first, last), {"received_date": date}, WATCHING_SUFFIX)

    def _watching(self, first: int, last: int) -> str:
        """Events about as they are received: nine of twenty are impressions, nine watch reports, two reactions.

        Ids are as the player's SDK makes them: version 7, and an impression's event has that of the impression.
        """
        said = (
            f"({self.shown_at} + to_milliseconds(CASE WHEN k = 1 THEN 0 ELSE 1000 + hash(e, 10) % 14000 END::BIGINT))"
        )
        head = {
            "tenant": "'default'", "type": "['impression', 'watched', 'reacted'][k]", "source": "'/web/app'",
            "id": f"CASE WHEN k = 1 THEN {self.shown['impression_id']} ELSE {uuid('e', said)} END",
            "time": f"{said} + {self.skew}", "client_time": said,
            "received_at": f"{said} + to_milliseconds((50 + hash(e, 11) % 2000)::BIGINT)", "trust": "'token'",
            "event_key": "hash(e) >> 1", "payload_hash": "hash(e, 1) >> 33",
            "impression_id": self.shown["impression_id"],
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
        rows = (
            f"SELECT {self._columns('events', taken)} FROM range(50) t(i) UNION ALL "
            f"SELECT {self._columns('events', voted)} FROM range(2000) t(i)"
        )
        self._write("events", rows, {"received_date": "2026-03-01"})

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
        rankings = []
        for subject, item, n in (("model_versions", "'model@' || i", 12), ("prompts", "md5(i::VARCHAR)", 5_000)):
            given = ranked | {"subject": _text(subject), "item": item}
            rankings.append(f"SELECT {self._columns('rankings', given)} FROM range({n}) t(i)")
        self._write("rankings", " UNION ALL ".join(rankings), {})
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
