"""The metric catalogue: what the SQL of every metric says is what plain Python says, on five hundred small worlds."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

import duckdb
import pytest
from tests.support.metric_worlds import Reference, day, lake_of_worlds, random_world, template_of

from clapometer.labels import DEFAULT_RULE, duration_bin_sql, ratio_bin_sql, watched_sql
from clapometer.lake.published.catalogue import analyst_sql
from clapometer.lake.published.metrics import catalogue, of_level
from clapometer.lake.published.publish import publish

WORLDS = 500
Worlds = dict[str, Reference]
Connection = duckdb.DuckDBPyConnection


@pytest.fixture(scope="module")
def worlds() -> Worlds:
    random = Random(20_26)
    return {f"w{n}": Reference(random_world(f"w{n}", random)) for n in range(WORLDS)}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    random = Random(20_26)
    made = lake_of_worlds(
        tmp_path_factory.mktemp("worlds") / "lake", [random_world(f"w{n}", random) for n in range(WORLDS)]
    )
    publish(made)
    with duckdb.connect(str(made.storage.published), read_only=True) as connection:
        yield connection


def rows(lake: Connection, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = lake.sql(query).to_arrow_table().to_pylist()
    return found


def close(value: Any) -> Any:
    return value if value is None else pytest.approx(value, rel=1e-9, abs=1e-12)


def assert_same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        assert found[name] == close(value), name


def test_ids_and_names_are_unique_and_every_metric_is_one_expression_or_one_ratio() -> None:
    assert len({metric.id for metric in catalogue()}) == len({metric.name for metric in catalogue()})
    for metric in catalogue():
        assert bool(metric.sql) == (metric.level == "impression"), metric.id
        assert bool(metric.numerator) == bool(metric.denominator) == (not metric.sql), metric.id


def test_watch_time_and_completion_are_those_of_the_default_label_rule() -> None:
    by_id = {metric.id: metric.expression for metric in catalogue()}
    assert by_id["watch_time.v1"] == watched_sql(DEFAULT_RULE.watch)
    assert f"played_ms >= {DEFAULT_RULE.watch.completed_ratio!r} * duration_ms" in by_id["completion.v1"]
    assert f"LEAST({DEFAULT_RULE.watch.glance_ms}," in by_id["skip.early.v1"]


@pytest.mark.parametrize("name", ["measures", "watch_quantile"])
def test_the_bins_of_watch_quantiles_are_those_of_the_label_rule(name: str) -> None:
    watched = watched_sql(DEFAULT_RULE.watch)
    text = analyst_sql(name)
    assert duration_bin_sql() in text
    assert ratio_bin_sql(DEFAULT_RULE.watch).replace(watched, "played_ms") in text


def test_metrics_of_an_impression_are_those_of_plain_python(lake: Connection, worlds: Worlds) -> None:
    names = [metric.name for metric in of_level("impression") if metric.name != "watch_quantile"]
    found = {(r["tenant"], r["impression_id"]): r for r in rows(lake, "FROM measures")}
    expected = {(tenant, r["impression_id"]): r for tenant, world in worlds.items() for r in world.rows}
    assert found.keys() == expected.keys()
    for key, measured in expected.items():
        assert_same(found[key], {name: measured[name] for name in names})
    counted = {(tenant, r["impression_id"]) for tenant, world in worlds.items() for r in world.counted}
    assert {key for key, r in found.items() if r["counted"]} == counted


def test_the_watch_quantile_is_that_of_plain_python_by_view_and_by_macro(lake: Connection, worlds: Worlds) -> None:
    seen = 0
    for tenant in [f"w{n}" for n in range(30)]:
        query = (
            "SELECT impression_id, watch_quantile, watch_quantile(played_ms, duration_ms) AS by_macro "
            f"FROM counted_measures WHERE tenant = '{tenant}'"
        )
        found = {r["impression_id"]: (r["watch_quantile"], r["by_macro"]) for r in rows(lake, query)}
        quantiles = {r["impression_id"]: close(r["watch_quantile"]) for r in worlds[tenant].counted}
        assert found == {key: (value, value) for key, value in quantiles.items()}
        seen += len(found)
    assert seen > 100


def test_group_metrics_are_those_of_plain_python(lake: Connection, worlds: Worlds) -> None:
    listed = ", ".join(f"{metric.expression} AS {metric.name}" for metric in of_level("group"))
    found = {r["tenant"]: r for r in rows(lake, f"SELECT tenant, {listed} FROM counted_measures GROUP BY tenant")}
    assert found.keys() == {tenant for tenant, world in worlds.items() if world.counted}
    assert len(found) > WORLDS * 0.8
    for tenant, each in found.items():
        expected = worlds[tenant].rates(worlds[tenant].counted)
        assert expected.keys() == {metric.name for metric in of_level("group")}
        assert_same(each, expected)


def test_clips_and_creators_metrics_are_those_of_plain_python(lake: Connection, worlds: Worlds) -> None:
    listed = ", ".join(f"{metric.expression} AS {metric.name}" for metric in of_level("clip"))
    of_clips = f"SELECT tenant, {listed} FROM priced_clips GROUP BY ALL"
    found = {r["tenant"]: r for r in rows(lake, of_clips)}
    assert found.keys() == {tenant for tenant, world in worlds.items() if world.clips}
    for tenant, each in found.items():
        assert_same(each, worlds[tenant].of_clips(list(worlds[tenant].clips.values())))
    listed = ", ".join(f"{metric.expression} AS {metric.name}" for metric in of_level("creator"))
    acted = {r["tenant"]: r for r in rows(lake, f"SELECT tenant, {listed} FROM creator_actions GROUP BY ALL")}
    assert acted.keys() == {tenant for tenant, world in worlds.items() if world.actions}
    for tenant, each in acted.items():
        assert_same(each, worlds[tenant].of_creators())


@pytest.mark.parametrize(
    ("view", "column", "key"),
    [
        ("model_versions", "model", lambda c: f"{c['model_name']}@{c['model_version']}"),
        ("prompts", "prompt_id", lambda c: c["prompt_id"]),
        ("templates", "template", template_of),
    ],
)
def test_views_of_items_show_the_catalogues_metrics(
    lake: Connection, worlds: Worlds, view: str, column: str, key: Any
) -> None:
    found = {(r["tenant"], r[column]): r for r in rows(lake, f"FROM {view}")}
    expected = {
        (tenant, key(c)): None for tenant, world in worlds.items() for c in world.eligible() if key(c) is not None
    }
    assert found.keys() == expected.keys()
    for (tenant, item), each in found.items():
        world = worlds[tenant]
        shown = world.by(lambda r: key(r["clip"])).get(item, [])
        made = [c for c in world.eligible() if key(c) == item]
        costs = world.of_clips(made)
        del costs["withdrawn_share"]
        assert (each["clips"], each["impressions"]) == (len(made), len(shown))
        assert_same(each, world.rates(shown) | costs)


def test_daily_metrics_show_the_catalogues_metrics(lake: Connection, worlds: Worlds) -> None:
    found = {(r["tenant"], r["day"], r["model"]): r for r in rows(lake, "FROM daily_metrics")}
    seen = 0
    for tenant, world in worlds.items():
        groups = world.by(lambda r: (day(r), f"{r['clip']['model_name']}@{r['clip']['model_version']}"))
        for (date, model), shown in groups.items():
            each = found[tenant, date, model]
            expected = world.rates(shown)
            del expected["duration_adjusted_completion"]
            assert_same(each, expected)
            assert (each["impressions"], each["clips"]) == (len(shown), len({r["clip_id"] for r in shown}))
            seen += 1
    assert seen == len(found)


def test_the_funnel_counts_the_catalogues_flags(lake: Connection, worlds: Worlds) -> None:
    flags = ("started", "viewed_3s", "completed", "liked_it", "clicked", "carted", "purchased")
    found = {(r["tenant"], r["stage"]): r for r in rows(lake, "FROM funnel")}
    for tenant, world in worlds.items():
        if world.counted:
            counts = [len(world.counted), *(sum(bool(r[flag]) for r in world.counted) for flag in flags)]
            assert [found[tenant, stage]["impressions"] for stage in range(1, 9)] == counts
            shares = [found[tenant, stage]["share_of_previous"] for stage in range(2, 9)]
            pairs = zip(counts[1:], counts[:-1], strict=True)
            assert shares == [close(later / earlier) if earlier else None for later, earlier in pairs]
