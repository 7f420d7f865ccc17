"""Events and blocks as the collector makes them, with as little said as a test needs."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from clapometer.domain import Event, RejectedEvent, Trust, decode_event, encode_block, encode_events

NOW = dt.datetime(2026, 5, 1, 12, 0, tzinfo=dt.UTC)


def event(kind: str, id: str, data: Mapping[str, Any], *, source: str = "/test", **attributes: Any) -> Event:
    """Returns the decoded event ``clapometer.{kind}.v1``."""
    written = {
        "specversion": "1.0",
        "type": f"clapometer.{kind}.v1",
        "id": id,
        "source": source,
        "time": NOW.isoformat(),
        **attributes,
        "data": data,
    }
    return decode_event(json.dumps(written).encode())


def impression(id: str, *, clip: str = "clip", viewer: str = "viewer", source: str = "/test", **data: Any) -> Event:
    """Returns an impression whose event id is also its impression id."""
    data = {"impression_id": id, "clip_id": clip, "viewer_id": viewer, **data}
    return event("impression", id, data, source=source)


def watched(id: str, *, impression: str = "i", ms: int = 1000, source: str = "/test", **data: Any) -> Event:
    """Returns a report that ``ms`` milliseconds of an impression were watched."""
    return event("watched", id, {"impression_id": impression, "watched_ms": ms, **data}, source=source)


def registered(id: str, *, clip: str = "clip", source: str = "/test", **data: Any) -> Event:
    """Returns the registration of a clip."""
    data = {
        "clip_id": clip,
        "prompt": {"text": "a cat"},
        "model": {"name": "m", "version": "1"},
        "duration_ms": 5000,
        "task": "t2v",
        **data,
    }
    return event("clip_registered", id, data, source=source)


def block(
    events: Sequence[Event],
    *,
    tenant: str = "default",
    received_at: dt.datetime = NOW,
    rejected: Sequence[RejectedEvent] = (),
    trust: Trust = "none",
    exceptions: Mapping[int, Trust] | None = None,
    trace_id: str | None = None,
) -> bytes:
    """Returns the block of a request whose ``events`` were accepted."""
    return encode_block(
        encode_events(events),
        len(events),
        tenant=tenant,
        received_at=received_at,
        rejected=rejected,
        trust=trust,
        exceptions=exceptions,
        trace_id=trace_id,
    )
