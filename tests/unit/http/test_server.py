"""Where uvicorn lacks what our protocol builds on, the servers run without it: slower, and correct."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
import uvicorn.protocols.http.httptools_impl as private
from tests.unit.collector.conftest import Collector, start  # noqa: F401 - a fixture
from uvicorn.protocols.http.h11_impl import H11Protocol

from clapometer.collector import event_examples
from clapometer.gate import TrustedProxies
from clapometer.http.server import missing_names


def test_this_uvicorn_has_all_that_our_protocol_builds_on() -> None:
    assert missing_names() == []


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (private, "STATUS_LINE"),
        (private, "RequestResponseCycle"),
        (private.HttpToolsProtocol, "on_response_complete"),
    ],
)
def test_a_collector_on_another_uvicorn_takes_events_and_says_that_it_is_slower(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    start: Callable[..., Collector],  # noqa: F811
    owner: Any,
    name: str,
) -> None:
    if owner is private.HttpToolsProtocol:
        renamed = type("HttpToolsProtocol", (), {"__init__": owner.__init__})  # as a release may move its methods
        monkeypatch.setattr(private, "HttpToolsProtocol", renamed)
    else:
        monkeypatch.delattr(owner, name)
    assert any(name in gone for gone in missing_names())
    # which uvicorn would have chosen, had it really lost what was taken from it here
    monkeypatch.setitem(uvicorn.config.HTTP_PROTOCOLS, "auto", "uvicorn.protocols.http.h11_impl:H11Protocol")
    with caplog.at_level(logging.WARNING, "clapometer.http.server"):
        collector = start(proxies=TrustedProxies(("127.0.0.1",)))
    assert name in caplog.text
    assert "slower" in caplog.text
    assert collector._server.config.http_protocol_class is H11Protocol
    answer = collector.post([event_examples(collector.now)["impression"], {"id": "bad"}])
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert len(collector.stored_ids()) == 1
    assert collector.post(b"nonsense").status_code == 422
    assert collector.http.get("/healthz").json() == {"status": "ok"}
    assert answer.headers["x-content-type-options"] == "nosniff"
