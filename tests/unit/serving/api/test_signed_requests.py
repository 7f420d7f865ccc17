"""Serving takes the same signatures as the collector."""

from collections.abc import Callable
from pathlib import Path

import httpx2
from tests.unit.collector.test_signed_requests import by_hand
from tests.unit.serving.running import SECRET, SIGNING, Serving

from clapometer.gate import Rates
from clapometer.lake.tables import Lake
from clapometer.traffic import RequestSigner

_BARE = ("@method", "@path", "@query")


def test_rankings_slates_and_statements_are_given_to_who_signs(serving: Serving) -> None:
    hooks = {"request": [RequestSigner(SIGNING).sign]}
    with httpx2.Client(base_url=serving.url, trust_env=False, event_hooks=hooks, timeout=120) as http:
        ranking = http.get("/v1/rankings/model_versions", params={"limit": "3", "audience": "teens"})
        slate = http.post("/v1/slates", json={"viewer_id": "v", "candidates": ["a", "b"]})
        statement = http.post("/v1/sql", json={"sql": "SELECT 1 AS one"})
    assert (ranking.status_code, slate.status_code, statement.status_code) == (200, 200, 200)


def test_a_signature_covers_the_query_and_holds_once(serving: Serving) -> None:
    headers = by_hand(SIGNING, "GET", "/v1/rankings/prompts", query="limit=3", covered=_BARE)
    headers.pop("content-digest")
    assert serving.http.get("/v1/rankings/prompts?limit=4", headers=headers).status_code == 401
    assert serving.http.get("/v1/rankings/prompts?limit=3", headers=headers).status_code == 200
    assert serving.http.get("/v1/rankings/prompts?limit=3", headers=headers).status_code == 401


def test_a_signed_body_cannot_be_altered(serving: Serving) -> None:
    body = b'{"viewer_id": "v", "candidates": ["a", "b"]}'
    headers = by_hand(SIGNING, "POST", "/v1/slates", body)
    answer = serving.http.post("/v1/slates", content=body.replace(b"b", b"c"), headers=headers)
    assert answer.status_code == 401
    assert "Content-Digest" in answer.json()["detail"]


def test_where_signatures_are_required_a_key_that_is_sent_reads_nothing(
    lake: Lake, start: Callable[..., Serving]
) -> None:
    strict = start(lake.storage.published, signed_only=True)
    assert strict.get("/v1/rankings/prompts", SECRET).status_code == 401
    assert strict.slate(candidates=["a"]).status_code == 401
    assert strict.get("/v1/rankings/prompts").status_code == 200  # the public tenant's


def test_a_header_that_decides_is_taken_once(serving: Serving) -> None:
    headers = [("authorization", f"Bearer {SECRET}"), ("authorization", "Bearer other")]
    answer = serving.http.get("/v1/rankings/prompts", headers=headers)
    assert (answer.status_code, "authorization" in answer.json()["detail"]) == (400, True)


def test_keys_and_addresses_wait_when_they_asked_too_much(lake: Lake, start: Callable[..., Serving]) -> None:
    limited = start(lake.storage.published, rates=Rates({"secret": "2/hour", "address": "6/hour"}))
    found = [limited.get("/v1/rankings/prompts", SECRET) for _ in range(3)]
    assert [answer.status_code for answer in found] == [200, 200, 429]
    assert 3000 < int(found[2].headers["retry-after"]) <= 3601
    assert [limited.get("/v1/rankings/prompts").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert limited.slate(candidates=["a"]).status_code == 429
    assert limited.get("/healthz").status_code == 200


def test_no_lake_is_no_way_around_a_signature(tmp_path: Path, start: Callable[..., Serving]) -> None:
    empty = start(tmp_path / "none.duckdb", signed_only=True)
    assert empty.http.post("/v1/sql", json={"sql": "SELECT 1"}, headers={"x-api-key": SECRET}).status_code == 401
