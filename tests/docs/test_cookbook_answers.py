"""The cookbook's answers are right: on small made-up lakes of which one knows them, in every DuckDB of the page."""

import datetime as dt
import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import poisson
from statsmodels.stats.proportion import proportion_confint
from tests.support.cookbook import questions
from tests.support.event_rows import Row, at, clip, events_table, row
from tests.support.metric_worlds import FLAGS

from clapometer.lake.published.publish import publish
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake

TOOLS = Path(__file__).parents[2] / ".tools" / "duckdb"
OLDER = ("duckdb-1.4.5", "duckdb-1.5.6")
PROGRAM = """
import duckdb, json, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
print(json.dumps(connection.sql(sys.argv[2]).to_arrow_table().to_pylist(), default=str))
"""


def shown(number: int, of: str, viewer: str, *, days: float = 0, **said: Any) -> Row:
    """Returns the outcome of an impression that counts; ``said`` is what it came to."""
    base: Row = dict.fromkeys(TABLES["outcomes"][0].names) | dict.fromkeys(FLAGS, False)
    time = at(number, days)
    return base | {
        "tenant": "default", "impression_id": f"i{number}", "clip_id": of, "viewer_id": viewer, "trust": "token",
        "explored": False, "watched_ms": 4_000, "shown_at": time, "shown_date": time.date(), "last_event_at": time,
    } | said  # fmt: skip


def taken(of: str) -> Row:
    return row("clip_withdrawn", f"take {of}", at(days=1), clip_id=of, reason="x")


def ask(root: Path, number: int, events: Sequence[Row], outcomes: Sequence[Row], **others: Sequence[Row]) -> list[Row]:
    """Returns the answer to a question, which is the same in all releases of DuckDB."""
    lake = Lake(root)
    lake.append("events", events_table(events))
    for name, rows in {"outcomes": outcomes, **others}.items():
        filled = [dict.fromkeys(TABLES[name][0].names) | each for each in rows]
        lake.append(name, pa.Table.from_pylist(filled, schema=TABLES[name][0]))
    publish(lake)
    (query,) = (query for words, query in questions().items() if words.startswith(f"{number}. "))
    query = query.rstrip().removesuffix(";")
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        found: list[Row] = connection.sql(query).to_arrow_table().to_pylist()
    for release in OLDER:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(lake.storage.published), query],
            env={**os.environ, "PYTHONPATH": str(TOOLS / release)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{release}: {done.stderr}"
        old = json.loads(done.stdout.splitlines()[-1])
        assert [*map(roughly, old)] == [*map(roughly, json.loads(json.dumps(found, default=str)))], release
    return found


def roughly(answer: Row) -> Row:
    return {name: float(f"{value:.9g}") if isinstance(value, float) else value for name, value in answer.items()}


def only(rows: Sequence[Row], *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(each[column] for column in columns) for each in rows]


def test_5_the_most_shown_clip_is_one_that_counts(tmp_path: Path) -> None:
    outcomes = [shown(n, "gone" if n < 5 else "kept", f"v{n}") for n in range(8)]
    curve = ask(tmp_path, 5, [clip("gone"), clip("kept"), taken("gone")], outcomes)
    assert [point["starts"] for point in curve] == [3] * 21
    assert [point["watching"] for point in curve] == [3] * 9 + [0] * 12, "4 s of 10 s"


def test_8_who_never_returns_counts_and_the_last_week_does_not(tmp_path: Path) -> None:
    events = [clip("c1", model="a"), clip("c2", model="b")]
    visits = [
        ("returns", "c1", 0), ("returns", "c2", 7),  # within a week, then never
        ("late", "c1", 1), ("late", "c1", 9),  # eight days later
        ("once", "c1", 2), ("once", "c1", 2.1), ("never", "c2", 3),
        ("new", "c1", 14), ("new", "c1", 15), ("last", "c2", 20), ("new", "c1", 21),
    ]  # fmt: skip
    outcomes = [shown(n, of, viewer, days=days) for n, (viewer, of, days) in enumerate(visits)]
    answer = ask(tmp_path, 8, events, outcomes)
    # a: day 0 returns; 1, 2 and 9 do not; those of the 14th, 15th and 21st day are too late to tell
    assert only(answer, "first_model", "visits", "within_a_week") == [("a@1", 4, 0.25), ("b@1", 2, 0.0)]


def experiment(seed: int, viewers: int) -> list[Row]:
    """Returns outcomes of an experiment: each viewer has an own number of impressions and an own rate of likes."""
    random, rows = np.random.default_rng(seed), list[Row]()
    for viewer in range(viewers):
        arm = [{"id": "sound", "variant": "on" if random.random() < 0.4 else "off"}]
        rate = random.beta(0.5, 1.5)
        rows += [
            shown(len(rows) + n, "c1", f"v{viewer}", experiment=json.dumps(arm), liked=bool(random.random() < rate))
            for n in range(int(random.integers(1, 30)))
        ]
    return rows


def test_10_the_interval_is_over_viewers_and_balance_is_an_answer(tmp_path: Path) -> None:
    outcomes = experiment(seed=3, viewers=60)
    answer = ask(tmp_path, 10, [clip("c1")], outcomes)
    assert only(answer, "experiment", "variant") == [("sound", "off"), ("sound", "on")]
    for arm in answer:
        sums: dict[str, list[int]] = {}
        for each in outcomes:
            if json.loads(each["experiment"])[0]["variant"] == arm["variant"]:
                n, k = sums.get(each["viewer_id"], [0, 0])
                sums[each["viewer_id"]] = [n + 1, k + each["liked"]]
        n, k = np.array(list(sums.values()), float).T
        rate = k.sum() / n.sum()
        error = math.sqrt(((k - rate * n) ** 2).sum() / n.sum() ** 2 * len(n) / (len(n) - 1))
        low, high = proportion_confint(len(n), 60, method="wilson")
        assert {name: arm[name] for name in arm if name not in {"experiment", "variant"}} == pytest.approx(
            {
                "viewers": len(n), "viewer_share": len(n) / 60, "viewer_share_low": low, "viewer_share_high": high,
                "impressions": n.sum(), "hook_rate": 1, "positive_rate": rate,
                "low": rate - 1.96 * error, "high": rate + 1.96 * error,
            }
        )  # fmt: skip
        naive = proportion_confint(k.sum(), n.sum(), method="wilson")
        assert arm["high"] - arm["low"] > 1.5 * (naive[1] - naive[0]), "viewers differ"


def test_10_the_interval_holds_the_truth_nineteen_times_of_twenty(tmp_path: Path) -> None:
    """Every experiment of one lake; viewers differ, and the more they are shown the less they like."""
    random, rows = np.random.default_rng(1), list[Row]()
    experiments, truth = 300, sum(n * (0.1 + 0.5 / n) for n in range(1, 11)) / 55
    for number in range(experiments):
        arm = json.dumps([{"id": f"{number}", "variant": "only"}])
        for viewer in range(60):
            n = int(random.integers(1, 11))
            rate = random.beta(0.1 + 0.5 / n, 0.9 - 0.5 / n)
            rows += [
                shown(len(rows) + m, "c1", f"v{viewer}", experiment=arm, liked=bool(random.random() < rate))
                for m in range(n)
            ]
    answer = ask(tmp_path, 10, [clip("c1")], rows)
    assert len(answer) == experiments
    assert 0.91 < np.mean([arm["low"] <= truth <= arm["high"] for arm in answer]) < 0.98


def test_10_an_arm_of_one_viewer_has_no_interval(tmp_path: Path) -> None:
    arm = json.dumps([{"id": "e", "variant": "on"}])
    (answer,) = ask(tmp_path, 10, [clip("c1")], [shown(n, "c1", "v", experiment=arm) for n in range(3)])
    assert (answer["viewers"], answer["viewer_share"], answer["low"], answer["high"]) == (1, 1.0, None, None)


def test_12_every_clip_costs_and_money_of_withdrawn_clips_counts(tmp_path: Path) -> None:
    euros: dict[str, Any] = {"cost_currency": "EUR", "cost_amount": 2.0}
    events = [
        clip("a1", template_id="a", **euros), clip("a2", template_id="a", **euros), taken("a2"),
        clip("a3", template_id="a"), clip("a4", template_id="a", cost_currency="USD", cost_amount=50.0),
        clip("never shown", template_id="b", **euros), clip("none", **euros),
        clip("c1", template_id="c"), clip("d1", template_id="d", **euros), taken("d1"),
    ]  # fmt: skip
    outcomes = [
        shown(0, "a1", "v0", purchased=True, revenue=3.0, currency="EUR"),
        shown(1, "a1", "v1", purchased=True, revenue=900.0, currency="USD"),
        shown(2, "a2", "v2", purchased=True, revenue=4.0, currency="EUR"),
        shown(3, "a3", "v3"),
        shown(4, "a1", "v4", purchased=True, revenue=70.0, currency="EUR", trust="forged"),
        shown(5, "c1", "v4"),
    ]  # fmt: skip
    answer = ask(tmp_path, 12, events, outcomes)
    columns = ("template", "clips", "clips_of_unknown_cost", "impressions", "revenue", "cost", "margin")
    assert only(answer, *columns) == [
        ("a", 4, 2, 4, 7.0, 4.0, 3.0),
        ("c", 1, 1, 1, 0.0, 0.0, 0.0),
        ("b", 1, 0, 0, 0.0, 2.0, -2.0),
        ("d", 1, 0, 0, 0.0, 2.0, -2.0),
    ]
    assert {(each["main_currency"], each["main_cost_currency"]) for each in answer} == {("EUR", "EUR")}


def test_12_a_sale_in_another_currency_than_costs_leaves_the_costs_and_the_other_margins(tmp_path: Path) -> None:
    dollars: dict[str, Any] = {"cost_currency": "USD", "cost_amount": 2.0}
    events = [clip(name, template_id=name[0], **dollars) for name in ("a1", "a2", "b1")]
    outcomes = [shown(0, "a1", "v0", purchased=True, revenue=3.0, currency="EUR"), shown(1, "b1", "v1")]
    answer = ask(tmp_path, 12, events, outcomes)
    assert only(answer, "template", "revenue", "main_currency", "cost", "main_cost_currency", "margin") == [
        ("b", 0.0, "EUR", 2.0, "USD", -2.0),
        ("a", 3.0, "EUR", 4.0, "USD", None),
    ]


def test_12_without_any_money_nothing_is_earned_or_spent(tmp_path: Path) -> None:
    answer = ask(tmp_path, 12, [clip("a1", template_id="a")], [shown(0, "a1", "v0")])
    assert only(answer, "template", "revenue", "main_currency", "cost", "main_cost_currency", "margin") == [
        ("a", 0.0, None, 0.0, None, 0.0)
    ]


def test_14_revenue_is_of_one_currency(tmp_path: Path) -> None:
    outcomes = [
        shown(0, "c1", "v0", clicked=True, purchased=True, revenue=3.0, currency="EUR"),
        shown(1, "c1", "v1", clicked=True, purchased=True, revenue=4.0, currency="EUR"),
        shown(2, "c1", "v2", clicked=True, purchased=True, revenue=900.0, currency="JPY"),
        shown(3, "c1", "v3", clicked=True),
    ]
    answer = ask(tmp_path, 14, [clip("c1")], outcomes)
    assert only(answer, "did", "impressions", "revenue", "main_currency") == [
        ("only clicked", 1, 0.0, "EUR"),
        ("bought", 3, 7.0, "EUR"),
    ]


def reports(*clips: tuple[int, int]) -> tuple[list[Row], list[Row]]:
    """Returns clips that were shown so often and reported or hidden so often; every other view is disliked."""
    outcomes: list[Row] = []
    for number, (impressions, negative) in enumerate(clips):
        outcomes += [
            shown(len(outcomes) + n, f"c{number}", f"v{n}", disliked=n % 2 == 1)
            | {"reported" if n % 2 else "hidden": n < negative}
            for n in range(impressions)
        ]
    return [clip(f"c{number}") for number in range(len(clips))], outcomes


def test_15_a_clip_is_listed_when_chance_does_not_explain_it(tmp_path: Path) -> None:
    counts = [(100, 12), (100, 4), (100, 1), (100, 0), (1, 1), (300, 4)]
    answer = ask(tmp_path, 15, *reports(*counts))
    rate = sum(k for _, k in counts) / sum(n for n, _ in counts)
    tails = [6 * poisson.sf(k - 1, n * rate) for n, k in counts]
    assert [tail < 0.05 for tail in tails] == [True, False, False, False, False, False]
    assert 0.03 < tails[4] / 6 < 0.05, "one report of one impression is rare, but not among six clips"
    (found,) = answer
    assert only([found], "clip_id", "impressions", "negative") == [("c0", 100, 12)]
    assert (found["expected"], found["p"]) == (pytest.approx(100 * rate), pytest.approx(tails[0]))


@pytest.mark.parametrize("counts", [[(20, 0), (30, 0)], [(20, 1), (30, 2)]], ids=["no reports", "as by chance"])
def test_15_chance_alone_lists_no_clip(tmp_path: Path, counts: list[tuple[int, int]]) -> None:
    assert ask(tmp_path, 15, *reports(*counts)) == []


def test_17_what_is_missing_here_does_not_make_up_for_what_is_too_much_there(tmp_path: Path) -> None:
    counts = {"stored": 5, "duplicate": 2, "rejected": 1, "suppressed": 1, "conflict": 0}
    ledger = [
        {"tenant": "default", "source": source, "hour": at() + dt.timedelta(hours=n), "received": received} | counts
        for n, (source, received) in enumerate([("/a", 9), ("/a", 12), ("/b", 6)])
    ]
    (answer,) = ask(tmp_path, 17, [clip("c1")], [], ledger=ledger)
    assert (answer["what"][:8], answer["events"]) == ("received", 6)


def test_19_votes_are_compared_with_reactions_and_watch_time(tmp_path: Path) -> None:
    outcomes = [
        shown(0, "good", "v", liked=True),
        shown(1, "fair", "v"),
        shown(2, "bad", "v", watched_ms=100),
        shown(3, "fair", "v"),
    ]
    pairs = [
        ("i0", "i1", "left"),
        ("i2", "i0", "right"),
        ("i2", "i1", "left"),
        ("i1", "i3", "left"),
        ("i0", "i2", "tie"),
    ]
    votes = [
        row("voted", f"vote {n}", left_impression_id=left, right_impression_id=right, result=result)
        for n, (left, right, result) in enumerate(pairs)
    ]
    answer = ask(tmp_path, 19, [*map(clip, ("good", "fair", "bad")), *votes], outcomes)
    # two of three agree, a clip against itself does half, a tie says nothing
    assert only(answer, "both_shown_twenty_times", "votes", "agreement") == [(False, 4, 2.5 / 4)]


def test_a_clip_costs_in_each_audience_that_saw_it(tmp_path: Path) -> None:
    """As the column ``cost`` of `creative_board` says."""
    lake = Lake(tmp_path)
    lake.append("events", events_table([clip("c1", template_id="t", cost_amount=2.0, cost_currency="EUR")]))
    rows = [shown(n, "c1", f"v{n}", audience=audience) for n, audience in enumerate(["teens", "all"])]
    lake.append("outcomes", pa.Table.from_pylist(rows, schema=TABLES["outcomes"][0]))
    publish(lake)
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        found = connection.execute("SELECT audience, cost FROM creative_board ORDER BY audience").fetchall()
    assert found == [("all", 2.0), ("teens", 2.0)]
