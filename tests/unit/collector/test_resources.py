"""Clips and viewers as resources."""

from collections.abc import Callable
from typing import Any

import httpx2
import msgspec
import pytest
from tests.unit.collector.conftest import Collector

from clapometer.collector import event_examples


def clip(collector: Collector, **changes: Any) -> dict[str, Any]:
    data = {**event_examples(collector.now)["clip_registered"]["data"], **changes}
    del data["clip_id"]
    return data


def send(collector: Collector, method: str, path: str, body: object = None, **headers: str) -> httpx2.Response:
    given = {"authorization": f"Bearer {collector.secret}", "content-type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    content = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    return collector.http.request(method, path, content=content, headers=given)


def stored(collector: Collector) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for block in collector.blocks() for line in block.events]


CLIP = {"prompt": {"text": "a"}, "model": {"name": "m", "version": "1"}, "duration_ms": 3000, "task": "t2v"}


def test_whoever_gives_a_clip_another_prompt_or_model_is_told_at_once(collector: Collector) -> None:
    def put(**changes: object) -> list[str]:
        headers = {"authorization": f"Bearer {collector.secret}"}
        answer = collector.http.put("/v1/clips/changing", json={**CLIP, **changes}, headers=headers).json()
        assert answer["accepted"] == 1
        return [warning["reason"].partition(" before")[0] for warning in answer["warnings"]]

    changed = "this clip was registered with another {}"
    assert put() == []
    assert put() == put(duration_ms=4000) == put(seed=1) == []
    assert put(prompt={"text": "b"}) == [changed.format("prompt")]
    assert put(prompt={"text": "b"}) == []
    assert put(model={"name": "m", "version": "2"}) == [changed.format("prompt and model")]


@pytest.mark.parametrize(
    ("cost", "lost"),
    [({"amount": 0.04}, True), ({"amount": 0, "gpu_seconds": 3}, True), ({"gpu_seconds": 3}, False),
     ({"amount": 0.04, "currency": "USD"}, False), ({"currency": "USD"}, False), (None, False)],
)  # fmt: skip
def test_whoever_says_a_cost_without_its_currency_is_told_at_once(
    collector: Collector, cost: dict[str, object] | None, lost: bool
) -> None:
    answer = send(collector, "PUT", "/v1/clips/priced", {**CLIP, "cost": cost}).json()
    assert answer["accepted"] == 1
    said = [warning["reason"].partition(":")[0] for warning in answer["warnings"]]
    assert said == ["`cost.amount` without `cost.currency`"] * lost


def test_a_clip_that_is_put_becomes_an_event(collector: Collector) -> None:
    answer = send(collector, "PUT", "/v1/clips/clip%209", clip(collector))
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    (event,) = stored(collector)
    assert (event["type"], event["source"]) == ("clapometer.clip_registered.v1", "/v1/clips")
    assert event["data"]["clip_id"] == "clip 9"


def test_the_same_clip_twice_is_one_event_and_a_changed_one_another(collector: Collector) -> None:
    send(collector, "PUT", "/v1/clips/a", clip(collector))
    reordered = dict(reversed(clip(collector).items()))
    send(collector, "PUT", "/v1/clips/a", {**reordered, "clip_id": "a"})
    send(collector, "PUT", "/v1/clips/a", clip(collector, seed=43))
    send(collector, "PUT", "/v1/clips/b", clip(collector))
    send(collector, "PUT", "/v1/clips/a", clip(collector), idempotency_key="back again")
    ids = [event["id"] for event in stored(collector)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4


def test_a_clip_id_in_the_body_has_to_be_that_of_the_path(collector: Collector) -> None:
    answer = send(collector, "PUT", "/v1/clips/a", {**clip(collector), "clip_id": "b"})
    assert answer.status_code == 422
    assert answer.json()["rejected"][0]["field"] == "clip_id"


@pytest.mark.parametrize(
    ("change", "field"),
    [({"duration_ms": 0}, "duration_ms"), ({"model": {"name": "m"}}, "model.version"), ({"colour": 1}, "colour")],
)
def test_a_bad_clip_is_refused_with_the_field_and_kept_as_dead_letter(
    collector: Collector, change: dict[str, Any], field: str
) -> None:
    answer = send(collector, "PUT", "/v1/clips/a", clip(collector, **change))
    assert answer.status_code == 422
    assert answer.json()["rejected"][0]["field"] == field
    assert len(collector.dead_letters()) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"5", b"{", b'{"a":NaN}', b"[" * 5_000, b'{"clip_id":\xff}'])
def test_a_body_that_is_no_object_is_refused(collector: Collector, body: bytes) -> None:
    assert send(collector, "PUT", "/v1/clips/a", body).status_code == 422
    assert collector.blocks() == []


def test_a_clip_is_withdrawn(collector: Collector) -> None:
    answer = send(collector, "POST", "/v1/clips/a/withdrawal", {"reason": "rights", "scope": "duplicates"})
    assert answer.status_code == 202
    assert stored(collector)[0]["data"] == {"clip_id": "a", "reason": "rights", "scope": "duplicates"}


def test_a_viewer_is_erased_and_may_be_again(collector: Collector) -> None:
    for _ in range(2):
        assert send(collector, "DELETE", "/v1/viewers/v%2D1").status_code == 202
    first, second = stored(collector)
    assert first["data"] == second["data"] == {"viewer_id": "v-1"}
    assert first["id"] != second["id"]


def test_an_idempotency_key_makes_two_tries_one_event(collector: Collector) -> None:
    for _ in range(2):
        send(collector, "DELETE", "/v1/viewers/v", idempotency_key="try-7")
    assert len({event["id"] for event in stored(collector)}) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/clips/a"), ("POST", "/v1/clips/a/withdrawal"), ("DELETE", "/v1/viewers/v")],
)
def test_a_publishable_key_may_not(collector: Collector, method: str, path: str) -> None:
    answer = send(collector, method, path, {}, authorization=f"Bearer {collector.publishable}")
    assert answer.status_code == 403
    assert "secret key" in answer.json()["detail"]
    assert send(collector, method, path, {}, authorization="Bearer x").status_code == 401
    assert collector.blocks() == []


def test_a_path_that_is_not_there_is_a_problem_too(collector: Collector) -> None:
    answer = collector.http.get("/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert collector.http.put("/healthz").status_code == 405


def test_a_clip_of_two_megabytes_is_refused(collector: Collector) -> None:
    assert send(collector, "PUT", "/v1/clips/a", b" " * 2_000_000).status_code == 413


def test_a_clip_has_to_be_json(collector: Collector) -> None:
    assert send(collector, "PUT", "/v1/clips/a", clip(collector), content_type="text/plain").status_code == 415


@pytest.mark.parametrize(("spelt", "name"), [("kite%2F9", "kite/9"), ("a%0Ab%0A", "a\nb\n"), ("%F0%9F%92%A5", "💥")])
def test_ids_with_slashes_and_line_breaks_are_ids(collector: Collector, spelt: str, name: str) -> None:
    assert send(collector, "PUT", f"/v1/clips/{spelt}", clip(collector)).status_code == 202
    body = {"reason": "rights", "scope": "clip"}
    assert send(collector, "POST", f"/v1/clips/{spelt}/withdrawal", body).status_code == 202
    assert send(collector, "DELETE", f"/v1/viewers/{spelt}").status_code == 202
    ids = [event["data"].get("clip_id", event["data"].get("viewer_id")) for event in stored(collector)]
    assert ids == [name, name, name]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_withdrawal_is_posted_and_no_clip_of_that_name(collector: Collector, method: str) -> None:
    answer = send(collector, method, "/v1/clips/a/withdrawal", {})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_one_idempotency_key_for_two_viewers_erases_both_or_says_so(collector: Collector) -> None:
    answers = [
        send(collector, "DELETE", f"/v1/viewers/{viewer}", idempotency_key="request 7") for viewer in ("a", "b", "a")
    ]
    assert [answer.status_code for answer in answers] == [202, 409, 202]
    assert "Idempotency-Key" in answers[1].json()["detail"]
    assert [event["data"]["viewer_id"] for event in stored(collector)] == ["a", "a"]


def test_requests_with_one_idempotency_key_are_different_events_to_another_collector_too(
    start: Callable[..., Collector],
) -> None:
    ids = set()
    for viewer in ("a", "b"):
        collector = start()
        send(collector, "DELETE", f"/v1/viewers/{viewer}", idempotency_key="request 7")
        ids |= {event["id"] for event in stored(collector)}
    assert len(ids) == 2


@pytest.mark.parametrize("change", [{"reason": "other"}, {"scope": "descendants"}])
def test_an_idempotency_key_is_bound_to_what_was_asked(collector: Collector, change: dict[str, str]) -> None:
    asked = {"reason": "rights", "scope": "clip"}
    first, again, other = (
        send(collector, "POST", "/v1/clips/a/withdrawal", body, idempotency_key="k")
        for body in (asked, asked, asked | change)
    )
    assert [first.status_code, again.status_code, other.status_code] == [202, 202, 409]
    elsewhere = send(collector, "PUT", "/v1/clips/a", clip(collector), idempotency_key="k")
    assert elsewhere.status_code == 409
    assert len({event["id"] for event in stored(collector)}) == 1


@pytest.mark.parametrize("source", ["/v1/clips", "/v1/viewers"])
@pytest.mark.parametrize("key", ["secret", "publishable"])
def test_the_sources_of_our_own_routes_are_nobody_elses(collector: Collector, source: str, key: str) -> None:
    good = event_examples(collector.now)["watched"]
    answer = collector.post([{**good, "source": source}, good], x_api_key=getattr(collector, key))
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    (verdict,) = answer.json()["rejected"]
    assert (verdict["index"], verdict["field"]) == (0, "source")
    assert "source of your own" in verdict["reason"]
