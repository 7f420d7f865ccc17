"""Why an event was refused, in words that name the field and the fix.

Only refused events come here, so it may take its time: it reads the event once more with a lenient parser to
find the value that a strict one stumbles over.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence

import msgspec
import msgspec.inspect as types

from clapometer.domain.context import CHECKED, KEPT
from clapometer.domain.errors import InputError
from clapometer.domain.events import EVENT_TYPES
from clapometer.domain.reasons import Code
from clapometer.domain.splitting import deeper_than

MAX_DEPTH = 16
"""How deep JSON may be nested; the deepest event needs 6 levels."""

_AT = re.compile(r" - at `(?:key` in `)?\$\.?([^`]*)`$")
_BOUNDED = re.compile(r"`(\w+)` (must be from .*)")
_KINDS = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "null": "null",
    "array": "an array", "object": "an object", "datetime": "a time such as 2026-01-31T12:00:00Z",
}  # fmt: skip
_BOUNDS = {
    ">=": "at least", "<=": "at most", ">": "greater than", "<": "less than",
    "of length >=": "of length at least", "of length <=": "of length at most",
}  # fmt: skip
_HINTS = {
    "data.propensity": "the chance that this slot is filled with this clip, 0 < p <= 1; leave it out if unknown",
    "data.watched_ms": "unique milliseconds watched, which no clip's length exceeds; loops go into total_ms",
    "data.duration_ms": "the length of the clip in milliseconds",
    "specversion": "this is CloudEvents 1.0",
    "data.currency": "an ISO 4217 code such as EUR",
    "data.cost.currency": "an ISO 4217 code such as EUR",
}
_IDENTITY = [re.compile(rb'"%s"\s*:\s*"([^"\\]{1,200})"' % name) for name in (b"id", b"source")]
_HAS, _LACKS = "Object contains unknown field ", "Object missing required field "
_NEEDED = ("type", "specversion", "id", "source", "time", "data")
_TYPE_NAMES = ", ".join(sorted(kind.__struct_config__.tag for kind in EVENT_TYPES))  # type: ignore[misc]


def explain(error: Exception, raw: bytes, max_depth: int = MAX_DEPTH, kind: type | None = None) -> InputError:
    """Returns the field, the problem and the fix behind a decoder's ``error`` over ``raw``.

    Args:
        error: Why it was refused.
        raw: The bytes of one event, or of a ``kind``.
        max_depth: How deep it may be nested.
        kind: What it should be, where that is no event.
    """
    if isinstance(error, RecursionError) or deeper_than(raw, max_depth):
        return InputError(f"nested deeper than {max_depth} levels; nothing here needs that", code="too_deep")
    if not isinstance(error, msgspec.ValidationError):
        return _malformed(error, raw)
    text = str(error)
    found = _AT.search(text)
    field = found.group(1) if found else ""
    reason = text[: found.start()] if found else text
    value = _lenient(raw)
    shape = _shape(value, kind)
    missing = _missing_fields(shape, value) if shape else [name for name in _NEEDED if _lacks(value, name)]
    if reason.startswith(_LACKS):
        name = reason.removeprefix(_LACKS).strip("`")
        missing = missing or [f"{field}.{name}" if field else name]
        return InputError(_lacking(missing), missing[0], code="missing_field")
    if reason.startswith(_HAS):
        name = reason.removeprefix(_HAS).strip("`")
        told = InputError(*_unknown(name, field, is_event=kind is None), code="unknown_field")
    elif bounded := _BOUNDED.fullmatch(reason):
        told = InputError(f"{bounded[2]}; correct it", f"{field}.{bounded[1]}", code="out_of_range")
    else:
        told = InputError(_reason(reason, field, shape), field, code=_code(reason, field))
    if not missing:
        return told
    return InputError(f"{told.reason} (also missing: {', '.join(missing)})", told.field, code=told.code)


def _lacking(missing: Sequence[str]) -> str:
    if len(missing) == 1:
        return "required field is missing; add it"
    return f"required fields are missing: {', '.join(missing)}; add them"


def _lacks(value: object, name: str) -> bool:
    return isinstance(value, dict) and name not in value


def _unknown(name: str, field: str, *, is_event: bool) -> tuple[str, str]:
    """Returns why a name is not taken, and its path."""
    if field or not is_event:
        return "unknown field; remove it or correct its name", f"{field}.{name}" if field else name
    near = re.sub("[^a-z0-9]", "", name.lower())
    meant = f"; did you mean {near}?" if near in CHECKED | KEPT else ""
    reason = f"no attribute of a CloudEvent: their names are lower-case letters and digits; correct or remove it{meant}"
    return reason, name


def _shape(value: object, kind: type | None) -> types.Type | None:
    """Returns what a value should look like; ``None`` for an event of no known type."""
    tag = value.get("type") if isinstance(value, dict) else None
    kinds = [kind] if kind else [each for each in EVENT_TYPES if each.__struct_config__.tag == tag]
    return types.type_info(kinds[0]) if kinds else None


def _missing_fields(shape: types.Type, value: object) -> list[str]:
    """Returns the needed fields that a value lacks, all of them; an event's attributes come before its data."""
    return sorted(_missing(shape, value, ""), key=lambda path: path.startswith("data."))


def _missing(kind: types.Type, value: object, path: str) -> Iterator[str]:
    node = _bare(kind)
    if isinstance(node, types.ListType) and isinstance(value, list):
        for place, item in enumerate(value):
            yield from _missing(node.item_type, item, f"{path}[{place}]")
    if not isinstance(node, types.StructType) or not isinstance(value, dict):
        return
    for field in node.fields:
        inner = f"{path}.{field.encode_name}" if path else field.encode_name
        if field.encode_name in value:
            yield from _missing(field.type, value[field.encode_name], inner)
        elif field.required:
            yield from list(_missing(field.type, {}, inner)) or [inner]


def identity(raw: bytes) -> tuple[str | None, str | None]:
    """Returns what an event that may be malformed gives as its ``id`` and ``source``, where they are text."""
    value = _lenient(raw)
    if isinstance(value, dict):
        return _text(value.get("id")), _text(value.get("source"))
    # Not JSON by any reading: what looks like an id helps its sender more than none.
    guesses = [pattern.search(raw) for pattern in _IDENTITY]
    event_id, source = (_text(guess[1].decode("utf-8", "replace")) if guess else None for guess in guesses)
    return event_id, source


def nul_field(raw: bytes) -> str | None:
    """Returns the field whose text holds the character U+0000; ``None`` where none does."""
    return _find(_lenient(raw), lambda value: isinstance(value, str) and "\0" in value)


def _reason(reason: str, field: str, shape: types.Type | None) -> str:
    if field == "type" and reason.startswith("Invalid value"):
        reason = f"unknown event type {reason.removeprefix('Invalid value ')}; send one of {_TYPE_NAMES}"
    elif "timezone component" in reason:
        reason = "time has no zone; end it with Z or an offset such as +02:00"
    elif reason.startswith("Invalid enum value"):
        reason = f"{reason.removeprefix('Invalid enum value ')} is not known here; send {_allowed(field, shape)}"
    elif reason.startswith("Invalid RFC3339"):
        reason = "not a time; write it as in 2026-01-31T12:00:00Z"
    elif reason == "Number out of range":
        reason = "number out of range; send one that fits 64 bits"
    elif reason.startswith("Expected "):
        reason = _expected(reason.removeprefix("Expected "))
    return reason + (f" ({_HINTS[field]})" if field in _HINTS else "")


def _code(reason: str, field: str) -> Code:
    """Returns what kind of fault a decoder's words tell of."""
    if reason.startswith("Invalid value") and field == "type":
        return "unknown_type"
    if reason.startswith("Invalid enum value"):
        return "unknown_value"
    if "timezone component" in reason or reason.startswith("Invalid RFC3339") or "matching regex" in reason:
        return "wrong_form"
    if reason.startswith("Expected "):
        return "wrong_type" if ", got " in reason or reason.endswith("`") else "out_of_range"
    return "out_of_range" if reason == "Number out of range" else "inconsistent"


def _expected(rest: str) -> str:
    """Rewrites what follows "Expected" in messages such as "Expected `int` >= 0" and "Expected `str`, got `int`"."""
    wanted, comma, got = rest.partition(", got ")
    kinds, _, bound = wanted.partition("` ")
    named = " or ".join(_KINDS.get(kind, kind) for kind in kinds.strip("`").split(" | "))
    if comma and (kinds.strip("`").partition(" ")[0], got) == ("int", "`float`"):
        return "must be a whole number that fits 64 bits; leave its fraction out"
    if comma:
        return f"must be {named}, is {_KINDS.get(got.strip('`'), got)}; send {named}"
    if not bound:
        return f"must be {named}; send {named}"
    if bound.startswith("matching regex "):
        return f"must match the pattern {bound.removeprefix('matching regex ')}; correct it"
    relation, _, limit = bound.rpartition(" ")
    return f"must be {named} {_BOUNDS.get(relation, relation)} {limit.removesuffix('.0')}; correct it"


def _allowed(field: str, shape: types.Type | None) -> str:
    """Returns the values that a field with a closed list of them may take."""
    node = shape
    for name in field.replace("[...]", ".[...]").split("."):
        node = _child(node, name)
    values = node.values if isinstance(node, types.LiteralType) else []
    return "one of " + ", ".join(str(value) for value in values) if values else "one of the documented values"


def _child(node: types.Type | None, name: str) -> types.Type | None:
    if isinstance(node, types.StructType):
        matching = [field.type for field in node.fields if field.encode_name == name]
        node = matching[0] if matching else None
    elif isinstance(node, types.DictType):
        node = node.value_type
    return None if node is None else _bare(node)


def _bare(node: types.Type) -> types.Type:
    """Returns a type without null and constraints."""
    while isinstance(node, types.Metadata | types.UnionType):
        node = node.type if isinstance(node, types.Metadata) else _not_null(node)
    return node


def _not_null(union: types.UnionType) -> types.Type:
    return next(member for member in union.types if not isinstance(member, types.NoneType))


def _malformed(error: Exception, raw: bytes) -> InputError:
    """Finds the value that makes an event no JSON: not a number, half a character, bytes that are not UTF-8."""
    value = _lenient(raw)
    field = _find(value, lambda item: isinstance(item, float) and not math.isfinite(item))
    if field is not None:
        return InputError(
            "NaN and Infinity are not JSON; leave the field out or send a number", field, code="malformed"
        )
    field = _find(value, lambda item: isinstance(item, str) and not _is_text(item))
    if isinstance(error, UnicodeError) or not is_utf8(raw):
        return InputError("not valid UTF-8; encode the text as UTF-8", field or "", code="malformed")
    if field is not None:
        return InputError("half of a surrogate pair; send the whole character or leave it out", field, code="malformed")
    if not raw:
        return InputError("malformed JSON: nothing between two commas; remove one of them", code="malformed")
    detail = str(error).removeprefix("JSON is malformed: ")
    if detail.startswith("trailing characters"):
        detail += ", another value; several events are a JSON array, or a line each as application/x-ndjson"
        return InputError(f"malformed JSON: {detail}", code="malformed")
    return InputError(f"malformed JSON: {detail}; write it with a JSON library", code="malformed")


def _lenient(raw: bytes) -> object:
    """Returns ``raw`` read by a parser that lets through NaN, lone surrogates and control characters."""
    try:
        return json.loads(raw.decode("utf-8", "surrogateescape"), strict=False)
    except (ValueError, RecursionError):
        return None


def _find(value: object, wrong: Callable[[object], bool], path: str = "", depth: int = 0) -> str | None:
    """Returns the path of the first value that is ``wrong``."""
    if depth > MAX_DEPTH:
        return None
    if isinstance(value, dict):
        parts = [(f"{path}.{_text(key)}" if path else _text(key) or "", item) for key, item in value.items()]
        parts += [(path, key) for key in value]
    elif isinstance(value, list):
        parts = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    else:
        return path if wrong(value) else None
    return next((found for name, item in parts if (found := _find(item, wrong, name, depth + 1)) is not None), None)


def _text(value: object) -> str | None:
    return value[:200].encode("utf-8", "replace").decode().replace("\0", "\ufffd") if isinstance(value, str) else None


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def is_utf8(raw: bytes) -> bool:
    """Returns whether ``raw`` is UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
