"""What the events' path does with good input, and how it answers browsers, proxies and full logs."""

import gzip
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx2
import pytest
import zstandard
from tests.support.waiting import until
from tests.unit.collector.conftest import Collector
from tests.unit.collector.test_bad_input import event

from clapometer.domain import TransientError
from clapometer.eventlog import EmbeddedLog, Position
from clapometer.gate.tokens import TokenRing, load_token_secrets


class BrokenLog(EmbeddedLog):
    """A log whose disk fails as long as ``broken``."""

    broken = True

    def append_many(self, blocks: Sequence[bytes]) -> list[Position]:
        if self.broken:
            msg = f"the disk of the event log {self._path} is gone"
            raise TransientError(msg)
        return super().append_many(blocks)

    def fill_ratio(self) -> float:
        if self.broken:
            msg = f"the disk of the event log {self._path} is gone"
            raise TransientError(msg)
        return super().fill_ratio()

    def ready(self) -> bool:
        return not self.broken and super().ready()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=UTF-8",
        "Application/CloudEvents+JSON",
        "application/cloudevents-batch+json",
        "text/plain;charset=UTF-8",
    ],
)
def test_an_array_and_a_single_event_are_taken_as_any_of_our_types(collector: Collector, content_type: str) -> None:
    for body in ([event(collector, "a"), event(collector, "b")], event(collector, "c")):
        assert collector.post(body, content_type=content_type).status_code == 202
    assert collector.stored_ids() == ["a", "b", "c"]


def test_lines_are_events_and_blank_ones_are_not(collector: Collector) -> None:
    lines = "\r\n\n".join(json.dumps(event(collector, name)) for name in "ab") + "\n{\n"
    answer = collector.post(lines, content_type="application/x-ndjson").json()
    assert (answer["accepted"], [v["index"] for v in answer["rejected"]]) == (2, [2])
    assert collector.stored_ids() == ["a", "b"]


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_compressed_events_are_taken(collector: Collector, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    body = json.dumps([event(collector, str(n)) for n in range(200)]).encode()
    assert collector.post(compress(body), content_encoding=encoding).json()["accepted"] == 200


def test_the_block_of_a_request_is_durable_when_the_answer_comes(collector: Collector, tmp_path: Path) -> None:
    answer = collector.post([event(collector, "a")])
    (block,) = collector.blocks()
    assert block.header.trace_id == answer.headers["traceparent"].split("-")[1]
    assert (block.header.n_accepted, block.header.key_id != "") == (1, True)


def test_the_trace_of_the_sender_goes_on(collector: Collector) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = collector.post([event(collector)], traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    assert re.fullmatch(rf"00-{trace}-[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    assert collector.blocks()[0].header.trace_id == trace


@pytest.mark.parametrize("given", ["", "x", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "00-" + "A" * 32 + "-1-01"])
def test_a_trace_that_is_none_starts_a_new_one(collector: Collector, given: str) -> None:
    answer = collector.post([event(collector)], traceparent=given)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", answer.headers["traceparent"])


def test_a_log_that_is_away_answers_503_and_the_next_try_succeeds(
    start: Callable[..., Collector], tmp_path: Path
) -> None:
    log = BrokenLog(tmp_path / "log")
    collector = start(log=log)
    answer = collector.post([event(collector)])
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert "send the same events again" in answer.json()["detail"]
    assert collector.http.get("/readyz").status_code == 503
    log.broken = False
    assert collector.http.get("/readyz").status_code == 200  # by itself: nobody sends to a collector that is not ready
    assert collector.post([event(collector)]).status_code == 202
    assert collector.http.get("/readyz").status_code == 200


def test_who_asks_whether_events_can_be_taken_learns_of_no_folder(
    start: Callable[..., Collector], tmp_path: Path
) -> None:
    answer = start(log=BrokenLog(tmp_path / "log")).http.get("/readyz")
    assert answer.json()["reasons"] == ["the disk of the event log log is gone"]


@pytest.mark.parametrize(("name", "of"), [("keys.json", "API keys"), ("tokens.json", "token secrets")])
def test_a_followed_file_that_breaks_is_told_and_takes_no_collector_out_of_service(
    start: Callable[..., Collector], tmp_path: Path, name: str, of: str
) -> None:
    load_token_secrets(tmp_path / "tokens.json")
    collector = start(tokens=TokenRing(tmp_path / "tokens.json"))
    assert collector.http.get("/readyz").json() == {"status": "ready", "reasons": [], "warnings": []}
    path = tmp_path / name if of == "token secrets" else tmp_path / "0" / name
    good = path.read_bytes()
    path.write_bytes(b"{")
    until(lambda: collector.http.get("/readyz").json()["warnings"])
    answer = collector.http.get("/readyz")
    assert answer.status_code == 200
    assert [word.startswith(f"the last good {of} are in force: {name}") for word in answer.json()["warnings"]] == [True]
    assert collector.post([event(collector)]).status_code == 202
    path.write_bytes(good)
    until(lambda: not collector.http.get("/readyz").json()["warnings"])


def test_a_full_log_answers_503_and_loses_nothing(start: Callable[..., Collector], tmp_path: Path) -> None:
    collector = start(log=EmbeddedLog(tmp_path / "log", max_bytes=200_000))
    statuses = [collector.post([event(collector, f"{n}-{m}") for m in range(100)]).status_code for n in range(40)]
    assert set(statuses) == {202, 503}
    assert len(collector.stored_ids()) == 100 * statuses.count(202)


def test_too_many_bytes_in_flight_answer_503(start: Callable[..., Collector]) -> None:
    collector = start(max_bytes_in_flight=1_000)
    assert collector.post([event(collector, str(n)) for n in range(20)]).status_code == 503
    assert collector.post([event(collector)]).status_code == 202


def test_a_page_of_an_allowed_origin_may_ask_and_read(start: Callable[..., Collector]) -> None:
    collector = start(cors_origins=("https://app.example",))
    for origin, allowed in (
        ("https://app.example", "https://app.example"),
        ("https://player.example", "https://player.example"),  # named by a key
        ("https://evil.example", None),
        ("null", None),
    ):
        asked = collector.http.options(
            "/v1/events", headers={"origin": origin, "access-control-request-method": "POST"}
        )
        assert asked.status_code == 204
        assert asked.headers.get("access-control-allow-origin") == allowed
        assert "content-type" in asked.headers["access-control-allow-headers"]
        answer = collector.post([event(collector)], origin=origin)
        assert answer.headers.get("access-control-allow-origin") == allowed
        assert answer.headers["vary"] == "origin"


def test_by_default_every_page_may_read_answers_and_errors_but_never_with_cookies(collector: Collector) -> None:
    for answer in (
        collector.post([event(collector)], origin="https://any.example"),
        collector.post(b"nonsense", origin="https://any.example"),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


def test_a_key_for_one_page_is_refused_on_another(collector: Collector) -> None:
    for origin, status in (("https://player.example", 202), ("https://evil.example", 403)):
        assert collector.post([event(collector)], x_api_key=collector.pinned, origin=origin).status_code == status
    assert collector.post([event(collector)], x_api_key=collector.pinned).status_code == 202


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused_with_those_that_are_not(collector: Collector, method: str) -> None:
    answer = collector.http.request(method, "/v1/events")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, OPTIONS")


def test_head_answers_without_a_body(collector: Collector) -> None:
    assert collector.http.head("/v1/events").content == b""
    assert collector.http.get("/healthz").json() == {"status": "ok"}


def test_every_answer_bears_security_headers(collector: Collector) -> None:
    answers: list[httpx2.Response] = [
        collector.http.get(path) for path in ("/healthz", "/metrics", "/docs", "/nothing")
    ]
    answers.append(collector.post([event(collector)]))
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    assert all("server" not in answer.headers for answer in answers)
    assert "frame-ancestors 'none'" in answers[2].headers["content-security-policy"]


def test_requests_are_counted_by_status(collector: Collector) -> None:
    collector.post([event(collector), {"id": "bad"}])
    collector.post(b"nonsense")
    text = collector.http.get("/metrics").text
    assert 'clapometer_collector_requests_total{status="202"} 1.0' in text
    assert 'clapometer_collector_requests_total{status="422"} 1.0' in text
    assert 'clapometer_collector_events_total{verdict="accepted"} 1.0' in text
    assert 'clapometer_collector_events_total{verdict="rejected"} 1.0' in text
    assert "clapometer_collector_answer_seconds_count 2.0" in text
    assert "clapometer_collector_received_events_total 2.0" in text
    assert 0 < float(text.partition("\nclapometer_collector_log_fill_ratio ")[2].split()[0]) < 1


def test_events_that_the_log_could_not_take_were_received_and_are_not_durable(
    start: Callable[..., Collector], tmp_path: Path
) -> None:
    collector = start(log=BrokenLog(tmp_path / "log"))
    assert collector.post([event(collector)]).status_code == 503
    text = collector.http.get("/metrics").text
    assert "clapometer_collector_received_events_total 1.0" in text
    assert "clapometer_collector_append_failures_total 1.0" in text
    assert 'clapometer_collector_events_total{verdict="accepted"} 0.0' in text
    assert "\nclapometer_collector_log_fill_ratio " not in text, "nobody can tell"
