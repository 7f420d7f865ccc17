"""Seven questions of the cookbook, as one asks them of pandas and of SQLite, of the same outcomes and clips.

They are those that ask of outcomes and their clips alone, and that SQLite has the functions for.
"""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import gammainc

Z = 1.959963984540054
READ = {
    "counted": ("trust", "clip_id", "viewer_id"),
    "model": ("clip_id",),
    "duration_ms": ("clip_id",),
    "played_ms": ("clip_id", "watched_ms", "total_ms"),
    "started": ("clip_id", "watched_ms", "total_ms"),
    "viewed_3s": ("clip_id", "watched_ms", "total_ms"),
    "completed": ("clip_id", "watched_ms", "total_ms"),
    "liked_it": ("liked", "saved", "shared", "commented", "followed"),
}
"""What of the outcomes a measure is made from, where it is no column of them."""


class Question(NamedTuple):
    """A question of the cookbook: what it needs of `measures`, and how pandas and SQLite's view ``t`` are asked.

    Both give the column ``check`` as our answer has it, up to its order.
    """

    columns: tuple[str, ...]
    check: str
    pandas: Callable[[pd.DataFrame], pd.DataFrame]
    sql: str

    @property
    def raw(self) -> list[str]:
        """What of the outcomes the columns are made from."""
        return list(dict.fromkeys(name for column in self.columns for name in READ.get(column, (column,))))

    def from_files(self, files: Sequence[Path], clips: pd.DataFrame) -> list[float]:
        """Asks pandas, of the files of outcomes, in folders that are named by day."""
        return self.from_memory(pd.read_parquet(files, columns=self.raw), clips)

    def from_memory(self, outcomes: pd.DataFrame, clips: pd.DataFrame) -> list[float]:
        """Asks pandas, of outcomes that are in memory."""
        return list(self.pandas(measures(outcomes[self.raw], clips, self.columns))[self.check])

    def from_sqlite(self, database: sqlite3.Connection) -> list[float]:
        """Asks SQLite."""
        cursor = database.execute(self.sql)
        at = [column[0] for column in cursor.description].index(self.check)
        return [row[at] for row in cursor]


def lengths(t: pd.DataFrame) -> pd.DataFrame:
    t = t[t["counted"]]
    bins = pd.cut(t["duration_ms"], [0, 5_000, 10_000, 20_000, 60_000, np.inf], right=False, labels=[0, 5, 10, 20, 60])
    of_length = np.floor(np.log(t["duration_ms"]) * 12.5)
    quantile = (t["played_ms"] / t["duration_ms"]).groupby(of_length).rank(pct=True)
    return (
        t.assign(at_least_s=bins, quantile=quantile)
        .groupby("at_least_s", observed=True)
        .agg(
            impressions=("completed", "size"),
            completion_rate=("completed", "mean"),
            duration_adjusted_completion=("quantile", "mean"),
            hook_rate=("viewed_3s", "mean"),
        )
    )


def places(t: pd.DataFrame) -> pd.DataFrame:
    by = t[t["counted"]].groupby(["surface", "position", "explored"])
    found = by.agg(impressions=("liked", "size"), start_rate=("started", "mean"), likes=("liked", "sum"))
    found = found[found["impressions"] >= 30]
    return found.assign(
        like_rate=found["likes"] / found["impressions"],
        like_rate_low=wilson(found["likes"], found["impressions"], -1),
        like_rate_high=wilson(found["likes"], found["impressions"], 1),
    )


def visits(t: pd.DataFrame) -> pd.DataFrame:
    days = t[t["counted"]].sort_values("shown_at").drop_duplicates(["viewer_id", "shown_date"])
    day = pd.to_datetime(days["shown_date"].astype(str))
    days = days.assign(day=day).sort_values(["viewer_id", "day"])
    after = days.groupby("viewer_id")["day"].shift(-1) - days["day"]
    week = pd.Timedelta(days=7)
    known = days.assign(within=after <= week)[days["day"] < days["day"].max() - week]
    found = known.groupby("model")["within"].agg(["size", "mean"])
    return found.rename(columns={"size": "visits", "mean": "within_a_week"}).sort_values("within_a_week")


def audiences(t: pd.DataFrame) -> pd.DataFrame:
    by = t[t["counted"] & t["audience"].notna()].groupby(["audience", "model"])["liked_it"]
    found = by.agg(impressions="size", positive="sum", positive_rate="mean").reset_index()
    found["low"] = wilson(found["positive"], found["impressions"], -1)
    found["high"] = wilson(found["positive"], found["impressions"], 1)
    return found.sort_values("low", ascending=False).groupby("audience").head(3)


def funnel(t: pd.DataFrame) -> pd.DataFrame:
    reached = t.loc[t["counted"], list(STAGES)].sum()
    found = pd.DataFrame({"impressions": [int(t["counted"].sum()), *reached]})
    found["share_of_shown"] = found["impressions"] / found["impressions"].iloc[0]
    found["share_of_previous"] = found["impressions"] / found["impressions"].shift()
    return found


def reported(t: pd.DataFrame) -> pd.DataFrame:
    by = t.assign(bad=t["reported"] | t["hidden"])[t["trust"].isin(["key", "token"])].groupby("clip_id")
    found = by.agg(model=("model", "first"), impressions=("bad", "size"), negative=("bad", "sum"))
    found["expected"] = found["impressions"] * found["negative"].sum() / found["impressions"].sum()
    n, found = len(found), found[found["negative"] > found["expected"]]
    found = found.assign(p=n * gammainc(found["negative"], found["expected"]))  # the tail of a Poisson distribution
    return found[found["p"] < 0.05].sort_values("p")


def blind(t: pd.DataFrame) -> pd.DataFrame:
    found = (
        t.assign(blind=t["liked_it"] & (t["played_ms"] < 1000))
        .groupby("viewer_id")
        .agg(
            impressions=("liked_it", "size"),
            positive=("liked_it", "sum"),
            blind=("blind", "sum"),
            models=("model", "nunique"),
        )
    )
    return found[(found["positive"] >= 5) & (found["blind"] > 0.5 * found["positive"])].nlargest(50, "blind")


STAGES = ("started", "viewed_3s", "completed", "liked_it", "clicked", "carted", "purchased")
QUESTIONS = {
    6: Question(
        ("counted", "duration_ms", "played_ms", "completed", "viewed_3s"),
        "hook_rate",
        lengths,
        """SELECT at_least_s, count(*), avg(completed), avg(quantile), avg(viewed_3s) AS hook_rate
        FROM (SELECT *, CASE WHEN duration_ms < 5000 THEN 0 WHEN duration_ms < 10000 THEN 5
            WHEN duration_ms < 20000 THEN 10 WHEN duration_ms < 60000 THEN 20 ELSE 60 END AS at_least_s,
            (cume_dist() OVER (PARTITION BY floor(ln(duration_ms) * 12.5) ORDER BY played_ms / duration_ms) + 1
            - cume_dist() OVER (PARTITION BY floor(ln(duration_ms) * 12.5) ORDER BY played_ms / duration_ms DESC)) / 2
            AS quantile
            FROM t WHERE counted)
        GROUP BY at_least_s ORDER BY at_least_s""",
    ),
    7: Question(
        ("counted", "surface", "position", "explored", "started", "liked"),
        "like_rate_low",
        places,
        """SELECT surface, position, explored, count(*), avg(started), avg(liked),
            wilson_low(sum(liked), count(*)) AS like_rate_low, wilson_high(sum(liked), count(*))
        FROM t WHERE counted GROUP BY surface, position, explored HAVING count(*) >= 30
        ORDER BY surface, explored, position""",
    ),
    8: Question(
        ("counted", "viewer_id", "shown_date", "shown_at", "model"),
        "within_a_week",
        visits,
        """WITH days AS (
            SELECT viewer_id, julianday(shown_date) AS day, model AS first_model, min(shown_at)
            FROM t WHERE counted GROUP BY viewer_id, shown_date),
        visits AS (SELECT *, lead(day) OVER (PARTITION BY viewer_id ORDER BY day) AS next_day FROM days)
        SELECT first_model, count(*), avg(coalesce(next_day - day <= 7, false)) AS within_a_week
        FROM visits, (SELECT max(day) AS last_day FROM days) WHERE day < last_day - 7
        GROUP BY first_model ORDER BY within_a_week DESC""",
    ),
    9: Question(
        ("counted", "audience", "model", "liked_it"),
        "low",
        audiences,
        """SELECT * FROM (
            SELECT *, row_number() OVER (PARTITION BY audience ORDER BY low DESC) AS place
            FROM (SELECT audience, model, count(*), avg(liked_it), wilson_low(sum(liked_it), count(*)) AS low,
                wilson_high(sum(liked_it), count(*)) FROM t WHERE counted AND audience IS NOT NULL
                GROUP BY audience, model))
        WHERE place <= 3 ORDER BY audience, low DESC""",
    ),
    13: Question(
        ("counted", *STAGES),
        "impressions",
        funnel,
        "SELECT value AS impressions FROM json_each((SELECT json_array(count(*), "
        + ", ".join(f"sum({name})" for name in STAGES)
        + ") FROM t WHERE counted))",
    ),
    15: Question(
        ("trust", "clip_id", "model", "hidden", "reported"),
        "expected",
        reported,
        """SELECT clip_id, model, impressions, negative, expected, n * poisson_tail(negative, expected) AS p
        FROM (SELECT *, impressions * sum(negative) OVER () * 1.0 / sum(impressions) OVER () AS expected,
            count(*) OVER () AS n
            FROM (SELECT clip_id, min(model) AS model, count(*) AS impressions, sum(reported OR hidden) AS negative
                FROM t WHERE trust IN ('key', 'token') GROUP BY clip_id))
        WHERE negative > expected AND p < 0.05 ORDER BY p""",
    ),
    16: Question(
        ("viewer_id", "liked_it", "played_ms", "model"),
        "blind",
        blind,
        """SELECT viewer_id, count(*), sum(liked_it) AS positive, sum(liked_it AND played_ms < 1000) AS blind,
            count(DISTINCT model) FROM t GROUP BY viewer_id HAVING positive >= 5 AND blind > 0.5 * positive
        ORDER BY blind DESC LIMIT 50""",
    ),
}
"""By their number in the cookbook."""


def measures(frame: pd.DataFrame, clips: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Returns the columns of a question, as an analyst would make them with pandas.

    Args:
        frame: Outcomes, with what the columns are made from.
        clips: ``clip_id``, ``model``, ``duration_ms``, ``creator_id`` and ``left_out``.
        columns: Of the view `measures`.
    """
    wanted = set(columns)
    if wanted & {"counted", "model", "duration_ms", "played_ms", "started", "viewed_3s", "completed"}:
        frame = frame.merge(clips, on="clip_id", how="left")
    if "counted" in wanted:
        frame["counted"] = (
            frame["trust"].isin(["key", "token"])
            & frame["left_out"].eq(False)  # missing for clips that are not registered
            & (frame["creator_id"].isna() | (frame["viewer_id"] != frame["creator_id"]))
        )
    if "watched_ms" in frame:
        played = frame[["watched_ms", "total_ms"]].fillna(0).max(axis=1)
        frame["played_ms"] = np.minimum(played, 2.0 * frame["duration_ms"])
        frame["started"] = frame["played_ms"] > 0
        frame["viewed_3s"] = frame["played_ms"] >= np.minimum(3000, 0.97 * frame["duration_ms"])
        frame["completed"] = frame["played_ms"] >= 0.95 * frame["duration_ms"]
    if "liked_it" in wanted:
        frame["liked_it"] = frame[list(READ["liked_it"])].any(axis=1)
    return frame


def wilson(successes: pd.Series, trials: pd.Series, side: int) -> pd.Series:
    """Returns an end of the Wilson score interval (1927) of shares; side -1 is the lower one."""
    middle, spread = successes + Z**2 / 2, Z * np.sqrt(successes * (trials - successes) / trials + Z**2 / 4)
    return (middle + side * spread) / (trials + Z**2)


def sqlite_of(outcomes: pa.Table, clips: pa.Table, path: Path) -> sqlite3.Connection:
    """Returns a SQLite database with these tables, and the view ``t`` of what `measures` makes of them."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    for name, side in (("wilson_low", -1), ("wilson_high", 1)):
        database.create_function(name, 2, lambda k, n, side=side: float(wilson(k, n, side)), deterministic=True)
    database.create_function("poisson_tail", 2, lambda k, mean: float(gammainc(k, mean)), deterministic=True)
    for name, table in (("outcomes", outcomes), ("clips", clips)):
        database.execute(f"CREATE TABLE {name} ({', '.join(table.column_names)})")
        for batch in table.to_batches(200_000):
            rows = zip(*(_plain(column).to_pylist() for column in batch.columns), strict=True)
            database.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * batch.num_columns)})", rows)
    database.execute("CREATE UNIQUE INDEX clips_by_id ON clips (clip_id)")
    database.execute(
        """CREATE VIEW t AS SELECT *, played_ms > 0 AS started, played_ms >= 0.95 * duration_ms AS completed,
            played_ms >= min(3000, 0.97 * duration_ms) AS viewed_3s
        FROM (SELECT outcomes.*, model, duration_ms,
            trust IN ('key', 'token') AND NOT left_out AND viewer_id IS NOT creator_id AS counted,
            liked OR saved OR shared OR commented OR followed AS liked_it,
            min(max(coalesce(watched_ms, 0), coalesce(total_ms, 0)), 2.0 * duration_ms) AS played_ms
            FROM outcomes LEFT JOIN clips ON clips.clip_id = outcomes.clip_id)"""
    )
    database.commit()
    return database


def _plain(column: pa.Array) -> pa.Array:
    """Returns a column as SQLite takes it."""
    for has, wanted in (
        (pa.types.is_boolean, pa.int64()),
        (pa.types.is_date, pa.string()),
        (pa.types.is_timestamp, pa.int64()),
        (pa.types.is_decimal, pa.float64()),
    ):
        if has(column.type):
            return column.cast(wanted)
    return column
