"""Requests that nobody should send: mutations of good ones, and whatever hypothesis makes of their grammar."""

import datetime as dt
import gzip
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

import zstandard
from hypothesis import strategies as st
from tests.fuzz.wire import Asked

from clapometer.collector import event_examples

EVENTS, CLIP, WITHDRAWAL = "/v1/events", "/v1/clips/{clip_id}", "/v1/clips/{clip_id}/withdrawal"
VIEWER = "/v1/viewers/{viewer_id}"
SERVED = ("/v1/slates", "/v1/sessions")
"""What serving answers; all else is the collector's."""

MEDIA = (
    b"application/json", b"application/cloudevents+json", b"application/cloudevents-batch+json",
    b"application/x-ndjson", b"application/ndjson", b"text/plain", b"application/json; charset=utf-8",
    b"application/json;charset=latin-1", b"text/html", b"", b"APPLICATION/JSON ; x=y", b"application/json;;;=",
)  # fmt: skip
ENCODINGS = (None, None, None, b"gzip", b"zstd", b"identity", b"br", b"gzip, gzip", b"GZIP", b" zstd ")
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 1e308, -1e-320, 2**31, 2**53, 2**63, 2**64, 10**40, "", " ", "x", "\x00",
    "é" * 300,
    "\ud800", "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "NaN", [], {}, [[]],
    {"": ""}, [None], "a" * 5_000, "💥", "../../etc/passwd", "' OR 1=1 --", "v1.t1.9." + "x" * 60,
)  # fmt: skip
ODD_BYTES = (
    b"", b"[", b"]", b"{", b"{}", b"[]", b"[[]]", b"[{}]", b"null", b"1", b'"', b"\xff\xfe", b"\xef\xbb\xbf[]", b"\x00",
    b"[" * 2_000, b'{"a":' * 500, b'"\\ud800"', b"1e999", b"-", b"NaN", b"[1,]", b"\n\n\n", b"{}\n{}", b"\r\n",
    b"0" * 400,
    b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"\xc0\x80", b"\xed\xa0\x80", b"{\"a\":1,\"a\":2}",
)  # fmt: skip
JUNK_HEADERS = (
    (b"traceparent", b"00-zz"), (b"origin", b"https://evil.example"), (b"idempotency-key", b"\xe9" * 20),
    (b"content-digest", b"sha-256=:AAAA:"), (b"signature", b"a=:AAAA:"), (b"signature-input", b'a=();keyid="x"'),
    (b"expect", b"nonsense"), (b"x-api-key", b"cpk_nobody"), (b"cookie", b"a=b"), (b"accept-encoding", b"gzip"),
    (b"content-type", b"text/plain"), (b"signature-input", b"\xe9;;;"), (b"content-digest", b"\xe9"),
    (b"clapometer-voucher", b"s1.t1.9.e30.\xe9"), (b"clapometer-voucher", b"...."),
)  # fmt: skip
_BASICS: tuple[dict[str, Any], ...] = (
    {"candidates": ["a", "b", "c"], "viewer_id": "v", "slots": 2, "surface": "feed", "policy": "uniform"},
    {"candidates": ["a", "b"], "viewer_id": "v", "experiment": [{"id": "e", "variant": "x"}]},
    {"reason": "rights", "scope": "duplicates"},
)


@dataclass(frozen=True)
class Keys:
    """What requests may bear; one that does not exist is among them."""

    secret: str
    publishable: str
    wrong: str = "csk_0000_nobody"

    def header(self, random: Random) -> tuple[tuple[bytes, bytes], ...]:
        """Returns the headers of some key, mostly the secret one."""
        key = random.choices((self.secret, self.publishable, self.wrong, None), (20, 8, 1, 1))[0]
        return () if key is None else ((b"authorization", b"Bearer " + key.encode()),)


class Mutator:
    """Makes requests out of good ones, the same again for the same seed; ``corpus`` are bodies that others found."""

    def __init__(self, keys: Keys, seed: int, corpus: Sequence[bytes] = ()) -> None:
        self._random = Random(seed)
        self._keys = keys
        self._events = list(event_examples(dt.datetime.now(dt.UTC)).values())
        self._corpus = list(corpus)

    def request(self) -> Asked:
        """Returns the next request."""
        random = self._random
        operation = random.choices((EVENTS, CLIP, WITHDRAWAL, VIEWER, *SERVED), (68, 8, 6, 4, 10, 4))[0]
        method = {CLIP: "PUT", VIEWER: "DELETE"}.get(operation, "POST")
        body = self._body(operation)
        headers = [*self._keys.header(random)]
        if operation == EVENTS or random.random() < 0.3:
            headers.append((b"content-type", random.choice(MEDIA)))
        else:
            headers.append((b"content-type", b"application/json"))
        encoding = random.choice(ENCODINGS)
        if encoding is not None:
            headers.append((b"content-encoding", encoding))
            body = compressed(body, encoding, random)
        if random.random() < 0.1:
            headers.append(random.choice(JUNK_HEADERS))
        return Asked(method, operation, self._target(operation), tuple(headers), body)

    def _target(self, operation: str) -> bytes:
        random = self._random
        name = random.choice(
            (b"c1", b"%00", b"%ff", b"a%20b", b"%2e%2e", b"x" * 300, b"%F0%9F%92%A5", b"a%2Fb", b"%0A")
        )
        query = random.choice((b"",) * 9 + (b"?key=cpk_x_y", b"?" + b"&" * 50, b"?key=%ff", b"?=&key", b"?key=csk_x"))
        path = operation.encode().replace(b"{clip_id}", name).replace(b"{viewer_id}", name)
        return path + query

    def _body(self, operation: str) -> bytes:
        random = self._random
        kind = random.random()
        if self._corpus and kind < 0.2:
            return self._scramble(random.choice(self._corpus))
        if kind < 0.3:
            return random.choice(ODD_BYTES)
        if operation == EVENTS:
            events = [self._bend(random.choice(self._events)) for _ in range(random.choice((1, 1, 1, 2, 5, 40)))]
            return self._scramble(self._lines(events))
        if operation == CLIP:
            return self._scramble(dumped(self._bend(self._events[0]["data"])))
        return self._scramble(dumped(self._bend(random.choice(_BASICS))))

    def _lines(self, events: list[Any]) -> bytes:
        kind = self._random.random()
        if kind < 0.7:
            return dumped(events)
        return dumped(events[0]) if kind < 0.85 else b"\n".join(dumped(event) for event in events)

    def _bend(self, value: dict[str, Any]) -> Any:
        """Returns a copy with none to three of its values replaced, dropped or added."""
        copy = json.loads(json.dumps(value))
        if "id" in copy and "source" in copy:
            copy["id"] = f"{self._random.getrandbits(40):x}"
        for _ in range(self._random.choice((0, 1, 1, 2, 3))):
            holder = self._holder(copy)
            name = self._random.choice(list(holder)) if holder else "x"
            action = self._random.random()
            if action < 0.7:
                holder[name] = deepcopy(self._random.choice(ODD_VALUES))
            elif action < 0.85:
                holder.pop(name, None)
            else:
                holder[self._random.choice(("x", "", "data", "type", "é"))] = deepcopy(self._random.choice(ODD_VALUES))
        return copy

    def _holder(self, value: dict[str, Any]) -> dict[str, Any]:
        inner = [child for child in value.values() if isinstance(child, dict)]
        return self._holder(self._random.choice(inner)) if inner and self._random.random() < 0.6 else value

    def _scramble(self, body: bytes) -> bytes:
        """Returns the body as it is, or with some bytes flipped, cut, doubled or put elsewhere."""
        random = self._random
        if random.random() < 0.6 or not body:
            return body
        place, other = sorted((random.randrange(len(body)), random.randrange(len(body))))
        return random.choice(
            (
                body[:place],
                body[:place] + bytes([random.randrange(256)]) + body[place + 1 :],
                body[:place] + body[other:],
                body[:other] + body[place:],
                body[:place] + random.choice(ODD_BYTES) + body[place:],
                body + body,
            )
        )


def dumped(value: object) -> bytes:
    """Returns JSON that may hold what JSON must not: lone surrogates, as bytes that are no UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def compressed(body: bytes, encoding: bytes, random: Random) -> bytes:
    """Returns a body compressed as said, mostly; now and then cut, doubled, or not at all."""
    name = encoding.strip().lower()
    if name.startswith(b"gzip"):
        packed = gzip.compress(body, 1)
    elif name == b"zstd":
        packed = zstandard.compress(body, 1)
    else:
        return body
    return random.choices((packed, packed[: len(packed) // 2], packed + packed, body), (8, 1, 1, 1))[0]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(ODD_VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def _event(draw: st.DrawFn) -> Any:
    examples = event_examples(dt.datetime.now(dt.UTC))
    event: dict[str, Any] = json.loads(json.dumps(examples[draw(st.sampled_from(sorted(examples)))]))
    for place in draw(st.lists(st.sampled_from(("event", "data")), max_size=2)):
        holder = event if place == "event" or not isinstance(event.get("data"), dict) else event["data"]
        name = draw(st.sampled_from(sorted(holder) or ["x"]) | st.text(max_size=5))
        holder[name] = draw(_json)
    return event


_bodies = st.one_of(
    st.binary(max_size=200),
    _json.map(dumped),
    _event().map(dumped),
    st.lists(_event() | _json, max_size=4).map(dumped),
    st.lists(_event() | _json, max_size=4).map(lambda events: b"\n".join(dumped(event) for event in events)),
    st.sampled_from(ODD_BYTES),
)


@st.composite
def requests(draw: st.DrawFn, keys: Keys) -> Asked:
    """Makes a POST of events."""
    body = draw(_bodies)
    headers = [(b"authorization", b"Bearer " + draw(st.sampled_from((keys.secret, keys.publishable))).encode())]
    headers.append((b"content-type", draw(st.sampled_from(MEDIA))))
    encoding = draw(st.sampled_from(ENCODINGS))
    if encoding is not None:
        headers.append((b"content-encoding", encoding))
        body = compressed(body, encoding, draw(st.randoms(use_true_random=False)))
    return Asked("POST", EVENTS, EVENTS.encode(), tuple(headers), body)
