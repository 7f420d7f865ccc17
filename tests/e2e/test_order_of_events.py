"""From the collector to the views: one client's events keep its order, whatever its clock and its network do."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.unit.collector.conftest import TOKEN_SECRET, Collector

from clapometer.collector import CollectorConfig
from clapometer.domain import sign_answer, sign_impression
from clapometer.domain.events import ImpressionData
from clapometer.folding.fold import refresh_outcomes
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings

NOON = dt.datetime(2026, 11, 2, 12, tzinfo=dt.UTC)


class Way:
    """A collector with a clock of its own, and the lake behind it."""

    def __init__(self, folder: Path) -> None:
        self.now = NOON
        self.collector = Collector(folder / "collector", CollectorConfig(), clock=lambda: self.now)
        self._lake = Lake(folder / "lake")
        self._loader = Loader(self.collector.log, self._lake, LoadSettings(threads=1, upkeep=None))

    def post(self, *events: dict[str, Any], received: float = 0.0, key: str = "") -> dict[str, Any]:
        """Sends events that are received some seconds after noon; returns the answer."""
        self.now = NOON + dt.timedelta(seconds=received)
        answer = self.collector.post(list(events), **({"x_api_key": key} if key else {}))
        return {"status": answer.status_code, **answer.json()}

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Returns what the published file answers, after everything sent was loaded and folded."""
        while self._loader.load_once().blocks:
            pass
        refresh_outcomes(self._lake, threads=1)
        publish(self._lake)
        with duckdb.connect(str(self._lake.storage.published), read_only=True) as con:
            return con.sql(query).to_arrow_table().to_pylist()

    def close(self) -> None:
        self._loader.close()
        self.collector.stop()


@pytest.fixture
def way(tmp_path: Path) -> Iterator[Way]:
    it = Way(tmp_path)
    yield it
    it.close()


def event(kind: str, id: str, time: float, sentat: float | None = None, /, **data: Any) -> dict[str, Any]:
    """Returns an event; times are seconds after noon by the sender's clock."""
    sent = {} if sentat is None else {"sentat": (NOON + dt.timedelta(seconds=sentat)).isoformat()}
    return {
        "specversion": "1.0", "type": f"clapometer.{kind}.v1", "id": id, "source": "/web/app",
        "time": (NOON + dt.timedelta(seconds=time)).isoformat(), **sent, "data": data,
    }  # fmt: skip


def shown(id: str, time: float, sentat: float | None = None) -> dict[str, Any]:
    return event("impression", id, time, sentat, impression_id=id, clip_id="c", viewer_id="v")


def liked(id: str, time: float, sentat: float | None = None, **data: Any) -> dict[str, Any]:
    return event("reacted", id, time, sentat, impression_id="i", reaction="like", **data)


def test_an_undo_stands_though_the_like_took_half_a_minute_to_arrive(way: Way) -> None:
    way.post(shown("i", -40), received=-40)
    way.post(liked("like", -30, -29), liked("undo", -25, -0.1, undone=True))
    assert way.rows("SELECT liked FROM outcomes") == [{"liked": False}]


def test_an_undo_within_the_same_whole_second_stands(way: Way) -> None:
    way.post(shown("i", 0), liked("undo", 1, undone=True), liked("like", 1))
    assert way.rows("SELECT liked FROM outcomes") == [{"liked": False}]


@pytest.mark.parametrize("ahead", [0, 400 * 86_400, -400 * 86_400])
@pytest.mark.parametrize("rounding", [-0.85, 0.0, 0.85])
def test_an_answer_counts_wherever_the_clock_stands_and_however_the_sending_time_is_rounded(
    way: Way, ahead: float, rounding: float
) -> None:
    answer = way.post(shown("i", ahead, ahead + rounding), liked("l", ahead + 5, ahead + 5 + rounding), received=6)
    assert (answer["status"], answer["rejected"]) == (202, [])
    (found,) = way.rows("SELECT liked, epoch(shown_at) AS at FROM outcomes")
    assert found["liked"]
    assert abs(found["at"] - NOON.timestamp()) < 7


def test_a_clock_that_is_set_between_a_like_and_its_undoing_does_not_bring_the_like_back(way: Way) -> None:
    year = 400 * 86_400
    way.post(shown("i", year, year), liked("like", year + 5, year + 5), received=5)
    way.post(liked("undo", 20, 21, undone=True), received=21)
    assert way.rows("SELECT liked FROM outcomes") == [{"liked": False}]


def test_the_latest_registration_is_the_one_that_its_sender_made_last(way: Way) -> None:
    def registered(id: str, version: str, time: float, sentat: float) -> dict[str, Any]:
        model, prompt = {"name": "m", "version": version}, {"text": "a cat"}
        data = {"clip_id": "c", "prompt": prompt, "model": model, "duration_ms": 5000, "task": "t2v"}
        return event("clip_registered", id, time, sentat, **data)

    way.post(registered("second", "2", -20, -0.1), registered("first", "1", -30, -29.5), received=600)
    assert way.rows("SELECT model_version FROM clips") == [{"model_version": "2"}]
    assert way.rows("SELECT before_model, model FROM clip_changes") == [{"before_model": "m@1", "model": "m@2"}]


def money(id: str, on: str, time: float, value: float | None, *, kind: str = "purchase", **data: Any) -> dict[str, Any]:
    paid = {} if value is None else {"value": value, "currency": "EUR"}
    return event("converted", id, time, None, impression_id=on, kind=kind, order_id="order", **paid, **data)


def test_an_order_of_two_lines_on_two_impressions_counts_once_and_less_its_refund(way: Way) -> None:
    way.post(shown("first", -90), shown("second", -60), *(money(f"{i}", on, -9, 10.0) for i, on in enumerate(
        ["first", "second", "second"]
    )))  # fmt: skip
    both = "SELECT impression_id, purchased, revenue FROM measures ORDER BY ALL"
    assert way.rows(both) == [
        {"impression_id": "first", "purchased": False, "revenue": None},
        {"impression_id": "second", "purchased": True, "revenue": 20.0},
    ]
    way.post(money("refund", "first", 0, 5.0, kind="refund"), received=3600)
    assert [row["revenue"] for row in way.rows(both)] == [None, 15.0]
    assert way.rows("FROM orders SELECT order_id, impression_id, paid, refunded, revenue, problem") == [
        {
            "order_id": "order",
            "impression_id": "second",
            "paid": 20.0,
            "refunded": 5.0,
            "revenue": 15.0,
            "problem": None,
        }
    ]


def test_a_refund_of_what_was_never_bought_is_said_and_takes_nothing(way: Way) -> None:
    way.post(shown("i", -90), money("refund", "i", -9, 5.0, kind="refund"))
    assert way.rows("SELECT purchased, revenue FROM outcomes") == [{"purchased": False, "revenue": None}]
    assert way.rows("SELECT problem FROM orders") == [{"problem": "refund without a purchase"}]


def test_a_browser_takes_no_id_from_a_server_whoever_sends_first(way: Way) -> None:
    true = event("impression", "i", -60, impression_id="i", clip_id="true", viewer_id="v")
    paid = event("converted", "p", -9, impression_id="i", kind="purchase", value=5.0, currency="EUR")
    browser = way.collector.publishable
    made_up = [{**true, "data": {**true["data"], "clip_id": "x"}}, {**paid, "data": {**paid["data"], "value": 99.0}}]
    way.post(*made_up, key=browser)
    way.post(true, paid, key=browser)
    way.post(true, paid)
    assert way.rows("SELECT clip_id, trust, revenue FROM outcomes") == [
        {"clip_id": "true", "trust": "key", "revenue": 5.0}
    ]
    way.post(true, paid)
    assert way.rows("SELECT sum(stored)::INT AS stored, sum(duplicate)::INT AS duplicate FROM ledger") == [
        {"stored": 4, "duplicate": 4}
    ]


def test_erasures_and_withdrawals_with_a_known_id_are_done_all_the_same(way: Way) -> None:
    way.post(*(event("viewer_erased", "same", 0, viewer_id=viewer) for viewer in ("a", "b", "a")))
    way.post(*(event("clip_withdrawn", "same id", 0, clip_id=clip, reason="r") for clip in ("a", "b", "a")))
    found = way.rows("SELECT type, coalesce(viewer_id, clip_id) AS what FROM events ORDER BY ALL")
    assert [(row["type"], row["what"]) for row in found] == [
        ("clip_withdrawn", "a"), ("clip_withdrawn", "b"), ("viewer_erased", "a"), ("viewer_erased", "b"),
    ]  # fmt: skip


@pytest.mark.parametrize("sentat", [None, 0.0])
def test_a_browser_does_not_decide_about_days_long_past_and_is_told_so(way: Way, sentat: float | None) -> None:
    days = [shown(f"old {day}", -86_400 * day, sentat) for day in (3, 30, 1500, 3000)]
    answer = way.post(*days, shown("recent", -86_400 * 1.9, sentat), key=way.collector.publishable)
    assert (answer["status"], answer["accepted"]) == (202, 1)
    assert [verdict["field"] for verdict in answer["rejected"]] == ["time"] * 4
    assert "more than 48 hours before" in answer["rejected"][0]["reason"]
    assert "secret key" in answer["rejected"][0]["reason"]
    assert way.post(*days)["accepted"] == 4
    days_by_trust = "SELECT trust, count(DISTINCT shown_date)::INT AS days FROM outcomes GROUP BY ALL ORDER BY ALL"
    assert way.rows(days_by_trust) == [
        {"trust": "key", "days": 4}, {"trust": "none", "days": 1},
    ]  # fmt: skip


def test_a_browser_whose_clock_is_years_behind_is_heard(way: Way) -> None:
    behind = -1500 * 86_400
    answer = way.post(shown("i", behind - 5, behind), key=way.collector.publishable)
    assert answer["accepted"] == 1
    assert way.rows("SELECT shown_date::VARCHAR AS day FROM outcomes") == [{"day": "2026-11-02"}]


def test_what_a_browser_says_was_paid_counts_once_a_server_says_so(way: Way) -> None:
    browser = way.collector.publishable
    paid = money("paid", "i", -9, 1e12)
    way.post(shown("i", -60))
    answer = way.post(paid, liked("l", -9), key=browser)
    assert [(warning["index"], "secret key" in warning["reason"]) for warning in answer["warnings"]] == [
        (0, True), (1, False),
    ]  # fmt: skip
    assert way.rows("SELECT purchased, revenue, currency, liked FROM outcomes") == [
        {"purchased": False, "revenue": None, "currency": None, "liked": False}
    ]
    assert way.rows("SELECT order_id, revenue, problem FROM orders") == [
        {"order_id": "order", "revenue": None, "problem": "unconfirmed: only a publishable key has sent it"}
    ]
    way.post(money("confirmed", "i", 0, 20.0), received=60)
    way.post(money("given back", "i", 30, 20.0, kind="refund"), key=browser, received=61)
    assert way.rows("SELECT purchased, revenue FROM outcomes") == [{"purchased": True, "revenue": 20.0}]
    assert way.rows("SELECT order_id, revenue, problem FROM orders") == [
        {"order_id": "order", "revenue": 20.0, "problem": None}
    ]


def offered() -> tuple[dict[str, Any], str]:
    """Returns an impression with the token of its slate, and that token."""
    data = {"impression_id": "i", "clip_id": "c", "viewer_id": "v", "position": 2, "propensity": 0.5}
    expires = int(NOON.timestamp()) + 600
    token = sign_impression(
        "acme", ImpressionData(**data), key_id="t1", secret=TOKEN_SECRET, issued=expires - 600, expires=expires
    )
    return event("impression", "i", -60, None, **data, token=token), token


def test_who_merely_knows_the_id_of_an_impression_cannot_change_what_it_comes_to(way: Way) -> None:
    browser = way.collector.publishable
    impression, token = offered()
    short = sign_answer("acme", "i", key_id="t1", secret=TOKEN_SECRET)
    other = sign_answer("acme", "another", key_id="t1", secret=TOKEN_SECRET)
    way.post(impression, liked("true like", -9, token=token), key=browser)
    way.post(event("watched", "true", -8, None, impression_id="i", watched_ms=5000, token=short), key=browser)
    strange = [
        liked("undo", -5, undone=True), liked("undo again", -4, undone=True, token=other),
        liked("save", -4, undone=False) | {"data": {"impression_id": "i", "reaction": "report", "token": "v2.t1.x.y"}},
        event("watched", "more", -3, None, impression_id="i", watched_ms=90_000, total_ms=90_000),
        event("converted", "click", -2, None, impression_id="i", kind="click"),
    ]  # fmt: skip
    answer = way.post(*strange, key=browser)
    assert (answer["accepted"], answer["rejected"], len(answer["warnings"])) == (5, [], 5)
    assert all("token" in warning["reason"] for warning in answer["warnings"])
    assert way.rows("SELECT trust, liked, reported, watched_ms, total_ms, clicked FROM outcomes") == [
        {
            "trust": "token", "liked": True, "reported": False, "watched_ms": 5000, "total_ms": None, "clicked": False
        }
    ]  # fmt: skip
    assert way.rows("SELECT id, trust FROM reactions ORDER BY id") == [
        {"id": "save", "trust": "unvouched"}, {"id": "true like", "trust": "token"},
        {"id": "undo", "trust": "unvouched"}, {"id": "undo again", "trust": "unvouched"},
    ]  # fmt: skip
    way.post(liked("the platform undoes", 0, undone=True))
    assert way.rows("SELECT liked FROM outcomes") == [{"liked": False}]


def test_a_token_that_is_replayed_counts_once(way: Way) -> None:
    impression, _ = offered()
    short = sign_answer("acme", "i", key_id="t1", secret=TOKEN_SECRET)
    again = [
        impression | {"id": f"shown {n}", "time": (NOON - dt.timedelta(seconds=n)).isoformat()} for n in range(500)
    ]
    for part in range(2):
        shows = [one | {"id": f"{one['id']} {part}"} for one in again]
        likes = [liked(f"like {part} {n}", n - 500, token=short) for n in range(500)]
        for sent in (shows, likes):
            answer = way.post(*sent, key=way.collector.publishable)
            assert (answer["accepted"], answer["warnings"]) == (500, [])
    assert way.rows("SELECT impression_id, trust, liked FROM outcomes") == [
        {"impression_id": "i", "trust": "token", "liked": True}
    ]
    other = impression["data"] | {"impression_id": "another"}
    assert len(way.post(event("impression", "another", 0, **other), key=way.collector.publishable)["warnings"]) == 1
    assert way.rows("SELECT count(*) AS trusted FROM outcomes WHERE trust = 'token'") == [{"trusted": 1}]


def test_answers_to_an_impression_that_nobody_vouches_for_stay_visible(way: Way) -> None:
    way.post(shown("i", -60), liked("l", -9), key=way.collector.publishable)
    assert way.rows("SELECT trust, liked FROM outcomes") == [{"trust": "none", "liked": True}]
