"""Descriptions of properties in OpenAPI: from what the event model says of its fields."""

from typing import Any

import msgspec.inspect as types

from clapometer.domain import EVENT_TYPES
from clapometer.domain.fields import ATTRIBUTES, FIELDS

Schemas = dict[str, Any]


def describe_events(components: Schemas) -> None:
    """Adds to the schemas of all events what their attributes and the fields of their data mean.

    An event may have more attributes than are listed: those whose names CloudEvents allows.
    """
    for kind in EVENT_TYPES:
        schema = components[kind.__name__]
        for name, text in ATTRIBUTES.items():
            schema["properties"][name].setdefault("description", text)
        schema["additionalProperties"] = {"description": "An extension attribute; left out."}
        schema["propertyNames"] = {"pattern": "^[a-z0-9]+$"}
        (data,) = [field.type for field in types.type_info(kind).fields if field.name == "data"]  # type: ignore[attr-defined]
        _describe_fields(components, data, ())


def _describe_fields(components: Schemas, kind: types.Type, path: tuple[str, ...]) -> None:
    plain = _plain(kind)
    if isinstance(plain, types.ListType):
        _describe_fields(components, plain.item_type, path)
    if not isinstance(plain, types.StructType):
        return
    for field in plain.fields:
        inner = (*path, field.encode_name)
        schema = components[plain.cls.__name__]["properties"][field.encode_name]
        schema.setdefault("description", FIELDS["_".join(inner)])
        _describe_fields(components, field.type, inner)


def _plain(kind: types.Type) -> types.Type:
    """Returns a type without null and constraints."""
    while isinstance(kind, types.Metadata | types.UnionType):
        inner = [kind.type] if isinstance(kind, types.Metadata) else kind.types
        kind = next(member for member in inner if not isinstance(member, types.NoneType))
    return kind
