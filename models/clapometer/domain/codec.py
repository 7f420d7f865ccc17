"""Bytes to events and back, with a verdict for every event that cannot be accepted."""

import base64
import datetime as dt
import re
from collections.abc import Sequence

import msgspec

from clapometer.domain.blocks import RejectedEvent
from clapometer.domain.context import known_attributes
from clapometer.domain.errors import InputError
from clapometer.domain.events import Event
from clapometer.domain.explain import MAX_DEPTH, explain, identity, is_utf8, nul_field
from clapometer.domain.spellings import decoded, encoded, respeller
from clapometer.domain.splitting import TooManyEventsError, deeper_than, split_array, split_lines

MAX_FUTURE = dt.timedelta(hours=24)
MAX_AGE = dt.timedelta(days=3653)
CLIPS_ROUTE, VIEWERS_ROUTE = "/v1/clips", "/v1/viewers"
ROUTES = frozenset({CLIPS_ROUTE, VIEWERS_ROUTE})
"""Sources of the events that our own routes make; nobody else may use them."""
MAX_REJECTED_BYTES = 65_536
"""How much of a refused event is kept, in bytes."""

_EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_EVENTS: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])
_ENCODER = msgspec.json.Encoder()
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BAD = (msgspec.MsgspecError, RecursionError, UnicodeError)
_RESPELL = respeller(Event)


class Batch(msgspec.Struct, frozen=True):
    """The events of one request that are accepted, in their order, and those that are not."""

    events: list[Event]
    rejected: list[RejectedEvent]


def decode_event(raw: bytes, max_depth: int = MAX_DEPTH) -> Event:
    """Returns the event that ``raw`` (UTF-8 JSON) spells.

    Raises:
        InputError: Not an event; names the field, the problem and the fix.
    """
    try:
        event = _EVENT.decode(raw)
    except msgspec.ValidationError as error:
        event = _respelt(raw, error, max_depth)
    except _BAD as error:
        raise explain(error, raw, max_depth) from error
    if b"\\u0000" in raw and _NUL.search(raw):
        event = _respelt(raw, None, max_depth)
        if _NUL.search(_ENCODER.encode(event)):
            msg = "contains the character U+0000; leave it out"
            raise InputError(msg, nul_field(raw) or "", code="zero_character")
    return event


def _respelt(raw: bytes, error: msgspec.ValidationError | None, max_depth: int) -> Event:
    """Returns an event that the strict decoder refused for its spelling, or for attributes that do not matter.

    Raises:
        InputError: That is not all that is wrong with it.
    """
    value = decoded(raw)
    if not isinstance(value, dict) or deeper_than(raw, max_depth):
        raise explain(error or RecursionError(), raw, max_depth) from error
    respelt = encoded(_RESPELL(known_attributes(value)))
    try:
        return _EVENT.decode(respelt)
    except _BAD as left:
        raise explain(left, respelt, max_depth) from left


def decode_batch(body: bytes, now: dt.datetime, *, max_events: int | None = None, max_depth: int = MAX_DEPTH) -> Batch:
    """Returns the verdict on every event of a JSON array or a single JSON object.

    Raises:
        TooManyEventsError: More than ``max_events``.
        InputError: The body is not JSON of that form, so that no event can be told from another.
    """
    if body[:1] == b"[" and b"\\u0000" not in body:
        try:
            events = _EVENTS.decode(body)
        except _BAD:
            pass  # at least one is bad: find out which
        else:
            if max_events is not None and len(events) > max_events:
                raise TooManyEventsError(max_events)
            if _times_hold(events, now):
                return Batch(events, [])
    return decode_each(split_array(body, max_events), now, max_depth)


def decode_lines(body: bytes, now: dt.datetime, *, max_events: int | None = None, max_depth: int = MAX_DEPTH) -> Batch:
    """Returns the verdict on every event of NDJSON; blank lines are no events and are not counted.

    Raises:
        TooManyEventsError: More than ``max_events``.
        InputError: There is no line.
    """
    lines = split_lines(body, max_events)
    if not lines:
        msg = "the body is empty; send one CloudEvent a line"
        raise InputError(msg)
    return decode_each(lines, now, max_depth)


def decode_each(raws: Sequence[bytes], now: dt.datetime, max_depth: int = MAX_DEPTH) -> Batch:
    """Returns the verdict on every event of ``raws``, each the JSON of one event."""
    events: list[Event] = []
    rejected: list[RejectedEvent] = []
    for index, raw in enumerate(raws):
        try:
            event = decode_event(raw, max_depth)
            _check_source(event)
            check_time(event, now)
        except InputError as error:
            rejected.append(reject(raw, error, index))
        else:
            events.append(event)
    return Batch(events, rejected)


def _check_source(event: Event) -> None:
    if event.source in ROUTES:
        msg = (
            f"{event.source} is kept for what comes by the route of that name; use that route, or a source of your own"
        )
        raise InputError(msg, "source", code="forbidden")


def check_time(event: Event, now: dt.datetime) -> None:
    """Refuses an event that did not happen within 24 hours after, or ten years before, it was sent.

    Both instants are of the sender's clock where it says when it sent, so that the clock may be off by any time.

    Raises:
        InputError: It happened later or earlier than that.
    """
    sent = "now" if event.sentat is None else f"{event.sentat.isoformat()}, when it was sent"
    age = (event.sentat or now) - event.time
    if age <= -MAX_FUTURE:
        msg = f"{event.time.isoformat()} is more than 24 hours in the future of {sent}; check the sender's clock"
        raise InputError(msg, "time", code="clock")
    if age >= MAX_AGE:
        msg = f"{event.time.isoformat()} is more than ten years before {sent}; check the sender's clock"
        raise InputError(msg, "time", code="clock")


def encode_events(events: Sequence[Event]) -> bytes:
    """Returns the events as NDJSON in canonical form: one line each, known fields only, each field once."""
    return _ENCODER.encode_lines(events)


def reject(raw: bytes, error: InputError, index: int | None = None) -> RejectedEvent:
    """Returns the dead letter for ``raw``: why it was refused, who it said it was, and its bytes."""
    event_id, source = identity(raw)
    kept = raw[:MAX_REJECTED_BYTES]
    encoded = b"\0" in kept or not is_utf8(kept)
    return RejectedEvent(
        reason=error.reason,
        code=error.code,
        field=error.field,
        index=index,
        id=event_id,
        source=source,
        raw=base64.b64encode(kept).decode() if encoded else kept.decode(),
        encoding="base64" if encoded else "text",
    )


def _times_hold(events: Sequence[Event], now: dt.datetime) -> bool:
    """Returns whether every event may have its source, and :func:`check_time` accepts it, mostly without calling it."""
    low, high = now - MAX_AGE, now + MAX_FUTURE
    try:
        for event in events:
            if event.source in ROUTES:
                return False
            if not low < event.time < high or event.sentat is not None:
                check_time(event, now)
    except InputError:
        return False
    return True
