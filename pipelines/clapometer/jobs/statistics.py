"""Outcomes to sufficient statistics: everything that grows with the traffic stays in DuckDB."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.jobs.clips import numbers
from clapometer.jobs.tiers import MIN_EXPLORED, contradiction, read_exposure, why_not_b
from clapometer.labels import (
    LabelRule,
    ScreeningLimits,
    ScreeningReason,
    ViewerSums,
    WatchCounts,
    fit_watch_quantiles,
    fixed_label_sql,
    label_columns,
    mature_sql,
    ratio_bin_sql,
    screen_viewers,
    silent_sql,
    viewer_sums_sql,
    watched_sql,
)
from clapometer.lake import sql
from clapometer.ranking import position_curve

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

REASONS = (
    "",
    "untrusted impression",
    "clip not registered",
    "clip withdrawn",
    "advertisement",
    "watermark",
    "repost",
    "creator's own view",
    "too recent",
    *(f"viewer {reason}" for reason in ScreeningReason),
)
"""Why an outcome does not count, by its number in ``train_scored.sql``."""

EPOCH = dt.date(1970, 1, 1)
ORPHANS = "engagement without impression"
"""The reason of `count_orphans`: these are no outcomes, and not counted among them."""
PEOPLE = ScreeningLimits()
_VALUES = {"surfaces": "surface", "audiences": "audience", "locales": "locale"}
_MAX_VALUES = 1_000


@dataclass(frozen=True)
class Screening:
    """Which clips do not count.

    Attributes:
        ads: Drop advertisements.
        watermarks: Drop clips with a watermark.
        reposts: Drop reposts; where this is off, they count for the original.
    """

    ads: bool = True
    watermarks: bool = True
    reposts: bool = False


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known of a tenant's outcomes before anything is estimated.

    Attributes:
        first_day: Day 0, in days since 1970.
        outcomes: All of them.
        excluded: Number of outcomes that do not count, by reason.
        logged: Outcomes that count and have a propensity.
        explored: Those of them that were shown by chance.
        slots: Sum of ``1 / candidates`` over the logged ones by day, ``(n_days,)``.
        currency: The currency in which revenue is counted: the most frequent.
        contradicted: In what the data contradict the logged propensities; empty where they do not.
    """

    first_day: int
    outcomes: int
    excluded: dict[str, int]
    logged: int
    explored: int
    slots: Floats
    currency: str | None
    contradicted: str = ""

    @property
    def counted(self) -> int:
        """Outcomes that count."""
        return self.outcomes - sum(self.excluded.values())

    @property
    def tier(self) -> str:
        """B where exposure was partly left to logged chance, and the data do not contradict it; else C."""
        return "C" if self.tier_reason else "B"

    @property
    def tier_reason(self) -> str:
        """Why the tier is C; empty where it is B."""
        if not self.counted:
            return "no impression counts"
        return why_not_b(self.logged, self.explored, self.contradicted)


def screen(con: duckdb.DuckDBPyConnection, tenant: str, limits: ScreeningLimits = PEOPLE) -> pa.Table:
    """Returns the viewers of a tenant that are not people: ``viewer_id`` and the number of the ``reason``.

    Args:
        con: Connection to a snapshot of the lake.
        tenant: Whose outcomes.
        limits: Where a person ends. Viewers who did less than any limit asks for are not looked at.
    """
    query = sql("train_viewers").replace("{sums}", viewer_sums_sql("own", limits))
    least = {"min_reactions": limits.min_reactions, "min_impressions": limits.everything_impressions}
    table = con.sql(query, params={"tenant": tenant} | least).to_arrow_table()
    signature = [name for name in table.schema.names if name.startswith("signature_")]
    sums = ViewerSums(
        impressions=numbers(table["impressions"]),
        reactions=numbers(table["reactions"]),
        blind=numbers(table["blind"]),
        hours=numbers(table["hours"]),
        days=numbers(table["days"]),
        signature=np.column_stack([numbers(table[name].fill_null(0)) for name in signature]),
    )
    reasons = screen_viewers(sums, limits)
    found = [row for row, reason in enumerate(reasons) if reason is not None]
    codes = [REASONS.index(f"viewer {reasons[row]}") for row in found]
    return pa.table(
        {"viewer_id": table["viewer_id"].take(pa.array(found, pa.int64())), "reason": pa.array(codes, pa.uint8())}
    )


def score_outcomes(
    con: duckdb.DuckDBPyConnection,
    tenant: str,
    rule: LabelRule,
    as_of: dt.datetime,
    *,
    screening: Screening = Screening(),
    automated: pa.Table | None = None,
    signals: bool = False,
) -> Scored:
    """Creates ``scored``, ``labelled`` and ``curve`` for a tenant whose clips are in ``registered``.

    Args:
        con: Connection to a snapshot of the lake.
        tenant: Whose outcomes.
        rule: What an outcome is worth.
        as_of: Outcomes are mature or not as of this time.
        screening: Which clips do not count.
        automated: What `screen` found: viewers that are not people.
        signals: Keep what `signal_sql` reads in ``labelled``, which takes more memory.
    """
    first_day, currency = _survey(con, tenant)
    screened = automated is not None and automated.num_rows > 0
    if screened:
        _create(con, "automated", automated)
    # nothing below depends on the order of rows
    con.execute("SET preserve_insertion_order = false")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE known AS {sql('train_known')}",
        {
            "drop_ads": screening.ads,
            "drop_watermarks": screening.watermarks,
            "drop_reposts": screening.reposts,
        },
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE scored AS {_scored_sql(rule, as_of, screened=screened, signals=signals)}",
        {"tenant": tenant, "first_day": EPOCH + dt.timedelta(days=first_day), "currency": currency},
    )
    _label(con, rule)
    return _summary(con, first_day, currency)


def _scored_sql(rule: LabelRule, as_of: dt.datetime, *, screened: bool, signals: bool) -> str:
    kept = [name for name in label_columns(rule) if signals and name != "liked"]
    columns = [f"{'c' if name == 'duration_ms' else 'o'}.{name}, " for name in kept]
    return (
        sql("train_scored")
        .replace("{columns}", "".join(columns))
        .replace("{fixed}", fixed_label_sql(rule))
        .replace("{silent}", silent_sql(rule))
        .replace("{ratio_bin}", ratio_bin_sql(rule.watch))
        .replace("{completed}", f"{watched_sql(rule.watch)} >= {rule.watch.completed_ratio!r} * duration_ms")
        .replace("{automated}", "WHEN a.viewer_id IS NOT NULL THEN a.reason" if screened else "")
        .replace("{screened}", "LEFT JOIN automated a ON a.viewer_id = o.viewer_id" if screened else "")
        .replace("{mature}", mature_sql(rule, f"TIMESTAMPTZ '{as_of.isoformat()}'"))
    )


def _label(con: duckdb.DuckDBPyConnection, rule: LabelRule) -> None:
    """Creates ``watch_worths`` and the view ``labelled``."""
    table = con.sql(sql("train_watches")).to_arrow_table()
    watch = numbers(table["watch"])
    bins = watch >> 11, watch >> 1 & 1023
    quantiles = fit_watch_quantiles(WatchCounts(*bins, _column(table, "weight")), rule.watch)
    signal = np.where(watch & 1, rule.watch.neutral, quantiles.at(*bins))
    unit = rule.scale * rule.weights.watch
    worths = {
        "watch": pa.array(watch, pa.int32()),
        "worth": pa.array(unit * signal),
        "watch_quantile": pa.array(signal),
    }
    _create(con, "watch_worths", pa.table(worths))
    labelled = sql("train_labelled").replace("{neutral}", f"{unit * rule.watch.neutral!r}::DOUBLE")
    con.execute(f"CREATE OR REPLACE TEMP VIEW labelled AS {labelled}")


def _create(con: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    """Creates a temporary table with the rows of an Arrow table."""
    con.register("given", table)
    con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM given")
    con.unregister("given")


def _survey(con: duckdb.DuckDBPyConnection, tenant: str) -> tuple[int, str | None]:
    """Creates the types of the columns with few values; returns the first day and the main currency."""
    for kind, column in _VALUES.items():
        values = con.execute(
            f"SELECT {column} FROM outcomes WHERE tenant = ? AND {column} IS NOT NULL AND {column} != '' "  # noqa: S608
            f"GROUP BY ALL ORDER BY count(*) DESC, {column} LIMIT {_MAX_VALUES}",
            [tenant],
        ).fetchall()
        listed = ", ".join("'" + value.replace("'", "''") + "'" for (value,) in [("",), *sorted(values)])
        con.execute(f"DROP TYPE IF EXISTS {kind}")
        con.execute(f"CREATE TYPE {kind} AS ENUM ({listed})")
    first = con.execute(
        "SELECT CAST(min(shown_date) - DATE '1970-01-01' AS BIGINT) FROM outcomes WHERE tenant = ?", [tenant]
    ).fetchall()[0][0]
    currency = con.execute(
        "SELECT currency FROM outcomes WHERE tenant = ? AND currency IS NOT NULL "
        "GROUP BY ALL ORDER BY count(*) DESC, currency LIMIT 1",
        [tenant],
    ).fetchall()
    return first or 0, currency[0][0] if currency else None


def count_orphans(con: duckdb.DuckDBPyConnection, tenant: str) -> int:
    """Returns how many impressions are answered by events although nobody showed them."""
    count: int = con.execute(sql("train_orphans"), {"tenant": tenant}).fetchall()[0][0]
    return count


def _summary(con: duckdb.DuckDBPyConnection, first_day: int, currency: str | None) -> Scored:
    """Creates ``curve`` and returns what is known."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE seen AS {sql('train_seen')}")
    by_reason = "SELECT reason, CAST(sum(impressions) AS BIGINT) FROM seen GROUP BY ALL ORDER BY ALL"
    counts = dict(con.execute(by_reason).fetchall())
    table = con.sql(sql("train_slots")).to_arrow_table()
    explored = int(numbers(table["explored_logged"]).sum())
    _create_curve(con, table, "slots" if explored >= MIN_EXPLORED else "impressions")
    return Scored(
        first_day=first_day,
        outcomes=sum(counts.values()),
        excluded={REASONS[reason]: count for reason, count in counts.items() if reason},
        logged=int(numbers(table["logged"]).sum()),
        explored=explored,
        slots=_slots_by_day(con),
        currency=currency,
        contradicted=contradiction(read_exposure(con)) if explored >= MIN_EXPLORED else "",
    )


def _create_curve(con: duckdb.DuckDBPyConnection, table: pa.Table, slots: str) -> None:
    """Creates ``curve``: how much each surface and position is looked at."""
    earned = con.sql(sql("train_explored")).to_arrow_table()
    label = dict(zip(numbers(earned["place"]).tolist(), _column(earned, "label").tolist(), strict=True))
    place = numbers(table["place"])
    position = (place & 16383) - 1
    examination = position_curve(
        # where no position is given, there is nothing to bend along
        (place >> 14) * 2 + (position < 0),
        np.maximum(position, 0),
        _column(table, slots),
        _column(table, "explored"),
        np.array([label.get(key, 0.0) for key in place.tolist()]),
    )
    _create(con, "curve", pa.table({"place": pa.array(place, pa.int32()), "examination": pa.array(examination)}))


def _slots_by_day(con: duckdb.DuckDBPyConnection) -> Floats:
    last = con.execute("SELECT max(day) FROM seen WHERE reason = 0").fetchall()[0][0]
    table = con.sql(sql("train_days")).to_arrow_table()
    slots = np.zeros(0 if last is None else last + 1)
    slots[numbers(table["day"])] = _column(table, "slots")
    return slots


def viewers_by_model(con: duckdb.DuckDBPyConnection, models: Ints) -> Ints:
    """Returns about how many viewers saw each model version (HyperLogLog), ``(n_models,)``.

    Args:
        con: Where ``scored`` is.
        models: Model index of each clip.
    """
    _create(con, "models", pa.table({"clip": np.arange(len(models)), "model": models}))
    rows = con.execute(
        "SELECT model, approx_count_distinct(viewer) FROM scored JOIN models USING (clip) WHERE reason = 0 GROUP BY ALL"
    ).fetchall()
    viewers = np.zeros(int(models.max(initial=-1)) + 1, np.int64)
    for model, count in rows:
        viewers[model] = count
    return viewers


def _column(table: pa.Table, name: str) -> Floats:
    column: Floats = table[name].combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)
    return column
