"""What the days of outcomes cost: the same rows on one day or on many, and with untrusted ones of many days.

    python bench/old_days.py [--rows N] [--days N] [--rounds N]

``one day``: all impressions on a day; ``many days``: the same ones spread over ``--days`` days, as a backfill brings
them; ``a month``: over 30 days; ``a month and untrusted``: and as many impressions without a token as there are days,
one on each. ``first``: a training that folds everything; ``a late like``: one after a like for an impression of the
middle day, which folds what that touches. Prints the best seconds of the rounds, the files of outcomes, and ratios.
"""

import argparse
import datetime as dt
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb

from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.training.reading import Resources
from clapometer.training.train import train_once

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)

EVENTS = """
SELECT
    'default' AS tenant, '/bench' AS source, i AS event_key, i AS payload_hash,
    TIMESTAMPTZ '2026-02-28 00:00:00+00' AS received_at, DATE '2026-02-28' AS received_date"""

CLIPS = (
    EVENTS
    + """,
    'clip_registered' AS type, 'r' || i AS id, TIMESTAMPTZ '2026-02-01 00:00:00+00' AS time, time AS client_time,
    'key' AS trust, 'clip-' || i AS clip_id, 'p' || (i // 4) AS prompt_id, 'm' AS model_name,
    CAST((i * 7919 + i // 4) % 6 AS VARCHAR) AS model_version, 2000 + (i * 104729) % 20000 AS duration_ms
FROM range({clips}) r(i)"""
)

SHOWN = (
    EVENTS
    + """,
    'impression' AS type, '{kind}' || i AS id, '{kind}' || i AS impression_id,
    TIMESTAMPTZ '2026-02-28 00:00:00+00' - to_days(CAST(i % {days} AS INTEGER)) - to_seconds(i * 7 % 86400) AS time,
    time AS client_time,
    '{trust}' AS trust, 'clip-' || (i * 31 % {clips}) AS clip_id, 'viewer-' || (i * 17 % ({rows} // 20)) AS viewer_id,
    i % 10 AS position, 'feed' AS surface, 1 / {clips} AS propensity, {clips} AS candidates, i % 7 = 0 AS explored
FROM range({rows}) r(i)"""
)

ANSWERED = (
    EVENTS
    + """,
    'watched' AS type, 'w{kind}' || i AS id, '{kind}' || i AS impression_id, received_at AS time, time AS client_time,
    'key' AS trust, hash(i) % 9000 AS watched_ms, hash(i) % 9000 AS total_ms
FROM range({rows}) r(i)"""
)

LIKE = (
    EVENTS
    + """,
    'reacted' AS type, 'l' || i AS id, 'i' || i AS impression_id, received_at AS time, time AS client_time,
    'key' AS trust, 'like' AS reaction
FROM range({days} // 2, {days} // 2 + 1) r(i)"""
)


@dataclass(frozen=True)
class Cost:
    """Seconds of the first training and of one after a late like, and files of outcomes after each."""

    first: float
    late: float
    files: int
    files_late: int


def add(lake: Lake, *queries: str) -> None:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("empty", TABLES["events"][0].empty_table())
        con.execute("CREATE TABLE events AS FROM empty")
        for query in queries:
            con.execute(f"INSERT INTO events BY NAME {query}")
        lake.append("events", con.sql("FROM events").to_arrow_table())


def train(lake: Lake) -> float:
    began = time.perf_counter()
    run = train_once(lake, clock=lambda: NOW, resources=Resources(2, "1GB")).run
    assert run.status == "succeeded", run.error
    return time.perf_counter() - began


def measure(rows: int, days: int, untrusted: int) -> Cost:
    clips = 600
    with tempfile.TemporaryDirectory(prefix="bench-old-days-") as folder:
        lake = Lake(Path(folder))
        given = {"clips": clips, "rows": rows, "days": days}
        own = {"kind": "i", "trust": "token"}
        parts = [CLIPS.format(**given), SHOWN.format(**given, **own), ANSWERED.format(**given, **own)]
        if untrusted:
            many = {"clips": clips, "rows": untrusted, "days": untrusted, "kind": "u", "trust": "none"}
            parts.append(SHOWN.format(**many))
        add(lake, *parts)
        first, files = train(lake), len(lake.files("outcomes"))
        add(lake, LIKE.format(**given))
        return Cost(first, train(lake), files, len(lake.files("outcomes")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--days", type=int, default=1_500)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    worlds = {
        "one day": (1, 0), "many days": (given.days, 0), "a month": (30, 0),
        "a month and untrusted": (30, given.days),
    }  # fmt: skip
    best: dict[str, Cost] = {}
    for _ in range(given.rounds):
        for name, (days, untrusted) in worlds.items():
            cost = measure(given.rows, days, untrusted)
            known = best.get(name, cost)
            best[name] = Cost(min(known.first, cost.first), min(known.late, cost.late), cost.files, cost.files_late)
    for name, cost in best.items():
        print(
            f"{name:22} first {cost.first:6.2f} s ({cost.files} files)  a late like {cost.late:6.2f} s "
            f"({cost.files_late} files)"
        )
    for one, other in (("many days", "one day"), ("a month and untrusted", "a month")):
        first, late = best[one].first / best[other].first, best[one].late / best[other].late
        print(f"{one} / {other}: first {first:.2f}, a late like {late:.2f}")


if __name__ == "__main__":
    main()
