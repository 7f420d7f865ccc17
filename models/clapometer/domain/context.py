"""The context attributes of CloudEvents: those that we use are checked, no other ever costs an event its place.

The specification lets anybody add attributes (https://github.com/cloudevents/spec, version 1.0.2), and SDKs, proxies
and tracers do. What is no attribute by its name, lower-case letters and digits, is a slip and is told.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from clapometer.domain.errors import InputError
from clapometer.domain.spellings import decoded, plain_text

CHECKED = frozenset({"specversion", "id", "source", "type", "time", "sentat", "data"})
"""What every event is judged by."""
KEPT = frozenset({"subject", "datacontenttype", "dataschema", "traceparent"})
"""What stays with an event in the log, where it is text."""
ATTRIBUTE = re.compile("[a-z0-9]+")
_RAW = msgspec.json.Decoder(msgspec.Raw)


def is_ignored(name: str, value: object) -> bool:
    """Returns whether an attribute is left out: it is none that we use, or not what it should be."""
    if name in CHECKED or not ATTRIBUTE.fullmatch(name):
        return False
    return name not in KEPT or not isinstance(value, str) or "\0" in value


def known_attributes(event: dict[str, Any]) -> dict[str, Any]:
    """Returns an event without the attributes that are ignored, and with what ``data_base64`` spells as its data.

    Raises:
        InputError: ``data_base64`` is not base64 of JSON.
    """
    known = {name: value for name, value in event.items() if not is_ignored(name, value)}
    if "data_base64" in known and known.get("data") is None:
        known["data"] = _from_base64(known.pop("data_base64"))
    return known


def is_json(media: bytes) -> bool:
    """Returns whether a media type, in lower case and without parameters, is one of JSON."""
    return media in (b"application/json", b"text/json") or media.endswith(b"+json")


def binary_event(attributes: Mapping[str, str], data: bytes) -> bytes:
    """Returns the JSON of an event whose attributes came apart from its ``data``: CloudEvents' binary mode."""
    event: dict[str, Any] = {name: value for name, value in attributes.items() if not is_ignored(name, value)}
    content = plain_text(data)
    if content:
        try:
            event["data"] = _RAW.decode(content)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            msg = f"malformed JSON: {str(error).removeprefix('JSON is malformed: ')}; write it with a JSON library"
            raise InputError(msg, "data", code="malformed") from error
    return msgspec.json.encode(event)


def _from_base64(text: object) -> object:
    try:
        value = decoded(base64.b64decode(text, validate=True)) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        value = None
    if value is None:
        msg = "must be base64 of the JSON of the data; send `data` itself"
        raise InputError(msg, "data_base64", code="malformed")
    return value
