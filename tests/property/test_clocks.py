"""Whatever a client's clock says and however long its requests take, what it did comes to the same outcome."""

import datetime as dt
import json
from contextlib import nullcontext
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from clapometer.domain import InputError, check_time, decode_event, encode_events
from clapometer.lake.event_rows import parse
from clapometer.lake.statements import sql

NOON = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
DAY_S = 86_400
SKEWS = st.one_of(
    st.just(0.0),
    st.floats(-600, 600),
    st.sampled_from([3600.0, -3600.0, 14 * 3600.0, -9 * 3600.0, 400.0 * DAY_S, -400.0 * DAY_S, -3000.0 * DAY_S]),
)
"""Seconds that a clock is ahead."""
WAITS = st.one_of(st.just(0.0), st.floats(0, 30), st.floats(0, 0.9 * DAY_S))
"""Seconds that something takes: until it is sent, or on its way."""
ACTS = st.one_of(
    st.tuples(st.just("reacted"), st.fixed_dictionaries(
        {"reaction": st.sampled_from(["like", "save"]), "undone": st.booleans()}
    )),
    st.tuples(st.just("watched"), st.fixed_dictionaries(
        {"watched_ms": st.integers(0, 3), "end_reason": st.sampled_from(["ended", "skipped", "heartbeat"])}
    )),
    st.tuples(st.just("converted"), st.fixed_dictionaries(
        {"kind": st.just("purchase"), "value": st.integers(1, 9), "currency": st.just("EUR")}
    )),
    st.tuples(st.just("impression"), st.fixed_dictionaries(
        {"clip_id": st.sampled_from(["c1", "c2"]), "viewer_id": st.just("v")}
    )),
)  # fmt: skip
CLIENTS = st.tuples(SKEWS, st.booleans(), st.lists(st.tuples(ACTS, st.floats(0, 90), WAITS, WAITS), max_size=6))
"""Skew, whether it tells whole seconds, and acts: what, seconds since the act before, until sent, on its way."""
SHOWN = ("impression", {"clip_id": "c0", "viewer_id": "v"})


def written(at: float, *, whole: bool) -> str:
    return (NOON + dt.timedelta(seconds=int(at) if whole else at)).isoformat()


def sent(clients: list[Any], *, perfect: bool) -> list[dict[str, Any]]:
    """Returns the lines that a loader gets, by a perfect clock that is heard at once or as the clients are."""
    lines = []
    for client, (skew, whole, acts) in enumerate(clients):
        happened = 0.0
        for number, ((kind, data), later, wait, transit) in enumerate([(SHOWN, 0.0, 0.0, 0.0), *acts]):
            # an instant of its own to each act, by whatever clock
            happened = float(int(happened + later) + 1)
            clock, received = (0.0, happened) if perfect else (skew, happened + wait + transit)
            order = {"order_id": f"o{client}"} if "kind" in data else {}
            event = {
                "specversion": "1.0", "type": f"clapometer.{kind}.v1", "id": f"{client}-{number}",
                "source": f"/client/{client % 2}", "time": written(happened + clock, whole=whole),
                "sentat": written(happened + clock + (0.0 if perfect else wait) - (0.85 if whole else 0), whole=whole),
                "data": {"impression_id": f"i{client}", **data, **order},
            }  # fmt: skip
            check_time(decode_event(json.dumps(event).encode()), NOON + dt.timedelta(seconds=received))
            line = encode_events([decode_event(json.dumps(event).encode())]).decode().rstrip()
            at = NOON + dt.timedelta(seconds=received)
            lines.append({"line": line, "tenant": "t", "received_at": at, "trust": "key"})
    return lines


def outcomes(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns what the events come to, without the instants, which may be off by what a request took."""
    batch = pa.Table.from_pylist(lines).append_column("line_number", pa.array(range(len(lines)), pa.int64()))
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("batch", batch)
        con.execute(f"CREATE TABLE events AS {parse(watching=False)}")
        con.execute("CREATE TABLE refresh_dates AS SELECT DISTINCT time::DATE AS shown_date FROM events")
        con.execute(f"CREATE TABLE shared_orders AS {sql('lake/sql/shared_orders.sql')}")
        con.execute("CREATE TABLE settled (tenant VARCHAR, impression_id VARCHAR)")
        folded = f"({sql('lake/sql/outcomes.sql')})"
        query = f"SELECT * EXCLUDE (shown_at, last_event_at, shown_date) FROM {folded} ORDER BY impression_id"
        return con.sql(query).to_arrow_table().to_pylist()


@settings(max_examples=25, deadline=None)
@given(clients=st.lists(CLIENTS, min_size=1, max_size=12), data=st.data())
def test_skew_and_delay_change_no_outcome_and_neither_does_the_order_of_arrival(clients, data):
    lines = data.draw(st.permutations(sent(clients, perfect=False)))
    assert outcomes(lines) == outcomes(sent(clients, perfect=True))


@settings(max_examples=200, deadline=None)
@given(skew=st.floats(-5000 * DAY_S, 5000 * DAY_S), age=st.floats(-2 * DAY_S, 4000 * DAY_S), transit=st.floats(0, 1e6))
def test_the_gate_for_times_asks_for_the_age_alone_however_wrong_the_clock_is(skew, age, transit):
    event = {
        "specversion": "1.0", "type": "clapometer.watched.v1", "id": "e", "source": "/client",
        "time": written(skew - age, whole=False), "sentat": written(skew, whole=False),
        "data": {"impression_id": "i", "watched_ms": 1},
    }  # fmt: skip
    accepted = -DAY_S < age < 3653 * DAY_S
    assume(min(abs(age + DAY_S), abs(age - 3653 * DAY_S)) > 1e-3)
    expected = nullcontext() if accepted else pytest.raises(InputError, match="time: ")
    with expected:
        check_time(decode_event(json.dumps(event).encode()), NOON + dt.timedelta(seconds=transit))
