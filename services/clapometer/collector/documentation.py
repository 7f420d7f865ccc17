"""The OpenAPI document of the collector."""

import datetime as dt
from typing import Any

import msgspec
import msgspec.inspect as types
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from clapometer.collector.answers import Answer, Caution, Problem, Verdict
from clapometer.collector.examples import ANSWER_EXAMPLE, event_examples, problem_example
from clapometer.collector.intake.content import MEDIA_TYPES, Media
from clapometer.domain.events import (
    BROWSER_EVENTS,
    EVENT_TYPES,
    ClipRegisteredData,
    ClipWithdrawnData,
    Event,
)
from clapometer.domain.fields import ATTRIBUTES, FIELDS
from clapometer.http.openapi import KEY, REFUSED, Refusals, body, describe_operations, describe_properties, said

_DESCRIPTION = """Takes events in and answers once they are durable.

Events are [CloudEvents 1.0](https://cloudevents.io) in JSON; `(source, id)` is the identity of an event, so sending
it again changes nothing. Each event of a request gets its own verdict: a bad one never costs the others.

Keys: `cpk_…` keys may be published in a web page and send {browser}; `csk_…` keys are secret and send everything.
`css_…` keys are secret and are never sent: they sign (RFC 9421, docs/how-to/keys.md).
Send the key as `Authorization: Bearer <key>` or `X-Api-Key: <key>`; `navigator.sendBeacon`, which cannot set
headers, posts `text/plain` with `?key=cpk_…` in the address. Impressions sent with a publishable key count only
with the token that came with their slate."""

_STATUSES = {
    **REFUSED,
    403: "The key may not send this, or not from this page",
    408: "The body took too long",
    409: "The `Idempotency-Key` was used for another request, which stands; this one was not done",
    413: "The body is too long, unpacks to too much, or holds too many events",
    415: "The content type or encoding is none of ours",
    422: "No event could be accepted; `rejected` has a verdict on each",
    429: "Key or address send too much; `Retry-After` says how long to wait",
    503: "The event log is full or away; send the same again after `Retry-After`",
}


_BODY_STATUSES = (408, 413, 415)
"""Of requests that have a body."""


def openapi_document(app: FastAPI, now: dt.datetime) -> dict[str, Any]:
    """Returns the OpenAPI 3.1 document: FastAPI's routes, the events' path, and every event type as a schema."""
    names = ", ".join(f"`{kind.__struct_config__.tag}`" for kind in BROWSER_EVENTS)
    document = get_openapi(
        title=app.title, version=app.version, description=_DESCRIPTION.format(browser=names), routes=app.routes
    )
    schemas, components = msgspec.json.schema_components(
        [Event, Answer, Problem, ClipRegisteredData, ClipWithdrawnData, *EVENT_TYPES],
        ref_template="#/components/schemas/{name}",
    )
    event, answer, problem, clip, withdrawal = schemas[:5]
    components["Event"] = event
    _describe_events(components)
    describe_properties(components, (Verdict, Caution, Answer, Problem))
    document["components"] = {"schemas": components, "securitySchemes": KEY}
    document["security"] = [{"key": []}]
    examples = event_examples(now)
    paths = document["paths"]
    paths["/v1/events"] = {"post": _events_operation(examples)}
    optional_id = _without_required(components, clip, "clip_id")
    _describe(paths["/v1/clips/{clip_id}"]["put"], optional_id, examples["clip_registered"]["data"])
    withdrawn = {"reason": "rights", "scope": "duplicates"}
    withdrawing = _without_required(components, withdrawal, "clip_id")
    _describe(paths["/v1/clips/{clip_id}/withdrawal"]["post"], withdrawing, withdrawn)
    refusals = Refusals(_STATUSES, problem, lambda status: problem_example(status, _STATUSES[status]))
    _describe(paths["/v1/viewers/{viewer_id}"]["delete"], None, None)
    for path in ("/v1/events", "/v1/clips/{clip_id}", "/v1/clips/{clip_id}/withdrawal", "/v1/viewers/{viewer_id}"):
        for method, operation in paths[path].items():
            for parameter in operation.get("parameters", []):
                parameter.setdefault("description", FIELDS.get(parameter["name"], ""))
            without = {*(_BODY_STATUSES if method == "delete" else ()), *((409,) if path == "/v1/events" else ())}
            operation["responses"] = {
                "202": said("Durable, save the events that `rejected` names", answer, ANSWER_EXAMPLE),
                **refusals.all(without),
            }
    describe_operations(paths, refusals, _readiness(), "clapometer_collector_received_events_total 42.0\n")
    return document


def _readiness() -> dict[str, Any]:
    texts = {"type": "array", "items": {"type": "string"}}
    properties = {
        "status": {"type": "string", "description": "In a word"},
        "reasons": {**texts, "description": "Why events cannot be taken"},
        "warnings": {**texts, "description": "What has to be mended, though events are taken"},
    }
    schema = {"type": "object", "required": list(properties), "properties": properties}
    ready = {"status": "ready", "reasons": [], "warnings": []}
    full = {"status": "not ready", "reasons": ["the event log is full"], "warnings": []}
    return {
        "200": said("Yes; `warnings` says what has to be mended all the same", schema, ready),
        "503": said("No; `reasons` says why", schema, full),
    }


def _events_operation(examples: dict[str, Any]) -> dict[str, Any]:
    event = {"$ref": "#/components/schemas/Event"}
    one_or_many = {"oneOf": [{"type": "array", "items": event, "maxItems": 500}, event]}
    shown = {name: {"summary": name, "value": [value]} for name, value in examples.items()}
    shown["all"] = {"summary": "one of each, in one request", "value": list(examples.values())}
    content: dict[str, Any] = {}
    for name, media in MEDIA_TYPES.items():
        if media is Media.JSON:
            schema: dict[str, Any] = one_or_many
            content[name.decode()] = {"schema": schema, "examples": shown}
        else:
            content[name.decode()] = {"schema": {"type": "string"}}
    single = {name: {"summary": name, "value": value} for name, value in examples.items()}
    content["application/cloudevents+json"] = {"schema": event, "examples": single}
    return {
        "tags": ["events"],
        "summary": "Send events",
        "operationId": "send_events",
        "description": "An array of events, a single event, NDJSON, or a beacon; plain, gzip or zstd.",
        "security": [{"key": []}],
        "parameters": [
            {
                "name": "key",
                "in": "query",
                "required": False,
                "schema": {"type": "string"},
                "description": "A publishable key, for beacons",
            }
        ],
        "requestBody": {"required": True, "content": content},
    }


def _without_required(components: dict[str, Any], schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns an object schema in which ``name``, which the path gives, may be absent."""
    full = components[schema["$ref"].rpartition("/")[2]]
    return {**full, "required": [field for field in full["required"] if field != name]}


def _describe(operation: dict[str, Any], schema: dict[str, Any] | None, example: dict[str, Any] | None) -> None:
    operation["security"] = [{"key": []}]
    if schema is not None:
        given = {key: value for key, value in (example or {}).items() if key != "clip_id"}
        operation["requestBody"] = body(schema, given)


def _describe_events(components: dict[str, Any]) -> None:
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


def _describe_fields(components: dict[str, Any], kind: types.Type, path: tuple[str, ...]) -> None:
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
