"""Folding: whatever order, repetition or forgery, one impression comes to one row."""

import datetime as dt
import random
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.event_rows import Row, answer, at, events_table, impression

from clapometer.lake.schema import OUTCOMES
from clapometer.lake.statements import sql


def fold(rows: Sequence[Row], dates: Sequence[dt.date] | None = None, settled: Sequence[str] = ()) -> pa.Table:
    con = duckdb.connect()
    con.register("events", events_table(rows))
    con.execute(
        "CREATE TABLE refresh_dates AS SELECT DISTINCT CAST(time AT TIME ZONE 'UTC' AS DATE) AS shown_date FROM events"
    )
    if dates is not None:
        con.execute(
            "CREATE OR REPLACE TABLE refresh_dates AS SELECT unnest(CAST(? AS DATE[])) AS shown_date", [list(dates)]
        )
    con.execute(
        "CREATE TABLE settled AS SELECT 'default' AS tenant, unnest(CAST(? AS VARCHAR[])) AS impression_id",
        [list(settled)],
    )
    con.execute(f"CREATE TABLE shared_orders AS {sql('lake/sql/shared_orders.sql')}")
    return (
        con.sql(f"SELECT * FROM ({sql('lake/sql/outcomes.sql')}) ORDER BY tenant, impression_id")
        .to_arrow_table()
        .cast(OUTCOMES)
    )


def fold_one(*rows: Row) -> dict[str, Any]:
    (outcome,) = fold(rows).to_pylist()
    return dict(outcome)


def test_the_columns_are_those_of_the_schema() -> None:
    assert fold([impression("i")]).schema.names == OUTCOMES.names


def test_an_empty_lake_has_no_outcomes() -> None:
    assert fold([]).num_rows == 0


def test_an_impression_that_nothing_answers_has_unknown_watch_time_and_no_reactions() -> None:
    outcome = fold_one(impression("i", position=3, propensity=0.25, candidates=8))
    assert outcome["watched_ms"] is None
    assert outcome["liked"] is False
    assert outcome["revenue"] is None
    assert (outcome["position"], outcome["propensity"], outcome["candidates"]) == (3, 0.25, 8)
    assert outcome["last_event_at"] == outcome["shown_at"] == at()


def test_engagement_without_an_impression_makes_no_row() -> None:
    assert fold([answer("watched", "nowhere", "w", watched_ms=10)]).num_rows == 0


def test_the_largest_of_each_number_wins() -> None:
    outcome = fold_one(
        impression("i"),
        answer("watched", "i", "w1", at(9), watched_ms=900, total_ms=1_000, loops=0),
        answer("watched", "i", "w2", at(3), watched_ms=400, total_ms=4_000, loops=2),
    )
    assert (outcome["watched_ms"], outcome["total_ms"], outcome["loops"]) == (900, 4_000, 2)


@pytest.mark.parametrize(
    ("segments", "unique_ms"),
    [
        ("[]", 0),
        ("[[0,1000]]", 1_000),
        ("[[0,1000],[500,1500]]", 1_500),
        ("[[2000,3000],[0,1000]]", 2_000),
        ("[[0,5000],[1000,2000],[4000,6000]]", 6_000),
        ("[[7,7]]", 0),
    ],
)
def test_played_segments_count_unique_milliseconds(segments: str, unique_ms: int) -> None:
    outcome = fold_one(impression("i"), answer("watched", "i", "w", played_segments=segments, watched_ms=99_999))
    assert outcome["watched_ms"] == unique_ms


def test_a_final_reason_to_stop_is_kept_over_heartbeats() -> None:
    outcome = fold_one(
        impression("i"),
        answer("watched", "i", "w1", at(5), watched_ms=5, end_reason="skipped"),
        answer("watched", "i", "w2", at(9), watched_ms=9, end_reason="heartbeat"),
    )
    assert outcome["end_reason"] == "skipped"


def test_an_undone_reaction_is_no_reaction_and_may_be_made_again() -> None:
    like = answer("reacted", "i", "r1", at(1), reaction="like")
    undo = answer("reacted", "i", "r2", at(2), reaction="like", undone=True)
    again = answer("reacted", "i", "r3", at(3), reaction="like")
    save = answer("reacted", "i", "r4", at(1), reaction="save")
    assert fold_one(impression("i"), undo, like, save)["liked"] is False
    assert fold_one(impression("i"), undo, like, save)["saved"] is True
    assert fold_one(impression("i"), undo, again, like)["liked"] is True


@pytest.mark.parametrize(
    ("reaction", "column"),
    [
        ("like", "liked"), ("save", "saved"), ("share", "shared"), ("comment", "commented"), ("follow", "followed"),
        ("dislike", "disliked"), ("hide", "hidden"), ("not_interested", "not_interested"), ("report", "reported"),
    ],
)  # fmt: skip
def test_each_reaction_has_its_column(reaction: str, column: str) -> None:
    columns = (
        "liked", "saved", "shared", "commented", "followed", "disliked", "hidden", "not_interested", "reported"
    )  # fmt: skip
    outcome = fold_one(impression("i"), answer("reacted", "i", "r", reaction=reaction))
    assert [name for name in columns if outcome[name]] == [column]


def test_an_order_counts_once_as_it_was_last_sent() -> None:
    def paid(id_: str, seconds: float, value: float, order: str | None) -> Row:
        return answer("converted", "i", id_, at(seconds), kind="purchase", value=value, currency="EUR", order_id=order)

    outcome = fold_one(
        impression("i"),
        paid("a", 1, 10.0, "o1"),
        paid("b", 2, 12.5, "o1"),
        paid("c", 3, 1.1, None),
        paid("d", 4, 2.2, None),
    )
    assert outcome["purchased"] is True
    assert outcome["revenue"] == pytest.approx(15.8, abs=1e-9)
    assert outcome["currency"] == "EUR"


def money(id_: str, seconds: float, value: float | None, order: str | None = "o", **values: Any) -> Row:
    """Returns a purchase of impression ``i``, or what ``values`` say."""
    given = {"kind": "purchase", "value": value, "currency": None if value is None else "EUR", "order_id": order}
    return answer("converted", values.pop("on", "i"), id_, at(seconds), **given | values)


def refund(id_: str, seconds: float, value: float | None, order: str | None = "o", **values: Any) -> Row:
    return money(id_, seconds, value, order, kind="refund", **values)


@pytest.mark.parametrize(
    ("rows", "purchased", "revenue"),
    [
        ([money("a", 1, 10.0), money("b", 1, 5.5)], True, 15.5),
        ([money("a", 1, 10.0), money("b", 1, 10.0)], True, 20.0),
        ([money("a", 1, 10.0), money("b", 1, 5.5), money("c", 2, 12.0)], True, 12.0),
        ([money("a", 1, 10.0, source="/page"), money("b", 1, 10.0, source="/shop")], True, 10.0),
        ([money("a", 9, 99.0), money("b", 1, 10.0, trust="key")], True, 10.0),
        ([money("a", 1, 20.0), refund("r", 9, 5.0)], True, 15.0),
        ([money("a", 1, 20.0), refund("r", 9, 5.0), refund("s", 12, 5.0)], True, 10.0),
        ([money("a", 1, 20.0), refund("r", 9, 20.0)], False, 0.0),
        ([money("a", 1, 20.0), refund("r", 9, 500.0), money("b", 2, 7.0, "o2")], True, 7.0),
        ([money("a", 1, 20.0), refund("r", 9, None)], False, 0.0),
        ([money("a", 1, 20.0), refund("r", 0, 5.0)], True, 15.0),
        ([money("a", 1, 20.0), money("b", 9, -20.0)], False, 0.0),
        ([money("a", 1, 20.0, None), refund("r", 9, 5.0, None)], True, 15.0),
        ([money("a", 1, 20.0, None), refund("r", 9, 20.0, None)], False, 0.0),
        ([money("a", 1, None), refund("r", 9, None)], False, None),
        ([money("a", 1, None)], True, None),
        ([refund("r", 9, 20.0)], False, None),
        ([money("a", 1, 20.0), refund("r", 9, 20.0, currency="USD")], True, 20.0),
        ([money("a", 1, 20.0), refund("r", 9, 20.0, "another")], True, 20.0),
    ],
    ids=[
        "lines of one instant add up", "equal lines too", "the whole order said again", "page and shop say the same",
        "the shop goes before the page", "some given back", "some given back twice", "all given back",
        "never less than nothing", "given back without an amount", "a refund that comes first", "below 0 is a refund",
        "a refund without an order", "all given back without an order", "no amounts", "a purchase without an amount",
        "a refund alone", "a refund in another currency", "a refund of another order",
    ],
)  # fmt: skip
def test_an_order_comes_to_what_was_paid_less_what_was_given_back(
    rows: list[Row], purchased: bool, revenue: float | None
) -> None:
    outcome = fold_one(impression("i"), *rows)
    assert (outcome["purchased"], outcome["revenue"]) == (purchased, revenue)


def claimed(*rows: Row) -> dict[str, float | None]:
    """Returns the revenue of each of two impressions, shown at 0 and at 10 seconds."""
    folded = fold([impression("first", time=at(0)), impression("second", time=at(10)), *rows]).to_pylist()
    return {row["impression_id"]: row["revenue"] for row in folded}


def test_an_order_that_two_impressions_claim_counts_for_the_last_one_shown_before_it() -> None:
    early, late = money("a", 20, 19.99, on="first"), money("b", 20, 19.99, on="second")
    assert claimed(early, late) == {"first": None, "second": 19.99}
    assert claimed(early, late, refund("r", 30, 9.99, on="first")) == {"first": None, "second": 10.0}
    sooner = [money("a", -1000, 19.99, on="first"), money("b", 20, 19.99, on="second")]
    assert fold([impression("second", time=at(10)), impression("first", time=at(-2000)), *sooner]).to_pylist()[0][
        "revenue"
    ] == pytest.approx(19.99)


def test_an_impression_that_nobody_vouches_for_takes_no_order_from_one_that_is() -> None:
    rows = [
        impression("true", time=at(0)), impression("made up", time=at(10), trust="none"),
        money("a", 20, 5.0, on="true"), money("b", 20, 5.0, on="made up"),
    ]  # fmt: skip
    assert {row["impression_id"]: row["revenue"] for row in fold(rows).to_pylist()} == {"true": 5.0, "made up": None}


def test_only_purchases_are_revenue() -> None:
    outcome = fold_one(impression("i"), answer("converted", "i", "x", kind="add_to_cart", value=9.0, currency="EUR"))
    assert (outcome["carted"], outcome["purchased"], outcome["revenue"]) == (True, False, None)


def test_amounts_of_two_currencies_are_not_added() -> None:
    outcome = fold_one(
        impression("i"),
        answer("converted", "i", "x", kind="purchase", value=9.0, currency="EUR"),
        answer("converted", "i", "y", kind="purchase", value=900.0, currency="JPY"),
    )
    assert (outcome["revenue"], outcome["currency"]) == (900.0, "JPY")


def test_of_two_currencies_that_of_most_orders_is_kept_however_large_the_other_number_is() -> None:
    outcome = fold_one(
        impression("i"),
        answer("converted", "i", "x", kind="purchase", value=9.0, currency="EUR"),
        answer("converted", "i", "y", kind="purchase", value=8.0, currency="EUR"),
        answer("converted", "i", "z", kind="purchase", value=900.0, currency="JPY"),
    )
    assert (outcome["revenue"], outcome["currency"]) == (17.0, "EUR")


def test_a_second_impression_with_the_same_id_is_a_replay() -> None:
    outcome = fold_one(
        impression("i", "late", at(9), event="e2"),
        impression("i", "early", at(1), event="e1"),
        impression("i", "early", at(1), event="e1"),
    )
    assert outcome["clip_id"] == "early"


def test_a_forged_impression_does_not_displace_an_earlier_or_later_true_one() -> None:
    true = impression("i", "true", at(9), event="e2", trust="token")
    forged = impression("i", "forged", at(1), event="e1", trust="forged")
    assert fold_one(forged, true)["clip_id"] == "true"


def test_tenants_do_not_meet() -> None:
    mine = impression("i", tenant="a")
    yours = answer("reacted", "i", "r", reaction="like", tenant="b")
    assert fold_one(mine, yours)["liked"] is False


def test_an_answer_received_days_before_its_impression_was_shown_is_left_out() -> None:
    early = answer("reacted", "i", "r", at(days=-4), reaction="like")
    assert fold_one(impression("i"), early)["liked"] is False


def test_only_the_dates_asked_for_are_folded_and_settled_impressions_are_left_where_they_are() -> None:
    rows = [impression("a"), impression("b", time=at(days=1)), impression("c", time=at(days=1))]
    folded = fold(rows, dates=[at(days=1).date()], settled=["c"])
    assert folded["impression_id"].to_pylist() == ["b"]


TIMES = st.integers(0, 4).map(at)
IDS = st.integers(0, 5).map(str)
EVENT = st.one_of(
    st.builds(
        lambda n, clip, time, e, trust: impression(f"i{n}", clip, time, event=f"e{e}{n}", trust=trust),
        st.integers(0, 2), st.sampled_from(["c1", "c2"]), TIMES, IDS, st.sampled_from(["token", "none"]),
    ),
    st.builds(
        lambda n, e, time, ms, end: answer(
            "watched", f"i{n}", f"w{e}", time, watched_ms=ms, total_ms=ms * 2, end_reason=end
        ),
        st.integers(0, 2), IDS, TIMES, st.integers(0, 9), st.sampled_from(["ended", "heartbeat", None]),
    ),
    st.builds(
        lambda n, e, time, kind, undone: answer("reacted", f"i{n}", f"r{e}", time, reaction=kind, undone=undone),
        st.integers(0, 2), IDS, TIMES, st.sampled_from(["like", "save", "hide"]), st.booleans(),
    ),
    st.builds(
        lambda n, e, time, cents, order, kind, purse: answer(
            "converted", f"i{n}", f"c{e}", time, kind=kind, value=cents / 100, currency=purse, order_id=order
        ),
        st.integers(0, 2), IDS, TIMES, st.integers(-500, 500), st.sampled_from(["o1", "o2", None]),
        st.sampled_from(["purchase", "refund", "click"]), st.sampled_from(["EUR", "JPY"]),
    ),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(EVENT, max_size=16), seed=st.integers(0, 2**16))
def test_order_and_repetition_do_not_matter(rows: list[Row], seed: int) -> None:
    shuffled = rows + rows[: len(rows) // 2]
    random.Random(seed).shuffle(shuffled)
    assert fold(shuffled).equals(fold(rows))
