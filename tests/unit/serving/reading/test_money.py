"""What clips cost and what they earned are told each in its own currency: no purchase changes what a clip cost."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import duckdb
import msgspec
import pytest
from rich.console import Console
from tests.support.event_rows import Row, answer, at
from tests.support.lakes import clock, lake_of, traffic
from tests.unit.serving.running import Serving

from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.serving import RankingQuery, ServingConfig, ranking_tables, read_ranking, set_aside_lines
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

PROMPTS, SHOWN = 24, 4
USD, EUR = ("USD", 0.5), ("EUR", 0.25)
Money = tuple[str, float | None]


class Case(msgspec.Struct, frozen=True):
    """A tenant whose clips cost ``costs`` in turns, with ``bought`` of the second model version."""

    costs: Sequence[Money | None]
    bought: Sequence[Money]
    cost: Money | None
    earned: Money | None


CASES = {
    "default": Case([USD], [("EUR", 20.0)], USD, ("EUR", 20.0)),
    "nothing bought": Case([USD], [], USD, None),
    "purchases in two currencies": Case([USD], [("EUR", 5.0)] * 3 + [("JPY", 9.0)], USD, ("EUR", 15.0)),
    "costs in two currencies": Case([USD, EUR, EUR, None], [("USD", 5.0)], EUR, ("USD", 5.0)),
    "as many costs of each": Case([USD, EUR], [("JPY", 9.0)], EUR, ("JPY", 9.0)),
    "currencies of no amount": Case([("JPY", None), ("JPY", None), USD], [], USD, None),
    "one currency": Case([EUR], [("EUR", 8.0)], EUR, ("EUR", 8.0)),
    "only revenue": Case([None], [("EUR", 8.0)], None, ("EUR", 8.0)),
    "no money": Case([None], [], None, None),
    "a cost far beyond all other": Case([USD] * 23 + [("USD", 1e12)], [], USD, None),
    "a cost far beyond all other, in another currency": Case([USD] * 23 + [("EUR", 1e12)], [], USD, None),
    "costs of nothing": Case([("USD", 0.0), ("USD", 0.5)], [], ("USD", 0.25), None),
    "only costs of nothing": Case([("USD", 0.0)], [], ("USD", 0.0), None),
}


def events(tenant: str, case: Case) -> list[Row]:
    rows = traffic(prompts=PROMPTS, shown=SHOWN, tenant=tenant)
    for n, line in enumerate(each for each in rows if each["type"] == "clip_registered"):
        currency, amount = case.costs[n // 3 % len(case.costs)] or (None, None)
        line |= {"cost_currency": currency, "cost_amount": amount, "template_id": f"of {line['model_name']}"}
    for n, (currency, value) in enumerate(case.bought):
        paid = {"value": value, "currency": currency, "order_id": f"o{n}", "tenant": tenant}
        rows.append(answer("converted", f"i-c{n}-1-0", f"buy {n}", at(days=3), kind="purchase", **paid))
    return rows


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    rows = [line for tenant, case in CASES.items() for line in events(tenant, case)]
    lake = lake_of(tmp_path_factory.mktemp("money") / "lake", rows)
    for tenant in CASES:
        run = train_once(lake, clock=clock, tenant=tenant, parameters=Parameters(min_impressions=50, segments=())).run
        assert run.status == "succeeded", run.error
    publish(lake)
    return lake


def expected(case: Case) -> list[tuple[Any, ...]]:
    """Returns cost, its currency, revenue per 1000 and its currency, of each model version or its template."""
    currency, earned = case.earned or (None, None)
    cost_currency, cost = case.cost or (None, None)
    revenue = [None if earned is None else 1_000 * earned * (n == 1) / PROMPTS / SHOWN for n in range(3)]
    return [(cost, cost_currency, each if each is None else pytest.approx(each), currency) for each in revenue]


@pytest.mark.parametrize("tenant", CASES)
def test_a_ranking_tells_cost_and_revenue_each_in_its_own_currency(lake: Lake, tenant: str) -> None:
    with lake.connect() as connection:
        rows = read_ranking(connection, tenant, RankingQuery(limit=10)).rows
    found = [
        (row.cost_per_clip, row.cost_currency, row.revenue_per_1000, row.currency)
        for row in sorted(rows, key=lambda row: row.item)
    ]
    assert found == expected(CASES[tenant])


@pytest.mark.parametrize("tenant", CASES)
@pytest.mark.parametrize("view", ["model_versions", "templates", "creative_board"])
def test_the_views_tell_the_same(lake: Lake, tenant: str, view: str) -> None:
    item = "model" if view == "model_versions" else "template"
    query = (
        f"SELECT cost_per_clip, main_cost_currency, revenue_per_1000, main_currency FROM {view} "
        f"WHERE tenant = ? ORDER BY {item}"
    )
    with duckdb.connect(str(lake.storage.published), read_only=True) as con:
        assert con.execute(query, [tenant]).fetchall() == expected(CASES[tenant])


@pytest.mark.parametrize("tenant", CASES)
def test_days_tell_revenue_where_something_was_bought(lake: Lake, tenant: str) -> None:
    query = "SELECT DISTINCT main_currency, revenue_per_1000 IS NULL FROM daily_metrics WHERE tenant = ?"
    currency, _ = CASES[tenant].earned or (None, None)
    with duckdb.connect(str(lake.storage.published), read_only=True) as con:
        assert con.execute(query, [tenant]).fetchall() == [(currency, currency is None)]


CLEAR = "the others are left out."
UNCLEAR = f"{CLEAR} That is no clear majority: a few more in another currency, and it is told in that one."
TOLD = {
    "purchases in two currencies":
        [f"Revenue is told in EUR, the currency of 75.0 % of the impressions that sold; {CLEAR}"],
    "costs in two currencies": [f"Cost is told in EUR, the currency of 66.7 % of the clips of known cost; {CLEAR}"],
    "as many costs of each": [f"Cost is told in EUR, the currency of 50.0 % of the clips of known cost; {UNCLEAR}"],
    "a cost far beyond all other, in another currency":
        [f"Cost is told in USD, the currency of 95.8 % of the clips of known cost; {CLEAR}"],
}  # fmt: skip


@pytest.mark.parametrize("tenant", CASES)
def test_a_currency_that_leaves_others_out_says_of_how_much_it_is(lake: Lake, tenant: str) -> None:
    with lake.connect() as connection:
        ranking = read_ranking(connection, tenant, RankingQuery(limit=10))
    assert [note for note in ranking.notes if " is told in " in note] == TOLD.get(tenant, [])
    with duckdb.connect(str(lake.storage.published), read_only=True) as con:
        query = "SELECT main_currency_share, main_cost_currency_share FROM main_currencies WHERE tenant = ?"
        shares = con.execute(query, [tenant]).fetchall() or [(None, None)]
    for row in ranking.rows:
        assert [row.currency_share, row.cost_currency_share] == [each and pytest.approx(each) for each in shares[0]]


def test_the_page_and_the_terminal_say_which_costs_are_set_aside(lake: Lake, start: Callable[..., Serving]) -> None:
    tenant = "a cost far beyond all other"
    page = re.sub(
        r"<[^>]+>",
        "",
        start(lake.storage.published, ServingConfig(public_tenant=tenant, refresh_seconds=0)).get("/").text,
    )
    assert "3 costs: cost far beyond all other the clips count, but not what they are said to have cost" in page
    with lake.connect() as connection:
        ranking = read_ranking(connection, tenant, RankingQuery(limit=10))
    assert [str(line) for line in set_aside_lines(ranking)] == [
        "3 costs: cost far beyond all other (the clips count, but not what they are said to have cost: "
        "`FROM excluded_costs` lists them)"
    ]
    with duckdb.connect(str(lake.storage.published), read_only=True) as con:
        found = con.execute(
            "SELECT clip_id, unit, amount, most FROM excluded_costs WHERE tenant = ?", [tenant]
        ).fetchall()
        recorded = con.execute("SELECT item FROM screened WHERE tenant = ? AND subject = 'cost'", [tenant]).fetchall()
    assert sorted(found) == [(f"c23-{n}", "USD", 1e12, 5.0) for n in range(3)]
    assert sorted(recorded) == [(f"c23-{n}",) for n in range(3)]


def test_one_purchase_in_another_currency_leaves_the_costs_on_the_page_and_in_the_terminal(
    lake: Lake, start: Callable[..., Serving]
) -> None:
    page = re.sub(r"<[^>]+>", "", start(lake.storage.published).get("/").text)
    with lake.connect() as connection:
        ranking = read_ranking(connection, "default", RankingQuery(limit=10))
    console = Console(width=250, record=True)
    console.print(*ranking_tables(ranking.rows, 250))
    for shown in (page, console.export_text()):
        assert [shown.count(money) for money in ("0.50 USD", "208.33 EUR", "0.00 EUR")] == [3, 1, 2]
