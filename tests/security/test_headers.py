"""Every answer bears the headers that keep browsers from doing harm with it, errors and refusals included."""

import httpx2
import pytest
from tests.unit.collector.conftest import Collector
from tests.unit.serving.running import SECRET, Serving

ALWAYS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "x-frame-options": "DENY"}


def _has_safe_headers(answer: httpx2.Response) -> None:
    assert {name: answer.headers.get_list(name) for name in ALWAYS} == {name: [value] for name, value in ALWAYS.items()}


def _has_strict_policy(answer: httpx2.Response) -> None:
    (policy,) = answer.headers.get_list("content-security-policy")
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/docs"),
        ("GET", "/docs/static/start.js"), ("POST", "/v1/events"), ("GET", "/v1/events"), ("OPTIONS", "/v1/events"),
        ("PUT", "/v1/clips/c"), ("POST", "/v1/clips/c/withdrawal"), ("DELETE", "/v1/viewers/v"), ("GET", "/nothing"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_of_the_collector_is_safe_to_show(
    collector: Collector,
    method: str,
    path: str,
    known: bool,
) -> None:
    headers = {"authorization": f"Bearer {collector.secret}"} if known else {}
    answer = collector.http.request(method, path, headers=headers, content=b"{")
    _has_safe_headers(answer)
    if "static" not in path:
        _has_strict_policy(answer)
    assert "server" not in answer.headers


def test_what_is_no_http_gets_them_too(collector: Collector) -> None:
    answer = collector.raw(b"NONSENSE\r\n\r\n").lower()
    assert answer.startswith(b"http/1.1 400")
    assert all(f"{name}: {value}".lower().encode() in answer for name, value in ALWAYS.items())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"), ("GET", "/?run=none"), ("GET", "/v1/rankings/prompts"), ("GET", "/v1/rankings/nothing"),
        ("GET", "/v1/compare"), ("POST", "/v1/slates"), ("POST", "/v1/sql"), ("GET", "/v1/sql"), ("GET", "/healthz"),
        ("GET", "/readyz"), ("GET", "/metrics"), ("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/nothing"),
        ("GET", "/static/nothing.js"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_of_serving_is_safe_to_show(
    serving: Serving,
    method: str,
    path: str,
    known: bool,
) -> None:
    headers = {"authorization": f"Bearer {SECRET}"} if known else {}
    answer = serving.http.request(method, path, headers=headers, content=b"{")
    _has_safe_headers(answer)
    _has_strict_policy(answer)
