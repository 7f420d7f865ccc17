"""Who may send what, and how far impressions are believed."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.unit.collector.conftest import TOKEN_SECRET, Collector
from tests.unit.collector.test_bad_input import IMPRESSION, event

from clapometer.domain import sign_answer, sign_impression
from clapometer.domain.events import ImpressionData
from clapometer.gate import Rates

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def signed(
    collector: Collector, event_id: str, *, seconds: float = 3_600, tenant: str = "acme", **more: Any
) -> dict[str, Any]:
    """Returns an impression with the token that its slate gave."""
    data: dict[str, Any] = {**IMPRESSION, "impression_id": event_id, "position": 2, "propensity": 0.25, **more}
    expires = int(collector.now.timestamp() + seconds)
    token = sign_impression(
        tenant, msgspec.convert(data, ImpressionData), key_id="t1", secret=TOKEN_SECRET,
        issued=int(collector.now.timestamp()), expires=expires,
    )  # fmt: skip
    return event(collector, event_id, "impression", **data, token=token)


def publishable(collector: Collector) -> dict[str, str]:
    return {"authorization": f"Bearer {collector.publishable}"}


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": "cpk_wrong"},
        {"x_api_key": ""},
        {"authorization": "Basic dTpw"},
        {"authorization": "Bearer"},
        {"x_api_key": "csk__"},
    ],
)
def test_a_wrong_key_is_refused_with_how_to_send_one(collector: Collector, headers: dict[str, str]) -> None:
    answer = collector.post([event(collector)], **headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "Authorization: Bearer" in answer.json()["detail"]
    assert collector.blocks() == []


def test_a_request_without_a_key_is_refused(collector: Collector) -> None:
    assert collector.http.post("/v1/events", content=b"[]").status_code == 401


def test_an_expired_key_is_refused(collector: Collector) -> None:
    assert collector.post([event(collector)], x_api_key=collector.stale).status_code == 401


def test_a_key_whose_last_character_differs_is_refused(collector: Collector) -> None:
    wrong = collector.secret[:-1] + ("A" if collector.secret[-1] != "A" else "B")
    assert collector.post([event(collector)], x_api_key=wrong).status_code == 401


def test_a_publishable_key_cannot_pass_for_a_secret_one(collector: Collector) -> None:
    disguised = collector.publishable.replace("cpk_", "csk_")
    assert collector.post([event(collector)], x_api_key=disguised).status_code == 401


def test_two_different_keys_in_one_request_are_refused(collector: Collector) -> None:
    headers = {"x_api_key": collector.publishable, "authorization": f"Bearer {collector.secret}"}
    assert collector.post([event(collector)], **headers).status_code == 400


def test_a_beacon_bears_its_key_in_the_address(collector: Collector) -> None:
    body = json.dumps([event(collector)])
    answer = collector.http.post(
        f"/v1/events?key={collector.publishable}", content=body, headers={"content-type": "text/plain"}
    )
    assert answer.json()["accepted"] == 1


def test_a_secret_key_in_the_address_is_refused(collector: Collector) -> None:
    answer = collector.http.post(f"/v1/events?key={collector.secret}", content=b"[]")
    assert answer.status_code == 401
    assert "must not be in an address" in answer.json()["detail"]


def test_a_publishable_key_sends_what_browsers_send_and_nothing_else(collector: Collector) -> None:
    erased = event(collector, "erase", "viewer_erased", viewer_id="v-1")
    answer = collector.post(
        [event(collector, "one"), erased, {"id": "bad"}, event(collector, "two")], **publishable(collector)
    )
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    assert [(v["index"], v["id"], v["field"]) for v in answer.json()["rejected"]] == [
        (1, "erase", "type"),
        (2, "bad", "type"),
    ]
    assert "with a secret key" in answer.json()["rejected"][0]["reason"]
    assert collector.stored_ids() == ["one", "two"]
    assert [letter["id"] for letter in collector.dead_letters()] == ["erase", "bad"]


def test_where_the_key_may_send_none_of_the_events_the_status_is_403(collector: Collector) -> None:
    answer = collector.post([event(collector, "erase", "viewer_erased", viewer_id="v-1")], **publishable(collector))
    assert (answer.status_code, len(answer.json()["rejected"])) == (403, 1)


def test_a_secret_key_vouches_for_its_impressions(collector: Collector) -> None:
    collector.post([event(collector, "a", "impression", **IMPRESSION, token="nonsense")])
    header = collector.blocks()[0].header
    assert (header.trust, header.exceptions, header.tenant) == ("key", {}, "acme")


def test_the_token_decides_how_far_an_impression_of_a_publishable_key_is_believed(collector: Collector) -> None:
    forged = signed(collector, "forged")
    forged["data"]["propensity"] = 0.01
    events = [
        signed(collector, "good"),
        {"id": "bad"},
        forged,
        signed(collector, "late", seconds=-1),
        event(collector, "none", "impression", **IMPRESSION),
        event(collector, "like"),
        signed(collector, "also good"),
        signed(collector, "other tenant", tenant="rival"),
    ]
    answer = collector.post(events, **publishable(collector)).json()
    assert answer["accepted"] == 7
    assert [(w["index"], w["id"]) for w in answer["warnings"]] == [
        (2, "forged"), (3, "late"), (4, "none"), (5, "like"), (7, "other tenant"),
    ]  # fmt: skip
    assert all("stored, weighs 0" in w["reason"] for w in answer["warnings"])
    header = collector.blocks()[0].header
    trusts = {collector.stored_ids()[index]: trust for index, trust in header.exceptions.items()}
    assert header.key_id == collector.key_id
    named = ("good", "also good", "forged", "other tenant", "late", "none")
    assert {**dict.fromkeys(named, header.trust), **trusts} == {
        "good": "token", "also good": "token", "forged": "forged", "other tenant": "forged", "late": "expired",
        "none": "none", "like": "unvouched",
    }  # fmt: skip
    counted = collector.http.get("/metrics").text
    assert 'events_total{verdict="forged"} 2.0' in counted
    assert 'events_total{verdict="expired"} 1.0' in counted
    assert 'events_total{verdict="none"} 1.0' in counted


def test_whoever_sends_no_token_is_told_so_at_once(collector: Collector) -> None:
    answer = collector.post(event(collector, "bare", "impression", **IMPRESSION), **publishable(collector)).json()
    (warning,) = answer["warnings"]
    assert (warning["index"], warning["id"]) == (0, "bare")
    assert warning["reason"].startswith("it bears no token: stored, weighs 0; send the token")
    assert collector.post(event(collector, "server", "impression", **IMPRESSION)).json()["warnings"] == []


def test_a_token_holds_however_the_numbers_that_it_covers_are_spelt(collector: Collector) -> None:
    shown = signed(collector, "spelt")
    body = json.dumps([shown])
    body = body.replace('"position": 2', '"position": 2e0').replace('"propensity": 0.25', '"propensity": 25e-2')
    assert ("2e0" in body, "25e-2" in body) == (True, True)
    assert collector.post(body, **publishable(collector)).json() == {"accepted": 1, "rejected": [], "warnings": []}
    assert collector.blocks()[0].header.trust == "token"


def test_a_replayed_token_vouches_for_no_other_impression(collector: Collector) -> None:
    first = signed(collector, "first")
    replay = signed(collector, "second")
    replay["data"]["token"] = first["data"]["token"]
    answer = collector.post([first, replay], **publishable(collector)).json()
    assert [w["id"] for w in answer["warnings"]] == ["second"]


def test_an_impression_is_of_the_surface_experiment_and_session_that_its_slate_was_asked_for(
    collector: Collector,
) -> None:
    arm = {"id": "e", "variant": "a"}
    asked = {"surface": "feed", "experiment": [arm], "session_id": "s"}
    changes: list[dict[str, Any]] = [
        {}, {"surface": "search"}, {"surface": None}, {"experiment": [arm | {"variant": "b"}]}, {"experiment": []},
        {"session_id": "another"},
    ]  # fmt: skip
    events = [signed(collector, f"e{place}", **asked) for place in range(len(changes))]
    for one, change in zip(events, changes, strict=True):
        one["data"] |= change
    answer = collector.post(events, **publishable(collector)).json()
    assert [warning["id"] for warning in answer["warnings"]] == ["e1", "e2", "e3", "e4", "e5"]
    assert all("is not that of its slate: stored, weighs 0" in warning["reason"] for warning in answer["warnings"])
    (block,) = collector.blocks()
    assert [block.header.exceptions.get(n, block.header.trust) for n in range(6)] == ["token", *["misplaced"] * 5]
    assert 'events_total{verdict="misplaced"} 5.0' in collector.http.get("/metrics").text


def test_an_impression_is_not_of_another_day_than_its_slate(collector: Collector) -> None:
    def at(hours: float, sent: float | None = None) -> dict[str, Any]:
        one = signed(collector, f"{hours} {sent}", seconds=86_400)
        for name, moved in (("time", hours), ("sentat", sent)):
            if moved is not None:
                one[name] = (collector.now + dt.timedelta(hours=moved)).isoformat()
        return one

    honest = [at(0), at(0, 0), at(-30, -30), at(20, 20), at(-0.5, 0)]
    moved = [at(-24), at(-24, 0), at(-2, 0), at(20), at(20, 0), at(-40, -30)]
    answer = collector.post([*honest, *moved], **publishable(collector)).json()
    assert (answer["accepted"], answer["rejected"]) == (len(honest) + len(moved), [])
    assert [warning["id"] for warning in answer["warnings"]] == [one["id"] for one in moved]
    (block,) = collector.blocks()
    assert set(block.header.exceptions.values()) | {block.header.trust} == {"token", "mistimed"}


@pytest.mark.parametrize("token", ["", "v1", "v1.t1.1.é", "v1.t1.٣.x", "v1.t2.9.x", "v1.t1.9." + "x" * 900, "...."])
def test_a_token_that_is_nonsense_is_forged(collector: Collector, token: str) -> None:
    answer = collector.post([event(collector, "a", "impression", **IMPRESSION, token=token)], **publishable(collector))
    assert [w["id"] for w in answer.json()["warnings"]] == ["a"]


def test_a_key_that_sends_too_much_waits(start: Callable[..., Collector]) -> None:
    collector = start(gate={"rates": Rates({"secret": "20 per 10 seconds", "publishable": None, "address": None})})
    assert collector.post([event(collector, str(n)) for n in range(100)]).status_code == 202
    answer = collector.post([event(collector)])
    assert answer.status_code == 429
    assert 8 <= int(answer.headers["retry-after"]) <= 11
    assert collector.post([event(collector)], **publishable(collector)).status_code == 202


def test_requests_that_hold_no_event_count_as_well(start: Callable[..., Collector]) -> None:
    collector = start(gate={"rates": Rates({"secret": "3/hour"})})
    assert [collector.post("nonsense").status_code for _ in range(4)] == [422, 422, 422, 429]


def test_an_address_that_tries_keys_waits(start: Callable[..., Collector]) -> None:
    collector = start(gate={"rates": Rates({"address": "5/hour"})})
    found = [collector.post([event(collector)], x_api_key=f"csk_guess_{n}").status_code for n in range(6)]
    assert found == [401] * 5 + [429]
    answer = collector.http.put("/v1/clips/c", json={}, headers={"x-api-key": collector.secret})
    assert answer.status_code == 429
    assert collector.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("key", ["secret", "publishable"])
def test_an_id_that_comes_twice_with_other_data_is_told_at_once(collector: Collector, key: str) -> None:
    def undone(id: str, value: bool) -> dict[str, Any]:
        return event(collector, id, "reacted", impression_id="i", reaction="like", undone=value)

    events = [undone("same", True), undone("twice", False), {"id": "bad"}, undone("same", True), undone("twice", True)]
    answer = collector.post(events, x_api_key=getattr(collector, key)).json()
    assert answer["accepted"] == 4
    told = [(warning["index"], warning["id"]) for warning in answer["warnings"] if "of its own" in warning["reason"]]
    assert told == [(4, "twice")]


def test_erasures_with_one_id_are_both_done_and_need_no_word(collector: Collector) -> None:
    events = [event(collector, "same", "viewer_erased", viewer_id=viewer) for viewer in ("a", "b")]
    assert collector.post(events).json() == {"accepted": 2, "rejected": [], "warnings": []}


def test_a_vote_of_a_publishable_key_quotes_the_tokens_of_both_impressions(collector: Collector) -> None:
    def vote(id_: str, **tokens: str) -> dict[str, Any]:
        ids = {"left_impression_id": "one", "right_impression_id": "two", "result": "left"}
        return event(collector, id_, "voted", **ids, **tokens)

    def token(impression_id: str, tenant: str = "acme") -> str:
        return sign_answer(tenant, impression_id, key_id="t1", secret=TOKEN_SECRET)

    both = {"left_token": token("one"), "right_token": token("two")}
    votes = [
        vote("good", **both),
        vote("whole tokens", left_token=signed(collector, "one")["data"]["token"], right_token=both["right_token"]),
        vote("bare"),
        vote("half", left_token=token("one")),
        vote("swapped", left_token=token("two"), right_token=token("one")),
        vote("other tenant", left_token=token("one", "rival"), right_token=token("two", "rival")),
    ]
    answer = collector.post(votes, **publishable(collector)).json()
    assert [warning["id"] for warning in answer["warnings"]] == ["bare", "half", "swapped", "other tenant"]
    header = collector.blocks()[0].header
    found = [header.exceptions.get(index, header.trust) for index in range(len(votes))]
    assert found == ["token", "token", *["unvouched"] * 4]
