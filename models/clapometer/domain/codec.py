"""Bytes to events and back, with a verdict for every event that cannot be accepted."""

import base64
import datetime as dt
import re
from collections.abc import Sequence

import msgspec

from clapometer.domain.blocks import RejectedEvent
from clapometer.domain.errors import InputError
from clapometer.domain.events import EVENT_TYPES, Event

MAX_FUTURE = dt.timedelta(hours=24)
MAX_AGE = dt.timedelta(days=3653)
MAX_REJECTED_BYTES = 65_536
"""How much of a refused event is kept, in bytes."""

_EVENT: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_EVENTS: msgspec.json.Decoder[list[Event]] = msgspec.json.Decoder(list[Event])
_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
_ENCODER = msgspec.json.Encoder()
_AT = re.compile(r" - at `(?:key in )?\$\.?(.*)`$")
_TYPES = ", ".join(sorted(kind.__struct_config__.tag for kind in EVENT_TYPES))  # type: ignore[misc]


class _Identity(msgspec.Struct, frozen=True):
    id: str | None = None
    source: str | None = None


_IDENTITY = msgspec.json.Decoder(_Identity)


class Batch(msgspec.Struct, frozen=True):
    """The events of one request that are accepted, in their order, and those that are not."""

    events: list[Event]
    rejected: list[RejectedEvent]


def decode_event(raw: bytes) -> Event:
    """Returns the event that ``raw`` (UTF-8 JSON) spells.

    Raises:
        InputError: Not an event; names the field, the problem and the fix.
    """
    try:
        event = _EVENT.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _explain(error) from error
    if b"\\u0000" in raw:
        msg = "a string contains the character U+0000; leave it out"
        raise InputError(msg)
    return event


def split_array(body: bytes) -> list[bytes]:
    """Returns the elements of a JSON array as bytes; ``[body]`` where it is one JSON object.

    Raises:
        InputError: Neither an array nor an object, or malformed.
    """
    head = body.lstrip()[:1]
    try:
        if head == b"[":
            return [bytes(raw) for raw in _RAWS.decode(body)]
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _explain(error) from error
    if head != b"{":
        msg = "the body is neither a CloudEvent object nor an array of them"
        raise InputError(msg)
    return [body]


def decode_batch(body: bytes, now: dt.datetime) -> Batch:
    """Returns the verdict on every event of a JSON array or a single JSON object.

    Raises:
        InputError: The body is not JSON of that form, so that no event can be told from another.
    """
    if body[:1] == b"[" and b"\\u0000" not in body:
        try:
            events = _EVENTS.decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeError):
            pass  # at least one is bad: find out which
        else:
            low, high = now - MAX_AGE, now + MAX_FUTURE
            if all(low < event.time < high for event in events):
                return Batch(events, [])
    return decode_each(split_array(body), now)


def decode_each(raws: Sequence[bytes], now: dt.datetime) -> Batch:
    """Returns the verdict on every event of ``raws``, each the JSON of one event."""
    events: list[Event] = []
    rejected: list[RejectedEvent] = []
    for index, raw in enumerate(raws):
        try:
            event = decode_event(raw)
            check_time(event, now)
        except InputError as error:
            rejected.append(reject(raw, error, index))
        else:
            events.append(event)
    return Batch(events, rejected)


def check_time(event: Event, now: dt.datetime) -> None:
    """Refuses an event whose clock cannot be right.

    Raises:
        InputError: More than 24 hours in the future, or more than ten years old.
    """
    if event.time >= now + MAX_FUTURE:
        msg = f"{event.time.isoformat()} is more than 24 hours in the future; check the sender's clock"
        raise InputError(msg, "time")
    if event.time <= now - MAX_AGE:
        msg = f"{event.time.isoformat()} is more than ten years ago; check the sender's clock"
        raise InputError(msg, "time")


def encode_events(events: Sequence[Event]) -> bytes:
    """Returns the events as NDJSON in canonical form: one line each, known fields only, each field once."""
    return _ENCODER.encode_lines(events)


def reject(raw: bytes, error: InputError, index: int | None = None) -> RejectedEvent:
    """Returns the dead letter for ``raw``: why it was refused, who it said it was, and its bytes."""
    try:
        identity = _IDENTITY.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        identity = _Identity()
    kept = raw[:MAX_REJECTED_BYTES]
    try:
        text, encoding = kept.decode(), "text"
    except UnicodeDecodeError:
        text, encoding = base64.b64encode(kept).decode(), "base64"
    return RejectedEvent(
        reason=error.reason,
        field=error.field,
        index=index,
        id=None if identity.id is None else identity.id[:200],
        source=None if identity.source is None else identity.source[:200],
        raw=text,
        encoding="text" if encoding == "text" else "base64",
    )


def _explain(error: Exception) -> InputError:
    """Turns a decoder's message into the field, the problem and the fix."""
    if isinstance(error, RecursionError):
        return InputError("nested too deeply; no event needs more than 16 levels")
    if isinstance(error, UnicodeError):
        return InputError("not valid UTF-8")
    text = str(error)
    found = _AT.search(text)
    field = found.group(1) if found else ""
    reason = text[: found.start()] if found else text
    if field == "type" and reason.startswith("Invalid value"):
        reason = f"unknown event type {reason.removeprefix('Invalid value ')}; one of {_TYPES}"
    elif "timezone component" in reason:
        reason = "time has no zone; end it with Z or an offset such as +02:00"
    elif reason.startswith("Object contains unknown field"):
        unknown = reason.removeprefix("Object contains unknown field ").strip("`")
        field = f"{field}.{unknown}" if field else unknown
        reason = "unknown field; remove it or correct its name"
    elif reason.startswith("Object missing required field"):
        missing = reason.removeprefix("Object missing required field ").strip("`")
        field = f"{field}.{missing}" if field else missing
        reason = "required field is missing"
    return InputError(reason, field)
