"""What traces cost a collector, in processor time of its own path per request: ``python bench/traces.py``.

The path is that of a POST that came whole: head, key, decoding, judging, block, answer; the event log answers at once.
"""

import asyncio
import datetime as dt
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from clapometer.collector import CollectorConfig, create_app
from clapometer.eventlog import MemoryLog, Position
from clapometer.gate import Gate, KeyRing, new_key
from clapometer.telemetry.traces import Spans, Traced

REQUESTS, ROUNDS = 2_000, 20
NOW = dt.datetime.now(dt.UTC)


class AtOnce:
    """A committer that says at once that a block is durable."""

    pending_bytes = 0

    def append_then(self, block: bytes, told: Callable[[Position], object], loop: object) -> None:  # noqa: ARG002
        told(Position(0, 1))


class Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002
        return SpanExportResult.SUCCESS


async def microseconds(traced: Traced | None) -> float:
    """Returns the least processor time per request of all rounds, in this process, all threads."""
    key, record = new_key("secret", now=NOW)
    committer: Any = AtOnce()
    app = create_app(
        CollectorConfig(), log=MemoryLog(), committer=committer, gate=Gate(KeyRing([record])), tokens={},
        clock=lambda: dt.datetime.now(dt.UTC), traced=traced,
    )  # fmt: skip
    data = {"impression_id": "i", "watched_ms": 1000}
    about = {"specversion": "1.0", "id": "a", "source": "/bench", "type": "clapometer.watched.v1"}
    body = json.dumps([{**about, "time": NOW.isoformat(), "data": data}]).encode()
    head = [(b"authorization", b"Bearer " + key.encode()), (b"content-type", b"application/json")]
    statuses: set[int] = set()
    best = float("inf")
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(REQUESTS):
            app.events.answer_whole(head, b"", body, lambda status, *_: statuses.add(status))
        best = min(best, (time.process_time() - begun) / REQUESTS)
    assert statuses == {202}
    return best * 1e6


def main() -> None:
    off = asyncio.run(microseconds(None))
    print(f"off                    {off:6.2f} µs a request")
    for share in (0.0, 0.01, 1.0):
        spans = Spans(Nowhere(), "bench", "0", share)
        on = asyncio.run(microseconds(spans.request))
        spans.close()
        print(f"on, {share:4.0%} are recorded  {on:6.2f} µs a request, {on - off:+.2f}")


if __name__ == "__main__":
    main()
