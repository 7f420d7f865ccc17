"""No single event decides anything: 200 random lakes, each with one extreme but acceptable event more."""

import random
from collections.abc import Iterator

import duckdb
import pytest
from tests.support.event_rows import Row, answer, at, clip, events_table, impression
from tests.support.lakes import NOW, clock

from clapometer.domain import Exclusion
from clapometer.folding.fold import refresh_outcomes, silent
from clapometer.labels import DEFAULT_RULE, LabelRule, Weights
from clapometer.lake.tables import Lake
from clapometer.ranking import Reason
from clapometer.training.evidence.screening import COSTLY
from clapometer.training.parameters import Parameters
from clapometer.training.reading import UNLIMITED
from clapometer.training.runs import Run
from clapometer.training.train import Results, compute, train_once

WORLDS, TRIES, KINDS = 10, 20, 14
BOUND = {"model_versions": 0.25, "templates": 0.5, "prompts": 0.5}
"""Of the width of the item's interval: what one event may move its value or an end; a prompt has 16 impressions."""
MOST_PAID = 10 * 25.0
"""What one event may earn: ten times the largest other purchase."""
WEIGHED = 1.5 * 24.0
"""The same with a rule that weighs revenue: 1.5 times the largest other purchase."""
COSTS = (0.02, 0.5)
"""What a clip of each model version costs, at least; at most half as much again."""
PRICES = (24.0, 31.0, 40.0, 200.0, 1e12, -200.0)
"""Of one purchase more; others are of 5 to 24 EUR."""
SOLD = (3, 7)
"""Worlds with one purchase more."""
MODELS, PROMPTS, SHOWN, EXPLORE, DAYS = 2, 25, 8, 0.4, 8


def world(seed: int) -> list[Row]:
    """A small feed that favours some clips and logs by how much; two clips are absurdly short and long."""
    rng, costs = random.Random(seed), random.Random(~seed)
    rows: list[Row] = []
    ids = [f"c{prompt}-{model}" for prompt in range(PROMPTS) for model in range(MODELS)]
    for k, id_ in enumerate(ids):
        lengths = {0: 1, 1: 86_400_000}
        rows.append(
            clip(id_, f"p{k // MODELS}", f"m{k % MODELS}", at(days=-1), duration_ms=lengths.get(k, 10_000),
                 template_id=f"t{k // MODELS % 3}", cost_currency="USD", cost_gpu_seconds=3.0,
                 cost_amount=COSTS[k % MODELS] * costs.uniform(1, 1.5))
        )  # fmt: skip
    favour = [rng.expovariate(1.0) for _ in ids]
    chance = [EXPLORE / len(ids) + (1 - EXPLORE) * each / sum(favour) for each in favour]
    for n in range(SHOWN * len(ids)):
        explored = rng.random() < EXPLORE
        k = rng.randrange(len(ids)) if explored else rng.choices(range(len(ids)), favour)[0]
        about, time = f"i{n}", at(days=n * DAYS // (SHOWN * len(ids)), seconds=n)
        rows.append(
            impression(about, ids[k], time, viewer_id=f"v{n % 60}", explored=explored, surface="feed",
                       position=n % 5, propensity=chance[k], candidates=len(ids))
        )  # fmt: skip
        rows.append(answer("watched", about, f"w{n}", time, watched_ms=rng.randrange(12_000)))
        if rng.random() < 0.2 + 0.3 * (k % MODELS):
            rows.append(answer("reacted", about, f"l{n}", time, reaction="like"))
        if n % 12 == 0:
            money = {"value": 5.0 + rng.randrange(20), "currency": "EUR", "order_id": f"o{n}"}
            rows.append(answer("converted", about, f"b{n}", time, kind="purchase", **money))
    return rows


def extreme(kind: int, seed: int) -> list[Row]:
    """One impression that is odd in one way, or in all, and what answers it."""
    rng, costs = random.Random(seed), random.Random(~seed)
    ways: list[Row] = [
        {"time": rng.choice([at(days=-2_250), at(days=-31), at(days=-9), at(days=DAYS)])},
        {"propensity": rng.choice([1e-300, 1e-9, 1e-4, 1.0])},
        {"candidates": rng.choice([1, 10**6, 10**9])},
        {"position": 10_000},
        {"surface": "a surface that is typed wrong"},
        {"clip": rng.choice(["c0-0", "c0-1"])},
        {"watched": {"watched_ms": 86_400_000, "total_ms": 86_400_000, "loops": 1_000_000}},
        {"value": rng.choice([1e12, -1e12])},
        {"currency": "XXX", "value": 1e12},
        {"audience": "nobody", "locale": "xx", "experiment": '[{"id": "typo", "variant": "one"}]'},
        {"cost": {"cost_amount": costs.choice([1e12, 40.0, 0.0, 1e-300]), "cost_gpu_seconds": 1e9}},
        {"cost": {"cost_amount": 1e12, "model_name": "m2", "clip_id": "odd"}},
        {"cost": {"cost_amount": costs.choice([1e12, 0.0]), "cost_currency": "XXX"}},
    ]
    said: Row = {
        "time": at(days=rng.randrange(DAYS)), "clip": f"c{rng.randrange(PROMPTS)}-{rng.randrange(MODELS)}",
        "propensity": 1 / 50, "candidates": 50, "position": 0, "surface": "feed", "explored": rng.random() < 0.5,
        "viewer_id": "v1", "watched": {"watched_ms": rng.choice([0, 4_000, 10_000])}, "value": 20.0, "currency": "EUR",
        "cost": None,
    }  # fmt: skip
    for way in ways if kind == len(ways) else [ways[kind]]:
        said |= way
    time, of, watched, value, currency, cost = (
        said.pop(name) for name in ("time", "clip", "watched", "value", "currency", "cost")
    )
    reaction = rng.choice(["like", "share", "dislike", "report"])
    again = [] if cost is None else [row for row in world(seed // TRIES) if row["id"] == f"register {of}"]
    return [
        *(row | {"id": "again", "time": at(), "client_time": at(), **cost} for row in again),
        impression("odd", of, time, **said),
        answer("watched", "odd", "w-odd", time, **watched),
        answer("reacted", "odd", "r-odd", time, reaction=reaction),
        answer("converted", "odd", "b-odd", time, kind="purchase", value=value, currency=currency),
    ]


def purchase(price: float) -> list[Row]:
    """One impression as any other, and what somebody bought after it."""
    usual = {"propensity": 1 / 50, "candidates": 50, "position": 0, "surface": "feed", "explored": True}
    return [
        impression("odd", "c3-0", at(days=2), viewer_id="v1", **usual),
        answer("converted", "odd", "b-odd", at(days=2), kind="purchase", value=price, currency="EUR"),
    ]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Returns a lake whose tenants are all worlds, each once as it is and once with each extreme event."""
    con = duckdb.connect()
    con.register("empty", events_table([]))
    con.execute("CREATE TABLE events AS FROM empty")
    for seed in range(WORLDS):
        con.register("world", events_table(world(seed)))
        con.execute(
            f"INSERT INTO events SELECT world.* REPLACE ('w{seed}-' || k AS tenant) FROM world, range(-1, {TRIES}) r(k)"
        )
        con.unregister("world")
        odd = [row | {"tenant": f"w{seed}-{k}"} for k in range(TRIES) for row in extreme(k % KINDS, TRIES * seed + k)]
        con.register("odd", events_table(odd))
        con.execute("INSERT INTO events FROM odd")
        con.unregister("odd")
    for seed in SOLD:
        unsold = [row for row in world(seed) if row["type"] != "converted"]
        sales = {f"w{seed}-{price}": world(seed) + purchase(price) for price in PRICES}
        sales |= {f"w{seed}-only-{price}": unsold + purchase(price) for price in PRICES}
        for tenant, rows in sales.items():
            con.register("sold", events_table([row | {"tenant": tenant} for row in rows]))
            con.execute("INSERT INTO events FROM sold")
            con.unregister("sold")
    lake = Lake(tmp_path_factory.mktemp("worlds"))
    lake.append("events", con.sql("FROM events").to_arrow_table().cast(events_table([]).schema))
    refresh_outcomes(lake)
    return lake


def ranked(lake: Lake, tenant: str, rule: LabelRule = DEFAULT_RULE) -> Results:
    run = Run(
        run_id="r", tenant=tenant, status="failed", trigger="test", started_at=NOW, finished_at=NOW, as_of=NOW,
        code_version="", rule=rule, parameters=Parameters(segments=()), seed=0,
        snapshot={name: lake.version(name) for name in ("events", "outcomes")},
    )  # fmt: skip
    return compute(lake, run, UNLIMITED, silent)


def placed(results: Results) -> dict[tuple[str, str], Row]:
    return {(row["subject"], row["item"]): row for row in results.rankings if "rank" in row}


def most_cost(item: str) -> float:
    """Returns what one registration may say that a clip of it cost: ten times the others of its model version."""
    return 10 * 1.5 * (min(COSTS) if item == "m0@1" else max(COSTS))


def moves(before: Row, after: Row) -> Iterator[float]:
    """Yields how far values and ends of intervals moved, in widths of the interval."""
    for name in ("value", "effect"):
        width = before[f"{name}_high"] - before[f"{name}_low"]
        for column in (name, f"{name}_low", f"{name}_high"):
            yield abs(after[column] - before[column]) / width


@pytest.mark.parametrize("seed", range(WORLDS))
def test_one_event_moves_no_value_and_no_interval_by_more_than_a_stated_share_of_its_width(
    lake: Lake, seed: int
) -> None:
    plain = ranked(lake, f"w{seed}--1")
    before = placed(plain)
    assert plain.tier == "B", plain.tier_reason
    assert len(before) > MODELS
    moved: dict[tuple[str, str, int], float] = {}
    for k in range(TRIES):
        results = ranked(lake, f"w{seed}-{k}")
        aside = {reason: n - plain.excluded.get(reason, 0) for reason, n in results.excluded.items()}
        aside.pop(COSTLY, None)  # the clip counts
        assert {reason for reason, n in aside.items() if n} <= {Exclusion.OUTSIDE, Exclusion.UNLIKELY, Exclusion.UNPAID}
        assert (results.tier, results.outcomes) == ("B", plain.outcomes + 1), results.tier_reason
        after = {(row["subject"], row["item"]): row for row in results.rankings}
        for (subject, item), row in before.items():
            now = after[subject, item]
            if "rank" in now:
                moved[subject, item, k] = max(moves(row, now))
            else:  # what was known of it was hardly enough before
                assert (subject, now["unranked_reason"]) == ("prompts", str(Reason.TOO_LITTLE_EVIDENCE))
            assert abs(now["revenue_per_1000"] - row["revenue_per_1000"]) <= 1_000 * MOST_PAID / row["impressions"]
            assert now["cost_currency"] == "USD"
            assert abs(now["cost_per_clip"] - row["cost_per_clip"]) <= most_cost(item) / row["clips"]
            assert now["cost_currency_share"] >= (PROMPTS * MODELS - 1) / (PROMPTS * MODELS)
        if aside:
            assert max(each for (*_, of), each in moved.items() if of == k) < 1e-9
    assert {place: by for place, by in moved.items() if by > BOUND[place[0]]} == {}


@pytest.mark.parametrize("weight", [0.001, 0.1, 5.0, -0.1])
@pytest.mark.parametrize("seed", SOLD)
def test_one_purchase_moves_no_more_where_the_rule_weighs_revenue(lake: Lake, seed: int, weight: float) -> None:
    rule = LabelRule(name="sales", version=1, weights=Weights(revenue=weight), currency="EUR")
    before = placed(ranked(lake, f"w{seed}--1", rule))
    moved: dict[tuple[str, str, float], float] = {}
    for price in PRICES:
        results = ranked(lake, f"w{seed}-{price}", rule)
        assert results.excluded.get(Exclusion.UNPAID, 0) in {price > 24, price > WEIGHED}, price
        after = {(row["subject"], row["item"]): row for row in results.rankings}
        for (subject, item), row in before.items():
            if "rank" in after[subject, item]:
                moved[subject, item, price] = max(moves(row, after[subject, item]))
    assert {subject for subject, *_ in moved} >= {"model_versions", "prompts"}
    assert {place: by for place, by in moved.items() if by > BOUND[place[0]]} == {}


@pytest.mark.parametrize(("weight", "most"), [(0.1, 30.0), (-0.01, 300.0)])
def test_the_only_purchase_weighs_no_more_than_the_heaviest_other_signal(
    lake: Lake, weight: float, most: float
) -> None:
    rule = LabelRule(name="sales", version=1, weights=Weights(revenue=weight), currency="EUR")
    aside = {
        price: ranked(lake, f"w{SOLD[0]}-only-{price}", rule).excluded.get(Exclusion.UNPAID, 0)
        for price in PRICES
        if price > 0
    }
    assert aside == {price: int(price > most) for price in aside}


@pytest.mark.parametrize("seed", [0, 5])
def test_what_is_set_aside_is_so_in_the_views_too_and_says_why(lake: Lake, seed: int) -> None:
    runs, costly = {}, {}
    for k in range(KINDS):
        tenant = f"w{seed}-{k}"
        run = train_once(lake, clock=clock, tenant=tenant, parameters=Parameters(segments=())).run
        assert run.status == "succeeded", run.error
        runs[tenant] = dict(run.excluded)
        costly[tenant] = runs[tenant].pop(COSTLY, 0)
    with duckdb.connect(str(lake.storage.root / "clapometer.duckdb"), read_only=True) as con:
        left_out = con.execute("SELECT tenant, impression_id, excluded_reason FROM excluded_outcomes").fetchall()
        counted = con.execute("SELECT tenant, counted FROM measures WHERE impression_id = 'odd'").fetchall()
        costs = con.execute("SELECT tenant, excluded_reason FROM excluded_costs WHERE unit <> 'GPU seconds'").fetchall()
    assert {(tenant, COSTLY) for tenant, n in costly.items() if n} == {each for each in costs if each[0] in costly}
    assert sum(costly.values()) > 0
    reasons = {tenant: reason for tenant, id_, reason in left_out if id_ == "odd" and tenant in runs}
    assert {tenant: {reason: 1} for tenant, reason in reasons.items()} == {of: one for of, one in runs.items() if one}
    assert {tenant for tenant, counts in counted if tenant in runs and not counts} == {*reasons}
    assert {*reasons.values()} >= {Exclusion.UNLIKELY, Exclusion.UNPAID}
