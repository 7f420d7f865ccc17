"""Traces of a running service: from the sender's span to append, commit, training and what is served."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.running import RunningService
from tests.support.otlp import Receiver, receiving
from tests.support.ports import free_port
from tests.support.waiting import until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
ABOUT = {"specversion": "1.0", "source": "/test", "time": "2026-01-01T00:00:00Z"}
EVENTS = [
    {**ABOUT, "id": "1", "type": "clapometer.clip_registered.v1", "data": {
        "clip_id": "c", "prompt": {"text": "a cat"}, "model": {"name": "m", "version": "1"}, "duration_ms": 5000,
        "task": "t2v",
    }},
    {**ABOUT, "id": "2", "type": "clapometer.nonsense.v1", "data": {}},
]  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def sent(service: RunningService, key: str, flags: str) -> str:
    """Sends events within a trace; returns the trace of the answer."""
    headers = {"authorization": f"Bearer {key}", "traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
    request = urllib.request.Request(
        f"{service.collector}/v1/events",
        json.dumps(EVENTS).encode(),
        {**headers, "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return str(answer.headers["traceparent"])


def test_a_trace_goes_from_the_sender_to_append_and_dead_letter_and_commits_and_trainings_have_spans(
    tmp_path: Path, receiver: Receiver
) -> None:
    service = RunningService(tmp_path, traces=receiver.address, traces_share=0, schedule="1s")
    service.start("serving")
    try:
        key = service.secret_key()
        answered = sent(service, key, "01")
        assert answered.split("-")[1] == TRACE
        for name in ("commit", "train"):
            until(lambda: receiver.named(name), every=0.2)  # noqa: B023 - called at once
        until(lambda: receiver.named("append"), every=0.2)
        ((part, request),) = receiver.named("POST /v1/events")
        ((_, append),) = receiver.named("append")
        assert part == "clapometer-collector"
        assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
        assert request.span_id.hex() == answered.split("-")[2], "the answer names the span"
        assert (append.trace_id, append.parent_span_id) == (request.trace_id, request.span_id)
        assert request.start_time_unix_nano <= append.start_time_unix_nano <= append.end_time_unix_nano
        assert receiver.named("commit")[0][0] == "clapometer-loader"
        found = service.command("sql", "SELECT trace_id FROM rejected")
        assert TRACE in found
    finally:
        assert service.stop() == 0


def test_a_trace_that_its_sender_does_not_record_is_not_recorded_and_ours_are_by_their_share(
    tmp_path: Path, receiver: Receiver
) -> None:
    service = RunningService(tmp_path, traces=receiver.address, traces_share=1)
    service.start("serving")
    try:
        key = service.secret_key()
        assert sent(service, key, "00").split("-")[1] == TRACE
        with urllib.request.urlopen(f"{service.serving}/healthz", timeout=120) as answer:
            ours = answer.headers["traceparent"].split("-")[1]
        until(lambda: any(span.trace_id.hex() == ours for _, span in receiver.named("GET /healthz")), every=0.2)
    finally:
        service.stop()
    assert TRACE not in {span.trace_id.hex() for _, span in receiver.spans}


def test_a_receiver_that_is_away_costs_neither_answers_nor_the_end(tmp_path: Path) -> None:
    service = RunningService(tmp_path, traces=f"http://127.0.0.1:{free_port()}/v1/traces", traces_share=1)
    service.start("serving")
    key = service.secret_key()
    assert sent(service, key, "01").split("-")[1] == TRACE
    assert service.stop() == 0
