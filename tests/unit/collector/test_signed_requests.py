"""Requests that servers sign: what holds, and that nothing of them can be altered, moved or sent again."""

import base64
import gzip
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import pytest
from tests.unit.collector.conftest import Collector
from tests.unit.collector.test_bad_input import event

from clapometer.domain import Event, decode_event
from clapometer.traffic import RequestSigner, SendOptions, send

COVERED = ("@method", "@path", "@query", "content-digest", "content-type")


def by_hand(
    key: str,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    query: str = "",
    created: float | None = None,
    nonce: str | None = None,
    covered: tuple[str, ...] = COVERED,
    headers: Mapping[str, str] = {},
) -> dict[str, str]:
    """Returns the headers of a signed request, made as docs/how-to/keys.md says, without any library."""
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    sent = {**({"content-type": "application/json"} if "content-type" in covered else {}), **headers}
    values = {**sent, "@method": method, "@path": path, "@query": f"?{query}", "content-digest": digest}
    parameters = (
        f"({' '.join(json.dumps(name) for name in covered)});created={int(created or time.time())}"
        f';keyid="{key.split("_")[1]}";nonce="{nonce or secrets.token_urlsafe(18)}"'
    )
    lines = [f'"{name}": {values[name]}' for name in covered] + [f'"@signature-params": {parameters}']
    signature = hmac.digest(key.encode(), "\n".join(lines).encode(), "sha256")
    return {
        **sent,
        "content-digest": digest,
        "signature-input": f"sig={parameters}",
        "signature": f"sig=:{base64.b64encode(signature).decode()}:",
    }


def body_of(collector: Collector, event_id: str = "e") -> bytes:
    return json.dumps([event(collector, event_id)]).encode()


def post(collector: Collector, headers: dict[str, str], body: bytes, path: str = "/v1/events") -> httpx2.Response:
    return collector.http.post(path, content=body, headers={"content-type": "application/json", **headers})


def test_a_request_that_is_signed_by_hand_is_let_in_and_vouched_for(collector: Collector) -> None:
    body = body_of(collector)
    answer = post(collector, by_hand(collector.signing, "POST", "/v1/events", body), body)
    assert answer.json()["accepted"] == 1
    header = collector.blocks()[0].header
    assert (header.tenant, header.key_id, header.trust) == ("acme", collector.signing_record.id, "key")


def test_a_body_that_arrives_in_pieces_is_checked_as_well(collector: Collector) -> None:
    body = body_of(collector)
    headers = {"content-type": "application/json", **by_hand(collector.signing, "POST", "/v1/events", body)}
    pieces = (bytes([byte]) for byte in body)
    assert collector.http.post("/v1/events", content=pieces, headers=headers).status_code == 202
    other = body.replace(b'"e"', b'"f"')
    headers = {"content-type": "application/json", **by_hand(collector.signing, "POST", "/v1/events", body)}
    pieces = (bytes([byte]) for byte in other)
    assert collector.http.post("/v1/events", content=pieces, headers=headers).status_code == 401
    assert collector.stored_ids() == ["e"]


def test_the_signer_of_our_client_signs_all_resources(collector: Collector) -> None:
    signer = RequestSigner(collector.signing)
    address = f"http://127.0.0.1:{collector.port}"
    with httpx2.Client(base_url=address, trust_env=False, event_hooks={"request": [signer.sign]}) as http:
        withdrawn = http.post("/v1/clips/a%20b/withdrawal", json={"reason": "rights", "scope": "clip"})
        erased = http.delete("/v1/viewers/v1")
    assert (withdrawn.status_code, erased.status_code) == (202, 202)


def test_the_sender_signs_with_a_key_that_signs(collector: Collector) -> None:
    events: list[Event] = [decode_event(json.dumps(event(collector, str(n))).encode()) for n in range(20)]
    report = send(events, SendOptions(url=f"http://127.0.0.1:{collector.port}", key=collector.signing, batch=5))
    assert (report.acknowledged, sorted(collector.stored_ids(), key=int)) == (20, [str(n) for n in range(20)])


def _other_body(given: dict[str, Any]) -> None:
    given["body"] = given["body"].replace(b"like", b"save")


def _other_digest(given: dict[str, Any]) -> None:
    _other_body(given)
    digest = base64.b64encode(hashlib.sha256(given["body"]).digest()).decode()
    given["headers"]["content-digest"] = f"sha-256=:{digest}:"


def _header(name: str, value: str | None) -> Callable[[dict[str, Any]], None]:
    def change(given: dict[str, Any]) -> None:
        given["headers"].pop(name) if value is None else given["headers"].update({name: value})

    return change


@pytest.mark.parametrize(
    ("alter", "why"),
    [
        (_other_body, "not the one that Content-Digest names"),
        (_other_digest, "does not hold"),
        (lambda given: given.update(path="/v1/events?x=1"), "does not hold"),
        (_header("signature", "sig=:AAAA:"), "does not hold"),
        (_header("signature", "nonsense;;;"), "does not hold"),
        (_header("signature", None), "does not hold"),
        (_header("signature-input", None), "does not hold"),
        (_header("signature-input", 'sig=("@method");keyid="x'), "does not hold"),
        (_header("content-digest", None), "does not hold"),
        (_header("content-digest", "md5=:AAAA:"), "does not hold"),
        (_header("content-type", "application/x-ndjson"), "does not hold"),
        (_header("content-encoding", "identity"), "was not covered"),
        (_header("idempotency-key", "another"), "was not covered"),
    ],
)
def test_nothing_of_a_signed_request_can_be_altered(
    collector: Collector, alter: Callable[[dict[str, Any]], None], why: str
) -> None:
    body = body_of(collector)
    given = {"headers": by_hand(collector.signing, "POST", "/v1/events", body), "body": body, "path": "/v1/events"}
    alter(given)
    answer = post(collector, **given)  # type: ignore[arg-type]
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert why in answer.json()["detail"]
    assert collector.blocks() == []


def test_a_signature_for_one_resource_is_none_for_another(collector: Collector) -> None:
    headers = by_hand(collector.signing, "DELETE", "/v1/viewers/v1", covered=("@method", "@path", "@query"))
    assert collector.http.delete("/v1/viewers/v2", headers=headers).status_code == 401
    assert collector.http.delete("/v1/viewers/v1", headers=headers).status_code == 202


def test_headers_that_decide_are_covered_where_they_are_there(collector: Collector) -> None:
    deciding = {"content-encoding": "gzip", "idempotency-key": "k"}
    body = gzip.compress(body_of(collector))
    headers = by_hand(collector.signing, "POST", "/v1/events", body, covered=(*COVERED, *deciding), headers=deciding)
    assert post(collector, {**headers, "idempotency-key": "other"}, body).status_code == 401
    assert post(collector, headers, body).status_code == 202
    bare = by_hand(collector.signing, "DELETE", "/v1/viewers/v", covered=("@method", "@path", "@query"))
    assert collector.http.delete("/v1/viewers/v", headers={**bare, "idempotency-key": "k"}).status_code == 401


def test_an_event_in_binary_mode_cannot_be_signed(collector: Collector) -> None:
    body = b'{"impression_id":"i","watched_ms":1}'
    attributes = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "clapometer.watched.v1"}
    answer = post(collector, by_hand(collector.signing, "POST", "/v1/events", body) | attributes, body)
    assert (answer.status_code, "send the whole event" in answer.json()["detail"]) == (415, True)


def test_a_request_cannot_be_sent_again(collector: Collector) -> None:
    body = body_of(collector)
    headers = by_hand(collector.signing, "POST", "/v1/events", body)
    assert post(collector, headers, body).status_code == 202
    again = post(collector, headers, body)
    assert again.status_code == 401
    assert "used before" in again.json()["detail"]


@pytest.mark.parametrize("seconds", [-400, 400])
def test_a_signature_holds_for_five_minutes(collector: Collector, seconds: int) -> None:
    body = body_of(collector)
    headers = by_hand(collector.signing, "POST", "/v1/events", body, created=time.time() + seconds)
    assert post(collector, headers, body).status_code == 401
    headers = by_hand(collector.signing, "POST", "/v1/events", body, created=time.time() - 250)
    assert post(collector, headers, body).status_code == 202


@pytest.mark.parametrize("missing", COVERED)
def test_a_signature_has_to_cover_all_that_matters(collector: Collector, missing: str) -> None:
    body = body_of(collector)
    covered = tuple(
        name for name in ("@method", "@path", "@query", "content-digest", "content-type") if name != missing
    )
    answer = post(collector, by_hand(collector.signing, "POST", "/v1/events", body, covered=covered), body)
    assert answer.status_code == 401
    assert "was not covered" in answer.json()["detail"]


@pytest.mark.parametrize("nonce", ["x" * 101])
def test_a_nonce_has_a_length(collector: Collector, nonce: str) -> None:
    body = body_of(collector)
    answer = post(collector, by_hand(collector.signing, "POST", "/v1/events", body, nonce=nonce), body)
    assert (answer.status_code, "nonce" in answer.json()["detail"]) == (401, True)


def test_a_key_that_signs_must_not_be_sent(collector: Collector) -> None:
    answer = collector.post([event(collector)], x_api_key=collector.signing)
    assert answer.status_code == 401
    assert "must never be sent" in answer.json()["detail"]
    assert "must not be in an address" in collector.http.post(f"/v1/events?key={collector.signing}").json()["detail"]


def test_a_key_that_is_sent_does_not_sign(collector: Collector) -> None:
    body = body_of(collector)
    assert post(collector, by_hand(collector.secret, "POST", "/v1/events", body), body).status_code == 401


def test_a_request_that_is_signed_and_bears_a_key_is_ambiguous(collector: Collector) -> None:
    body = body_of(collector)
    headers = by_hand(collector.signing, "POST", "/v1/events", body) | {"x-api-key": collector.secret}
    assert post(collector, headers, body).status_code == 400


def test_a_digest_is_checked_whoever_sends_it(collector: Collector) -> None:
    wrong = {"content-digest": f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"}
    assert collector.post([event(collector)], **wrong).status_code == 401


def test_where_signatures_are_required_a_secret_key_that_is_sent_is_refused(start: Callable[..., Collector]) -> None:
    collector = start(gate={"signed_only": True})
    answer = collector.post([event(collector)])
    assert answer.status_code == 401
    assert "keys new --kind secret --signs" in answer.json()["detail"]
    assert collector.post([event(collector)], x_api_key=collector.publishable).status_code == 202
    body = body_of(collector, "signed")
    assert post(collector, by_hand(collector.signing, "POST", "/v1/events", body), body).status_code == 202
