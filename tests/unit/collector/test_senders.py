"""What right senders send that we would not: other spellings, binary mode, traced pages. All of it is stored."""

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from tests.support.sdk_messages import Message, assert_understood, messages
from tests.unit.collector.conftest import Collector

from clapometer.domain import decode_event
from clapometer.domain.events import MAX_SEED

WATCHED = {"impression_id": "i-1", "watched_ms": 8000.0, "total_ms": 1e4}
JSON = "application/json"


def event(collector: Collector, event_id: str = "1", **attributes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/test",
        "type": "clapometer.watched.v1",
        "time": collector.now.isoformat(),
        "data": WATCHED,
        **attributes,
    }


def stored(collector: Collector) -> list[Any]:
    return [decode_event(line) for block in collector.blocks() for line in block.events]


def assert_taken(answer: httpx2.Response) -> None:
    assert answer.status_code == 202, answer.text
    assert answer.json() == {"accepted": 1, "rejected": [], "warnings": []}


@pytest.mark.parametrize("content_type", [JSON, "application/x-ndjson", "text/plain", "application/cloudevents+json"])
@pytest.mark.parametrize("around", [b"\xef\xbb\xbf%s", b"\xef\xbb\xbf%s\r\n\r\n", b"%s\0", b"\r\n%s\r\n \0"])
def test_marks_and_blanks_around_a_body_cost_nothing(collector: Collector, content_type: str, around: bytes) -> None:
    body = json.dumps(event(collector)).encode()
    assert_taken(collector.post(around % body, content_type=content_type))
    (found,) = stored(collector)
    assert (found.data.watched_ms, found.data.total_ms) == (8000, 10_000)


@pytest.mark.parametrize("content_type", [JSON, "application/x-ndjson", "text/plain"])
def test_a_body_in_utf16_is_told_what_it_is(collector: Collector, content_type: str) -> None:
    answer = collector.post(json.dumps([event(collector)]).encode("utf-16"), content_type=content_type)
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the body is UTF-16; send it as UTF-8"


def test_a_clip_is_registered_with_a_mark_nulls_and_whole_floats(collector: Collector) -> None:
    body = {
        "prompt": {"text": "a", "lang": None}, "model": {"name": "m", "version": "1"}, "duration_ms": 3000.0,
        "task": "t2v", "seed": MAX_SEED, "training_allowed": None, "flags": {"ad": None}, "lineage": None,
    }  # fmt: skip
    answer = collector.http.put(
        "/v1/clips/c",
        content=b"\xef\xbb\xbf" + json.dumps(body).encode(),
        headers={"authorization": f"Bearer {collector.secret}", "content-type": JSON},
    )
    assert_taken(answer)
    (found,) = stored(collector)
    assert (found.data.duration_ms, found.data.seed) == (3000, MAX_SEED)


def test_a_registration_is_told_all_that_it_lacks_in_the_words_of_its_route(collector: Collector) -> None:
    headers = {"authorization": f"Bearer {collector.secret}"}
    answer = collector.http.put("/v1/clips/c", json={"prompt": {}, "model": {"name": "m"}}, headers=headers)
    (verdict,) = answer.json()["rejected"]
    assert (answer.status_code, verdict["field"]) == (422, "prompt")
    assert verdict["reason"].endswith("(also missing: model.version, duration_ms, task)")
    answer = collector.http.put("/v1/clips/c", json={}, headers=headers)
    (verdict,) = answer.json()["rejected"]
    lacking = "prompt, model.name, model.version, duration_ms, task"
    assert verdict["reason"] == f"required fields are missing: {lacking}; add them"


def binary(collector: Collector, content_type: str | None, body: bytes | None = None, **more: str) -> httpx2.Response:
    attributes = {name: value for name, value in event(collector).items() if name != "data"}
    headers = {f"ce-{name}": value for name, value in {**attributes, **more}.items()}
    headers |= {"authorization": f"Bearer {collector.secret}"}
    headers |= {} if content_type is None else {"content-type": content_type}
    content = json.dumps(WATCHED).encode() if body is None else body
    return collector.http.post("/v1/events", content=content, headers=headers)


@pytest.mark.parametrize(
    "content_type", [JSON, "Application/JSON; charset=utf-8", "application/vnd.shop+json", "text/json", None]
)
def test_an_event_in_binary_mode_is_taken(collector: Collector, content_type: str | None) -> None:
    assert_taken(binary(collector, content_type, tracestate="a=b", partitionkey="k", sequence="1"))
    (found,) = stored(collector)
    assert (found.id, found.source, found.data.watched_ms) == ("1", "/test", 8000)


def test_attributes_of_binary_mode_are_percent_decoded(collector: Collector) -> None:
    assert_taken(binary(collector, JSON, id=quote("Euro € 😀"), source="/a%20b"))
    (found,) = stored(collector)
    assert (found.id, found.source) == ("Euro € 😀", "/a b")
    answer = binary(collector, JSON, id="%ff")
    assert (answer.status_code, "percent-encode" in answer.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "data.impression_id"),
        (b"{", "data"),
        (b'{},"id":"other"', "data"),
        (b'{"watched_ms":1}', "data.impression_id"),
    ],
)
def test_bad_data_in_binary_mode_is_refused_by_name(collector: Collector, body: bytes, field: str) -> None:
    answer = binary(collector, JSON, body)
    (verdict,) = answer.json()["rejected"]
    assert (answer.status_code, verdict["field"]) == (422, field)
    assert len(collector.dead_letters()) == 1


def test_an_event_in_structured_mode_may_bear_the_headers_of_binary_mode(collector: Collector) -> None:
    headers = {"ce-id": "other", "ce-specversion": "1.0"}
    body = json.dumps(event(collector))
    assert_taken(collector.post(body, content_type="application/cloudevents+json; charset=utf-8", **headers))
    assert collector.stored_ids() == ["1"]


@pytest.mark.parametrize("message", messages("http"), ids=str)
def test_what_the_official_sdks_send_is_taken(collector: Collector, message: Message) -> None:
    headers = [(name.encode(), value) for name, value in message.headers]
    headers.append((b"authorization", f"Bearer {collector.secret}".encode()))
    assert_taken(collector.http.post("/v1/events", content=message.body, headers=headers))
    (found,) = stored(collector)
    assert_understood(found)


TRACERS = (
    "tracestate", "traceparent", "baggage", "sentry-trace", "b3", "x-b3-traceid", "x-b3-spanid", "x-datadog-origin",
    "x-datadog-trace-id", "x-datadog-sampling-priority", "newrelic", "request-id", "X-Of-Tomorrow",
)  # fmt: skip


@pytest.mark.parametrize("origin", ["https://player.example", "https://elsewhere.example"])
def test_a_page_that_is_traced_may_send(collector: Collector, origin: str) -> None:
    asked = collector.http.options(
        "/v1/events",
        headers={
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": ",".join(["authorization", "content-type", *TRACERS]),
        },
    )
    allowed = set(asked.headers["access-control-allow-headers"].split(", "))
    assert {name.lower() for name in TRACERS} | {"authorization", "content-type"} <= allowed
    assert asked.headers["access-control-allow-origin"] == "*"
    assert "access-control-request-headers" in asked.headers["vary"]


@pytest.mark.parametrize("asked", ["*", "a b", "a:b", "é", "x" * 200, "a\x7fb", ", ,"])
def test_a_preflight_names_no_header_that_could_not_be_one(collector: Collector, asked: str) -> None:
    headers = [(b"origin", b"https://p.example"), (b"access-control-request-headers", asked.encode())]
    answer = collector.http.options("/v1/events", headers=headers)
    if answer.status_code == 400:
        return  # the server did not take it for a header
    allowed = answer.headers["access-control-allow-headers"].split(", ")
    assert set(allowed) <= {
        *["authorization", "x-api-key", "content-type", "content-encoding", "traceparent", "tracestate", "*"]
    }


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "text/xml"])
def test_binary_mode_with_a_body_that_is_no_json_is_told_which_type_to_send(
    collector: Collector, content_type: str
) -> None:
    answer = binary(collector, content_type)
    assert answer.status_code == 415
    assert answer.json()["detail"].endswith("has JSON as its body; send content-type: application/json")
