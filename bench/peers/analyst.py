"""Five questions about outcomes as one asks them of pandas and of SQLite."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

READ = {
    "viewed_3s": ("clip_id", "watched_ms", "total_ms"),
    "completed": ("clip_id", "watched_ms", "total_ms"),
    "played_ms": ("clip_id", "watched_ms", "total_ms"),
    "model": ("clip_id",),
    "disliked_it": ("disliked", "hidden", "not_interested", "reported"),
}
"""What of the outcomes a measure is made from, where it is no column of them."""


class Question(NamedTuple):
    """A question of the table ``t``, the columns that it needs, and how pandas answers it."""

    sql: str
    columns: tuple[str, ...]
    pandas: Callable[[pd.DataFrame], object]

    @property
    def duck(self) -> str:
        """The question as DuckDB wants it: truth values are counted by casting."""
        query = self.sql.replace("liked AND played_ms < 1000", "(liked AND played_ms < 1000)::INT")
        for name in ("viewed_3s", "completed", "liked", "disliked_it"):
            query = query.replace(f"avg({name})", f"avg({name}::INT)").replace(f"sum({name})", f"sum({name}::INT)")
        return query.replace(" t ", " measures ")


QUESTIONS = {
    "hook and completion by day": Question(
        "SELECT shown_date, avg(viewed_3s), avg(completed) FROM t GROUP BY 1",
        ("shown_date", "viewed_3s", "completed"),
        lambda t: t.groupby("shown_date", observed=True)[["viewed_3s", "completed"]].mean(),
    ),
    "likes by surface, position and exploration": Question(
        "SELECT surface, position, explored, avg(liked), count(*) FROM t GROUP BY 1, 2, 3",
        ("surface", "position", "explored", "liked"),
        lambda t: t.groupby(["surface", "position", "explored"])["liked"].agg(["mean", "size"]),
    ),
    "audience by model version": Question(
        "SELECT audience, model, avg(liked), count(*) FROM t GROUP BY 1, 2",
        ("audience", "model", "liked"),
        lambda t: t.groupby(["audience", "model"])["liked"].agg(["mean", "size"]),
    ),
    "reports by clip": Question(
        "SELECT clip_id, sum(disliked_it), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
        ("clip_id", "disliked_it"),
        lambda t: t.groupby("clip_id")["disliked_it"].agg(["sum", "size"]).nlargest(20, "sum"),
    ),
    "viewers who react without watching": Question(
        "SELECT viewer_id, sum(liked AND played_ms < 1000), count(*) FROM t GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20",
        ("viewer_id", "liked", "played_ms"),
        lambda t: (
            (t["liked"] & (t["played_ms"] < 1000)).groupby(t["viewer_id"]).agg(["sum", "size"]).nlargest(20, "sum")
        ),
    ),
}


def read(files: Sequence[Path], clips: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Returns the columns of a question from the files of outcomes, as an analyst would make them with pandas.

    Args:
        files: In folders that are named by day.
        clips: ``clip_id``, ``model`` and ``duration_ms``; they cost nothing here.
        columns: Of `measures`.
    """
    raw = dict.fromkeys(name for column in columns for name in READ.get(column, (column,)))
    frame: pd.DataFrame = pd.read_parquet(files, columns=list(raw))
    if {"model", "played_ms", "viewed_3s", "completed"} & set(columns):
        frame = frame.merge(clips, on="clip_id", how="left")
    if "watched_ms" in frame:
        played = frame[["watched_ms", "total_ms"]].fillna(0).max(axis=1)
        frame["played_ms"] = np.minimum(played, 2.0 * frame["duration_ms"])
        frame["viewed_3s"] = frame["played_ms"] >= np.minimum(3000, 0.97 * frame["duration_ms"])
        frame["completed"] = frame["played_ms"] >= 0.95 * frame["duration_ms"]
    if "disliked" in frame:
        frame["disliked_it"] = frame[["disliked", "hidden", "not_interested", "reported"]].any(axis=1)
    return frame


def sqlite_of(table: pa.Table, path: Path) -> sqlite3.Connection:
    """Returns a SQLite database with a table ``t`` of these rows."""
    path.unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute(f"CREATE TABLE t ({', '.join(table.column_names)})")
    for batch in table.to_batches(200_000):
        rows = zip(*(_plain(column).to_pylist() for column in batch.columns), strict=True)
        database.executemany(f"INSERT INTO t VALUES ({', '.join('?' * batch.num_columns)})", rows)
    database.commit()
    return database


def _plain(column: pa.Array) -> pa.Array:
    """Returns a column as SQLite takes it."""
    for has, wanted in (
        (pa.types.is_boolean, pa.int64()),
        (pa.types.is_date, pa.string()),
        (pa.types.is_decimal, pa.float64()),
    ):
        if has(column.type):
            return column.cast(wanted)
    return column
