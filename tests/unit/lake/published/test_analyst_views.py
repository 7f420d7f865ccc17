"""Macros, curves, pairs and the creative board: against libraries that know better, and against the truth."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import t as student
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.proportion import proportion_confint
from tests.support.event_rows import Row, answer, at, clip, events_table, impression, row

from clapometer.folding.fold import refresh_outcomes
from clapometer.lake.published.publish import publish
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake

Connection = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    lake = Lake(tmp_path_factory.mktemp("empty") / "lake")
    publish(lake)
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        yield connection


def opened(lake: Lake) -> Connection:
    publish(lake)
    return duckdb.connect(str(lake.storage.published), read_only=True)


def rows(connection: Connection, query: str, **values: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = connection.sql(query, params=values).to_arrow_table().to_pylist()
    return found


def test_wilson_is_the_interval_that_statsmodels_gives(empty: Connection) -> None:
    for successes, trials in ((0, 1), (0, 7), (3, 10), (10, 10), (1, 1_000), (499_999, 1_000_000)):
        found = empty.execute(
            "SELECT wilson_low($k, $n), wilson_high($k, $n), wilson_low($k, $n, z := 2.5758293035489004)",
            {"k": successes, "n": trials},
        ).fetchall()[0]
        low, high = proportion_confint(successes, trials, method="wilson")
        lower, _ = proportion_confint(successes, trials, alpha=0.01, method="wilson")
        assert found == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12), pytest.approx(lower, abs=1e-12))


def test_nothing_tried_has_no_interval_and_unknown_covers_nothing(empty: Connection) -> None:
    query = "SELECT wilson_low(0, 0), wilson_high(0, 0), covers(1, 2, 2), covers(1, 2, 3), covers(NULL, 2, 1)"
    assert empty.execute(query).fetchall() == [(None, None, True, False, None)]


def test_every_view_table_macro_and_column_says_what_it_is(empty: Connection) -> None:
    for query in (
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main' AND comment IS NULL",
        "SELECT table_name FROM duckdb_tables() WHERE comment IS NULL",
        "SELECT function_name FROM duckdb_functions() WHERE NOT internal AND comment IS NULL",
        "SELECT table_name, column_name FROM duckdb_columns() "
        "WHERE NOT internal AND schema_name = 'main' AND comment IS NULL",
    ):
        assert empty.execute(query).fetchall() == [], query


def test_an_empty_lake_answers_every_view_with_no_rows(empty: Connection) -> None:
    views = empty.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'").fetchall()
    assert len(views) > 20
    for (view,) in views:
        assert empty.execute(f"SELECT count(*) FROM {view}").fetchall() == [(0,)], view
    assert empty.execute("FROM retention_curve('nowhere')").fetchall() == []
    assert empty.execute("FROM bt_pairs()").fetchall() == []


def test_the_retention_curve_counts_who_is_still_there(tmp_path: Path) -> None:
    reached = [0, 1_000, 5_000, 5_000, 9_999, 10_000]
    events: list[Row] = [clip("c1", duration_ms=10_000)]
    for n, ms in enumerate(reached):
        events += [impression(f"i{n}"), answer("watched", f"i{n}", f"w{n}", watched_ms=ms, total_ms=ms + 1)]
    lake = Lake(tmp_path)
    lake.append("events", events_table(events))
    refresh_outcomes(lake)
    with opened(lake) as connection:
        curve = rows(connection, "FROM retention_curve('c1')")
    assert [point["position_ms"] for point in curve] == [500.0 * step for step in range(21)]
    watching = {point["position_ms"]: point["watching"] for point in curve}
    assert [watching[ms] for ms in (0, 500, 1_000, 1_500, 5_000, 5_500, 9_500, 10_000)] == [6, 5, 5, 4, 4, 2, 2, 1]
    low, high = proportion_confint(4, 6, method="wilson")
    assert (curve[10]["share_low"], curve[10]["share_high"]) == (pytest.approx(low), pytest.approx(high))


def _label(left: str, right: str, result: str, run: str = "r2", p_left: float = 0.7) -> Row:
    base: Row = dict.fromkeys(TABLES["comparisons"][0].names)
    return base | {
        "run_id": run, "tenant": "default", "left_clip_id": left, "right_clip_id": right, "result": result,
        "p_left": p_left, "weight": 2.0, "tier": "B",
    }  # fmt: skip


def test_bt_pairs_counts_each_pair_of_items_once_whichever_side_it_was_on(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    lake.append("events", events_table([clip(f"{m}{n}", "p", m, template_id=f"t{n}") for m in "abc" for n in (1, 2)]))
    labels = [
        _label("a1", "b1", "left"),
        _label("b2", "a1", "left"),
        _label("b1", "a2", "tie"),
        _label("c1", "b1", "right", p_left=0.2),
        _label("a1", "a2", "left"),
        _label("a1", "b1", "right", run="r1"),
    ]
    lake.append("comparisons", pa.Table.from_pylist(labels, schema=TABLES["comparisons"][0]))
    runs = [
        dict.fromkeys(TABLES["runs"][0].names)
        | {"run_id": f"r{n}", "tenant": "default", "status": "succeeded", "started_at": at(n)}
        for n in (1, 2)
    ]
    lake.append("runs", pa.Table.from_pylist(runs, schema=TABLES["runs"][0]))
    with opened(lake) as connection:
        models = connection.execute("FROM bt_pairs()").fetchall()
        clips = connection.execute("SELECT left_item, right_item, left_wins FROM bt_pairs('clips')").fetchall()
        templates = connection.execute(
            "SELECT left_item, right_item, comparisons FROM bt_pairs('templates')"
        ).fetchall()
    assert models == [
        ("a@1", "b@1", 3, 1, 1, 1, pytest.approx(1.4 + 0.6 + 0.6), pytest.approx(0.6 + 1.4 + 1.4)),
        ("b@1", "c@1", 1, 1, 0, 0, pytest.approx(1.6), pytest.approx(0.4)),
    ]
    assert clips == [("a1", "a2", 1), ("a1", "b1", 1), ("a1", "b2", 0), ("a2", "b1", 0), ("b1", "c1", 1)]
    assert templates == [("t1", "t2", 3)]


def board_lake(root: Path, cells: dict[tuple[str, str, str], list[list[int]]]) -> Lake:
    """Returns a lake where the clips of (tenant, template, audience) were played for these times."""
    lake = Lake(root)
    base: Row = dict.fromkeys(TABLES["outcomes"][0].names)
    events, outcomes = [], []
    for (tenant, template, audience), clips in cells.items():
        for n, times in enumerate(clips):
            id_ = f"{template} {audience} {n}"
            events.append(clip(id_, "p", "m", tenant=tenant, template_id=template, duration_ms=10_000))
            outcomes += [
                base
                | {
                    "tenant": tenant, "impression_id": f"{id_} {k}", "clip_id": id_, "viewer_id": "v", "trust": "key",
                    "audience": audience, "watched_ms": ms, "shown_at": at(), "shown_date": at().date(),
                }
                for k, ms in enumerate(times)
            ]  # fmt: skip
    lake.append("events", events_table(events))
    lake.append("outcomes", pa.Table.from_pylist(outcomes, schema=TABLES["outcomes"][0]))
    return lake


def _played(random: np.random.Generator, appeal: float, size: int) -> list[int]:
    """Times played of clips of ten seconds: the longer, the more they appeal."""
    return [int(ms) for ms in 20_000 / (1 + np.exp(-(appeal + random.logistic(size=size))))]


def test_the_creative_board_shrinks_by_the_spread_that_statsmodels_finds(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    cells = {
        ("default", f"t{n}", "teens"): [
            _played(random, 0.4 * n + random.normal(0, 0.5), int(random.integers(3, 30))) for _ in range(4 + 2 * n)
        ]
        for n in range(6)
    }
    with opened(board_lake(tmp_path, cells)) as connection:
        quantiles = rows(connection, "SELECT template, clip_id, watch_quantile FROM counted_measures")
        board = {row["template"]: row for row in rows(connection, "FROM creative_board")}
    sums = {
        template: np.array(
            [
                [
                    sum(q["watch_quantile"] for q in quantiles if q["clip_id"] == f"{template} {audience} {n}"),
                    len(times),
                ]
                for n, times in enumerate(clips)
            ]
        )
        for (_, template, audience), clips in cells.items()
    }
    means = {t: s[:, 0].sum() / s[:, 1].sum() for t, s in sums.items()}
    deviations = {t: (((s[:, 0] - means[t] * s[:, 1]) / s[:, 1].mean()) ** 2).sum() for t, s in sums.items()}
    pooled = sum(deviations.values()) / sum(len(s) - 1 for s in sums.values())
    variance = {t: (10 * pooled + deviations[t]) / (9 + len(s)) / len(s) for t, s in sums.items()}
    fit = combine_effects(np.array(list(means.values())), np.array(list(variance.values())), method_re="chi2")
    assert fit.tau2 > 0
    spread = np.array(list(variance.values()))
    typical = (spread / (fit.tau2 + spread)).sum() / (1 / (fit.tau2 + spread)).sum()
    estimated: dict[str, tuple[float, float]] = {}
    for template, mean in means.items():
        shrinkage = 3 / 5 * variance[template] / (variance[template] + fit.tau2)
        away = mean - fit.mean_effect_re
        unsure = 2 / 3 * (shrinkage * away) ** 2 * (typical + fit.tau2) / (variance[template] + fit.tau2)
        error = np.sqrt(variance[template] * (1 - 5 / 6 * shrinkage) + unsure)
        half = student.ppf(0.975, 9 + len(sums[template])) * error
        row = board[template]
        assert row["duration_adjusted_completion"] == pytest.approx(mean)
        assert row["audience_mean"] == pytest.approx(fit.mean_effect_re)
        assert row["estimate"] == pytest.approx(mean - shrinkage * away)
        assert row["estimate_high"] - row["estimate"] == pytest.approx(half, rel=1e-4)
        joint = student.ppf(1 - 0.025 / len(means), 9 + len(sums[template])) * error
        estimated[template] = (row["estimate"] - joint, row["estimate"] + joint)
    best = max(low for low, _ in estimated.values())
    for template, (low, high) in estimated.items():
        row = board[template]
        certain = "keep" if low > row["audience_mean"] else "stop" if high < row["audience_mean"] else None
        found = certain or ("explore" if high >= best else "not enough evidence")
        assert row["verdict"] == ("not enough evidence" if row["clips"] < 5 else found)
    assert {row["verdict"] for row in board.values()} == {"keep", "explore", "not enough evidence"}


def test_the_boards_intervals_cover_what_they_estimate(tmp_path: Path) -> None:
    """In worlds whose true cell means are known from a hundred times the clips, 95 % of the intervals hold."""
    random = np.random.default_rng(11)
    worlds, templates = 120, 8
    truth: dict[tuple[str, str], float] = {}
    cells = {}
    for w in range(worlds):
        appeal = random.normal(0, 0.5, templates)
        plays = {
            n: [_played(random, appeal[n] + random.normal(0, 0.7), 12) for _ in range(int(random.integers(6, 24)))]
            for n in range(templates)
        }
        pool = np.sort(np.concatenate([np.concatenate(clips) for clips in plays.values()]))
        for n, clips in plays.items():
            cells[f"w{w}", f"t{n}", "all"] = clips
            many = np.concatenate([_played(random, appeal[n] + random.normal(0, 0.7), 4) for _ in range(2_000)])
            places = np.searchsorted(pool, many, "left") + np.searchsorted(pool, many, "right")
            truth[f"w{w}", f"t{n}"] = float(places.mean()) / 2 / len(pool)
    with opened(board_lake(tmp_path, cells)) as connection:
        board = rows(connection, "FROM creative_board")
    held = [r["estimate_low"] <= truth[r["tenant"], r["template"]] <= r["estimate_high"] for r in board]
    assert len(held) == worlds * templates
    assert 0.92 <= np.mean(held) <= 0.98
    wrong = [
        r
        for r in board
        if r["verdict"] in ("keep", "stop")
        and (r["verdict"] == "keep") != (truth[r["tenant"], r["template"]] > r["audience_mean"])
    ]
    assert len(wrong) / len(board) < 0.025
    assert sum(r["verdict"] in ("keep", "stop") for r in board) > len(board) / 8


def test_made_up_purchases_do_not_choose_the_currency(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    shown = [impression(f"i{n}", clip="c") for n in range(3)]
    forged = [impression(f"f{n}", clip="c", trust="none") for n in range(4)]
    bought = [
        row("converted", f"b{n}", at(seconds=9), impression_id=each["impression_id"], kind="purchase", **paid)
        for n, each in enumerate([*shown, *forged])
        for paid in [{"value": 10.0, "currency": "USD"} if n < 3 else {"value": 0.01, "currency": "XTS"}]
    ]
    lake.append("events", events_table([clip("c", cost_amount=1.0, cost_currency="USD"), *shown, *forged, *bought]))
    refresh_outcomes(lake)
    with opened(lake) as con:
        (model,) = rows(con, "SELECT main_currency, revenue_per_1000, cost_per_clip FROM model_versions")
    assert model == {"main_currency": "USD", "revenue_per_1000": 10_000.0, "cost_per_clip": 1.0}


def test_viewers_that_the_latest_run_took_for_no_people_do_not_count_in_any_view(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    shown = [impression(f"i{n}", clip="c", viewer_id=f"v{n}") for n in range(4)]
    shown.append(impression("i9", clip="d", viewer_id="v0", tenant="another"))
    lake.append("events", events_table([clip("c"), clip("d", tenant="another"), *shown]))
    refresh_outcomes(lake)

    def counted() -> list[tuple[str, str]]:
        with opened(lake) as con:
            return con.execute("SELECT tenant, viewer_id FROM measures WHERE counted ORDER BY ALL").fetchall()

    everybody = [("another", "v0"), *(("default", f"v{n}") for n in range(4))]
    assert counted() == everybody
    for run, screened in (("r1", ["v0", "v1"]), ("r2", ["v1"])):
        started = at(3600 if run == "r1" else 7200)
        lake.append("runs", table("runs", run_id=run, tenant="default", status="succeeded", started_at=started))
        for viewer in screened:
            said = {"run_id": run, "tenant": "default", "subject": "viewer", "item": viewer, "reason": "viewer x"}
            lake.append("screened", table("screened", **said))
        assert counted() == [each for each in everybody if each not in {("default", name) for name in screened}]


def table(name: str, **values: Any) -> pa.Table:
    """Returns one row of a table of the lake."""
    schema, _ = TABLES[name]
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | values], schema=schema)
