"""Writes docs/reference/events.md from the event types: ``python scripts/event_reference.py``."""

import inspect
import re
from pathlib import Path

import msgspec.inspect as types

from clapometer.domain import BROWSER_EVENTS, EVENT_TYPES, REASONS
from clapometer.domain.fields import FIELDS

TARGET = Path(__file__).parent.parent / "docs" / "reference" / "events.md"
HEAD = """\
# Events

Generated from `models/clapometer/domain/events.py` by `scripts/event_reference.py`; do not edit.

A clip may be registered again: its latest registration, by time, counts for all its impressions, those before it too.
One that gives a clip another prompt or model version is stored with a warning where the collector still knows the one
before (it remembers some 50,000), and listed in the view `clip_changes`; `clapometer doctor` counts them.

The wire form is CloudEvents 1.0 JSON. `(source, id)` and the kind of key (secret or publishable) are the identity of
an event: sent again it is a duplicate and changes nothing; sent again with other data it is a conflict, and the first
one stays. Erasures and withdrawals are done whatever their id. The sources `/v1/clips` and `/v1/viewers` belong to the
routes of these names ([why](../decisions/0018-the-kind-of-key-is-part-of-an-events-identity.md)).
Unknown fields of `data` are refused. Null of a field that is not needed is its absence, whole numbers may be written
as JSON Schema allows (`3.0`, `1e3`), and a byte order mark before a body is no fault.

Every refused event has a verdict: its index, its id, the field, what is wrong and how to mend it; what is missing is
named all at once. The kind of fault is one of: {codes}.

| attribute | type | needed | meaning |
| --- | --- | --- | --- |
| `specversion` | `"1.0"` | yes | version of CloudEvents |
| `id` | text, 1–200 | yes | unique within `source`; UUIDv7 is a good choice |
| `source` | text, 1–200 | yes | the sender, such as `/web/app` |
| `type` | see below | yes | which event this is |
| `time` | RFC 3339 with zone | yes | when it happened, by the sender's clock; within ten years before it was sent |
| `sentat` | RFC 3339 with zone | no | when it was sent, by the same clock: corrects the skew |
| `subject`, `dataschema`, `datacontenttype`, `traceparent` | text | no | as in CloudEvents; kept off the lake |
| others (`tracestate`, `partitionkey`, `sequence`, …) | any | no | left out; names: lower-case letters and digits |

Over HTTP events come in structured mode (one, an array, or a line each) or, one at a time, in binary mode: `ce-`
headers with the data as body. `data_base64` is taken where it holds JSON. Pages may send whatever headers their tracing
adds (`tracestate`, `baggage`, `sentry-trace`, `x-datadog-…`, `b3`, …): preflights allow what the browser asks for.

A publishable key may say what happened within `max_browser_age_hours` (48) before it was sent.

What one `source` says of one impression or clip stays in the order of its own clock, however wrong that is and however
long each request takes; an undoing at the instant of its reaction counts as after it
([why](../decisions/0017-one-clients-events-keep-its-order.md)).
"""


def describe(kind: types.Type) -> str:  # noqa: C901, PLR0911, PLR0912 - one branch a type
    """Returns a type in words."""
    match kind:
        case types.Metadata(type=inner, extra_json_schema={"minimum": low, "maximum": high}):
            return f"{describe(inner)}, {low}…{high}"
        case types.Metadata(type=inner):
            return describe(inner)
        case types.UnionType(types=members):
            return " or ".join(describe(member) for member in members if not isinstance(member, types.NoneType))
        case types.StrType(min_length=low, max_length=high, pattern=pattern):
            if pattern:
                return f"text matching `{pattern}`"
            return f"text, {low or 0}–{high}" if high else "text"
        case types.IntType(ge=low, le=high):
            return "whole number" if low is None else f"whole number, {low}…{high}"
        case types.FloatType(gt=above, ge=low, le=high):
            if above is not None:
                return f"number, above {above:g} up to {high:g}"
            return "number" if low is None else f"number, {low:g}…{high:g}"
        case types.BoolType():
            return "true or false"
        case types.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case types.ListType(item_type=item, max_length=high):
            return f"list of up to {high}: {describe(item)}"
        case types.TupleType(item_types=items):
            return "[" + ", ".join(describe(item) for item in items) + "]"
        case types.DictType(value_type=value):
            return f"object; values: {describe(value)}"
        case types.StructType(cls=cls):
            return cls.__name__
    return str(kind)


def plain(kind: types.Type) -> types.Type:
    """Returns the type without None and constraints."""
    if isinstance(kind, types.Metadata):
        return plain(kind.type)
    if isinstance(kind, types.UnionType):
        rest = [member for member in kind.types if not isinstance(member, types.NoneType)]
        return plain(rest[0]) if len(rest) == 1 else kind
    return kind


def rows(struct: types.StructType, prefix: str = "") -> list[str]:
    """Returns one table row per field, nested ones with a dotted path."""
    lines = []
    for field in struct.fields:
        kind = plain(field.type)
        path = f"{prefix}{field.encode_name}"
        needed = f"{'yes' if field.required else ''} | {FIELDS[re.sub(r'[^a-z0-9]+', '_', path)]}"
        items = plain(kind.item_type) if isinstance(kind, types.ListType) else None
        lines.append(f"| `{prefix}{field.encode_name}` | {'object' if isinstance(kind, types.StructType) else ''}")
        if isinstance(kind, types.StructType):
            lines[-1] += f" | {needed} |"
            lines += rows(kind, f"{prefix}{field.encode_name}.")
        elif isinstance(items, types.StructType):
            lines[-1] += f"list of up to {kind.max_length}: object | {needed} |"  # type: ignore[union-attr]
            lines += rows(items, f"{prefix}{field.encode_name}[].")
        else:
            lines[-1] += f"{describe(field.type)} | {needed} |"
    return lines


def event_reference() -> str:
    """Returns the page: every event type with the fields of its data."""
    parts = [HEAD.replace("{codes}", "; ".join(f"`{code}`, {text}" for code, text in REASONS.items()))]
    for event in EVENT_TYPES:
        info = types.type_info(event)
        data = next(field for field in info.fields if field.name == "data").type  # type: ignore[attr-defined]
        key = "publishable or secret" if event in BROWSER_EVENTS else "secret"
        parts.append(f"\n## `{info.tag}`\n\n{inspect.getdoc(data.cls)}\n\nKey: {key}.\n\n")  # type: ignore[attr-defined]
        parts.append(
            "| field of `data` | type | needed | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows(data)) + "\n"
        )
    return "".join(parts).replace("\n\n\n", "\n\n")


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(event_reference())
