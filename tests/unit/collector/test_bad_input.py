"""Every kind of bad input: the status, the verdict that names index, id, field and fix, and the others stored."""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
import zstandard
from tests.unit.collector.conftest import Collector

GOOD = {"impression_id": "i-1", "reaction": "like"}
IMPRESSION = {"impression_id": "i-1", "clip_id": "c-1", "viewer_id": "v-1"}


def event(collector: Collector, event_id: str = "bad", name: str = "reacted", **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": "/test",
        "type": f"clapometer.{name}.v1",
        "time": collector.now.isoformat().replace("+00:00", "Z"),
        "data": data or GOOD,
    }


def between_good_ones(collector: Collector, bad: str | bytes) -> httpx2.Response:
    """Posts ``bad`` as the second of three events, the others being good."""
    raw = bad.encode("utf-8", "surrogatepass") if isinstance(bad, str) else bad
    first, last = (json.dumps(event(collector, event_id)).encode() for event_id in ("first", "last"))
    return collector.post(b"[" + first + b"," + raw + b"," + last + b"]")


def assert_one_refused(
    collector: Collector, answer: httpx2.Response, field: str, reason: str, event_id: str | None = "bad"
) -> None:
    assert answer.status_code == 202, answer.text
    body = answer.json()
    assert body["accepted"] == 2
    (verdict,) = body["rejected"]
    assert verdict["index"] == 1
    assert verdict["id"] == event_id
    assert verdict["field"] == field
    assert reason in verdict["reason"]
    assert collector.stored_ids() == ["first", "last"]
    (letter,) = collector.dead_letters()
    assert (letter.get("id"), letter["reason"]) == (event_id, verdict["reason"])


WRONG_DATA: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a wrong type": ("reacted", {**GOOD, "reaction": 5}, "data.reaction", "send a string"),
    "a wrong value": ("reacted", {**GOOD, "reaction": "lik"}, "data.reaction", "send one of comment, dislike"),
    "an unknown field": ("reacted", {**GOOD, "emoji": "x"}, "data.emoji", "remove it or correct its name"),
    "a missing field": ("reacted", {"reaction": "like"}, "data.impression_id", "add it"),
    "an empty id": ("reacted", {"impression_id": "", "reaction": "like"}, "data.impression_id", "at least 1"),
    "negative watch time": ("watched", {"impression_id": "i", "watched_ms": -1}, "data.watched_ms", "at least 0"),
    "watch time longer than any clip": (
        "watched", {"impression_id": "i", "watched_ms": 21_600_001}, "data.watched_ms", "loops go into total_ms",
    ),
    "no watch time": ("watched", {"impression_id": "i"}, "data", "give `watched_ms`"),
    "a segment that ends before it starts": (
        "watched", {"impression_id": "i", "played_segments": [[9, 3]]}, "data", "write [start_ms, end_ms]",
    ),
    "propensity 0": ("impression", {**IMPRESSION, "propensity": 0}, "data.propensity", "leave it out if unknown"),
    "propensity above 1": ("impression", {**IMPRESSION, "propensity": 1.5}, "data.propensity", "at most 1"),
    "a value without currency": ("converted", {"impression_id": "i", "kind": "purchase", "value": 3}, "data", "EUR"),
    "an unknown event type": ("like", GOOD, "type", "send one of clapometer.clip_registered.v1"),
    "a huge integer": ("impression", {**IMPRESSION, "position": 10**30}, "data.position", "at most 10000"),
    "U+0000": ("reacted", {**GOOD, "impression_id": "a\0b"}, "data.impression_id", "leave it out"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_DATA)
def test_an_event_with_wrong_data_is_named_and_does_not_cost_the_others(collector: Collector, case: str) -> None:
    name, data, field, reason = WRONG_DATA[case]
    answer = between_good_ones(collector, json.dumps(event(collector, "bad", name, **data)))
    assert_one_refused(collector, answer, field, reason)


WRONG_ENVELOPE: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str, str | None]] = {
    "no id": (lambda e: e.pop("id"), "id", "add it", None),
    "an id that is a number": (lambda e: e.update(id=5), "id", "send a string", None),
    "no type": (lambda e: e.pop("type"), "type", "add it", "bad"),
    "an unknown attribute": (lambda e: e.update(Colour="red"), "Colour", "remove it", "bad"),
    "another CloudEvents version": (lambda e: e.update(specversion="0.3"), "specversion", "send one of 1.0", "bad"),
    "a naive time": (lambda e: e.update(time="2026-01-01T00:00:00"), "time", "end it with Z", "bad"),
    "no time at all": (lambda e: e.update(time="yesterday"), "time", "write it as in 2026", "bad"),
    "a time far in the future": (lambda e: e.update(time="2199-01-01T00:00:00Z"), "time", "sender's clock", "bad"),
    "a time far in the past": (lambda e: e.update(time="1999-01-01T00:00:00Z"), "time", "sender's clock", "bad"),
    "a sender's clock from the year 1": (
        lambda e: e.update(sentat="0001-01-01T00:00:00+23:59"), "time", "sender's clock", "bad",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_ENVELOPE)
def test_an_event_with_a_wrong_envelope_is_named_and_does_not_cost_the_others(collector: Collector, case: str) -> None:
    change, field, reason, event_id = WRONG_ENVELOPE[case]
    bad = event(collector)
    change(bad)
    assert_one_refused(collector, between_good_ones(collector, json.dumps(bad)), field, reason, event_id)


WRONG_BYTES: dict[str, tuple[bytes, str, str]] = {
    "NaN": (b"NaN", "data.impression_id", "NaN and Infinity are not JSON; leave the field out"),
    "Infinity": (b"-Infinity", "data.impression_id", "NaN and Infinity are not JSON"),
    "a lone surrogate": (b'"\\ud800"', "data.impression_id", "send the whole character or leave it out"),
    "an encoded surrogate": (b'"\xed\xa0\x80"', "data.impression_id", "encode the text as UTF-8"),
    "invalid UTF-8": (b'"\xff"', "data.impression_id", "encode the text as UTF-8"),
    "an integer of 5,000 digits": (b"9" * 5_000, "data.impression_id", "64 bits"),
    "a number beyond all floats": (b"1e999", "data.impression_id", "64 bits"),
    "17 levels": (b"[" * 17 + b"]" * 17, "", "nested deeper than 16 levels"),
    "100,000 levels": (b"[" * 100_000 + b"]" * 100_000, "", "nested deeper than 16 levels"),
    "a control character": (b'"\x01"', "", "write it with a JSON library"),
    "a bare word": (b"like", "", "write it with a JSON library"),
}


@pytest.mark.parametrize("case", WRONG_BYTES)
def test_an_event_that_is_no_json_is_named_and_does_not_cost_the_others(collector: Collector, case: str) -> None:
    value, field, reason = WRONG_BYTES[case]
    bad = json.dumps(event(collector)).encode().replace(b'"i-1"', value)
    assert_one_refused(collector, between_good_ones(collector, bad), field, reason)


def test_a_key_given_twice_counts_once_and_is_stored_once(collector: Collector) -> None:
    body = json.dumps(event(collector)).replace('"id": "bad"', '"id":"one","id":"two"')
    assert collector.post(f"[{body}]").json() == {"accepted": 1, "rejected": [], "warnings": []}
    (line,) = collector.blocks()[0].events
    assert line.count(b'"id"') == 1
    assert collector.stored_ids() == ["two"]


def test_the_text_of_an_escape_for_u0000_is_no_u0000(collector: Collector) -> None:
    bad = json.dumps(event(collector)).replace("i-1", "a\\\\u0000")
    assert collector.post(f"[{bad}]").json()["accepted"] == 1


UNREADABLE = {
    "an empty body": (b"", "empty"),
    "blanks": (b" \n", "empty"),
    "no JSON": (b"likes=5", "neither a CloudEvent object nor an array"),
    "an array cut short": (b'[{"id":"a"},{"id"', "cut short"),
    "something after the array": (b"[]]", "cut short or does not close"),
    "a number": (b"5", "neither a CloudEvent object nor an array"),
    "a byte order mark and nothing": (b"\xef\xbb\xbf\r\n\0", "empty"),
    "UTF-16": ("[{}]".encode("utf-16"), "UTF-16; send it as UTF-8"),
    "a million brackets": (b"[" * 1_000_000, "cut short"),
    "a string that never ends": (b'["' + b'\\"' * 400_000, "cut short"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_body_in_which_no_event_can_be_found_is_a_problem_and_leaves_nothing(collector: Collector, case: str) -> None:
    body, detail = UNREADABLE[case]
    answer = collector.post(body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["title"], problem["status"]) == ("Unprocessable Entity", 422)
    assert detail in problem["detail"]
    assert collector.blocks() == []


def test_where_every_event_is_bad_the_status_is_422_with_verdicts_and_dead_letters(collector: Collector) -> None:
    answer = collector.post([{"id": "a"}, {"id": "b", "type": "x"}])
    assert answer.status_code == 422
    assert [(v["index"], v["id"], v["field"]) for v in answer.json()["rejected"]] == [
        (0, "a", "type"),
        (1, "b", "type"),
    ]
    assert [letter["id"] for letter in collector.dead_letters()] == ["a", "b"]
    assert collector.stored_ids() == []


def test_an_empty_array_is_a_batch_of_no_events(collector: Collector) -> None:
    answer = collector.post(b"[]")
    assert (answer.status_code, answer.json()["accepted"]) == (202, 0)
    assert collector.blocks() == []


def test_a_body_of_two_megabytes_is_refused_before_it_is_read(collector: Collector) -> None:
    answer = collector.post(b"[" + b" " * 2_000_000 + b"]")
    assert answer.status_code == 413
    assert "split it into several requests" in answer.json()["detail"]
    assert collector.post([event(collector)]).status_code == 202


def test_a_chunked_body_is_cut_off_at_the_limit(collector: Collector) -> None:
    def pieces() -> Any:
        for _ in range(40):
            yield b" " * 50_000

    headers = {"authorization": f"Bearer {collector.secret}", "content-type": "application/json"}
    assert collector.http.post("/v1/events", content=pieces(), headers=headers).status_code == 413


def test_a_chunked_body_within_the_limit_is_taken(collector: Collector) -> None:
    body = json.dumps([event(collector, str(n)) for n in range(400)]).encode()
    headers = {"authorization": f"Bearer {collector.secret}", "content-type": "application/json"}
    chunks = (body[at : at + 7_000] for at in range(0, len(body), 7_000))
    assert collector.http.post("/v1/events", content=chunks, headers=headers).json()["accepted"] == 400
    assert "clapometer_collector_held_bytes 0.0" in collector.http.get("/metrics").text


@pytest.mark.parametrize("content_type", ["application/json", "application/x-ndjson"])
def test_501_events_are_refused_with_the_number_to_split_at(collector: Collector, content_type: str) -> None:
    events = [event(collector, str(n)) for n in range(501)]
    lines = "\n".join(map(json.dumps, events)) if "nd" in content_type else json.dumps(events)
    answer = collector.post(lines, content_type=content_type)
    assert answer.status_code == 413
    assert "split the array and send at most 500" in answer.json()["detail"]
    assert collector.blocks() == []


def test_500_events_are_taken(collector: Collector) -> None:
    assert collector.post([event(collector, str(n)) for n in range(500)]).json()["accepted"] == 500


def test_501_events_one_of_which_is_no_json_are_refused_too(collector: Collector) -> None:
    assert collector.post(b"[" + b"NaN," * 500 + b"{}]").status_code == 413


def zstd_without_size(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(body)


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("zstd", zstandard.compress), ("zstd", zstd_without_size)],
)
def test_a_bomb_is_refused_without_unpacking_it(
    collector: Collector, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    answer = collector.post(compress(b"[" + b" " * 50_000_000 + b"]"), content_encoding=encoding)
    assert answer.status_code == 413
    assert "20 times its compressed size" in answer.json()["detail"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_compressed_body_that_is_cut_broken_or_followed_by_more_is_refused(
    collector: Collector, encoding: str
) -> None:
    compress = gzip.compress if encoding == "gzip" else zstandard.compress
    whole = compress(json.dumps([event(collector)]).encode())
    for body in (whole[:-3], whole[:5], b"not compressed at all", whole + b"more", whole + whole):
        answer = collector.post(body, content_encoding=encoding)
        assert answer.status_code == 422, body
        assert f"not one whole {encoding} stream" in answer.json()["detail"]
    assert collector.blocks() == []


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "rot13"])
def test_an_encoding_that_is_not_ours_is_refused_with_those_that_are(collector: Collector, encoding: str) -> None:
    answer = collector.post(zlib.compress(b"[]"), content_encoding=encoding)
    assert answer.status_code == 415
    assert answer.headers["accept-encoding"] == "gzip, zstd, identity"


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/html", "application/json; charset=utf-16", "", "json"]
)
def test_a_content_type_that_is_not_ours_is_refused(collector: Collector, content_type: str) -> None:
    answer = collector.post([event(collector)], content_type=content_type)
    assert answer.status_code == 415
    assert collector.blocks() == []


def test_a_beacon_may_be_64_kib_at_most(collector: Collector) -> None:
    small = json.dumps([event(collector)]).encode()
    assert collector.post(small, content_type="text/plain").status_code == 202
    assert collector.post(small + b" " * 65_536, content_type="text/plain").status_code == 413
