"""What the OpenAPI documents of all services say alike: refusals, operations, descriptions from docstrings."""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec

from clapometer.http.docstrings import attributes

Schema = dict[str, Any]

PROBLEM = "application/problem+json"
"""Media type of a refusal (RFC 9457)."""
KEY = {"key": {"type": "http", "scheme": "bearer", "description": "An API key"}}
"""How a caller says who it is."""
REFUSED = {
    400: "A header or key is there twice, or the request is no HTTP",
    401: "No key or signature that holds, or the body is not the one that `Content-Digest` names",
}
"""What some statuses mean everywhere."""
_NO_HTTP = "Invalid HTTP request received."


def said(description: str, schema: Schema, example: object, media: str = "application/json") -> Schema:
    """Returns what a document says of an answer."""
    return {"description": description, "content": {media: {"schema": schema, "example": example}}}


def body(schema: Schema, example: object) -> Schema:
    """Returns what a document says of the JSON that a request has to send."""
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


class Refusals(msgspec.Struct, frozen=True):
    """What a service refuses with.

    Attributes:
        meanings: What each status means, in a sentence.
        schema: Schema of its problems.
        example: Returns the problem of a status.
    """

    meanings: Mapping[int, str]
    schema: Schema
    example: Callable[[int], Schema]

    def of(self, status: int) -> Schema:
        """Returns the answer of a status; what is no HTTP is told so in plain text."""
        told = said(self.meanings[status], self.schema, self.example(status), PROBLEM)
        if status == 400:
            told["content"]["text/plain"] = {"schema": {"type": "string"}, "example": _NO_HTTP}
        return told

    def all(self, without: Collection[int] = ()) -> Schema:
        """Returns the answers of all statuses but some, by status."""
        return {str(status): self.of(status) for status in self.meanings if status not in without}


def describe_properties(
    components: Schema, kinds: Iterable[type], otherwise: Callable[[type, str], str | None] = lambda _kind, _name: None
) -> None:
    """Adds to the schema of each type what its docstring says of its properties, or else ``otherwise``."""
    for kind in kinds:
        told = attributes(kind)
        for name, schema in components[kind.__name__]["properties"].items():
            if text := told.get(name) or otherwise(kind, name):
                schema.setdefault("description", text)


def describe_operations(paths: Schema, refusals: Refusals, ready: Schema, metrics: str) -> None:
    """Says what ``/healthz``, ``/readyz`` and ``/metrics`` answer: anybody may ask them.

    Args:
        paths: Of the document; changed.
        refusals: What the service refuses with.
        ready: What ``/readyz`` answers, by status.
        metrics: Some lines of the metrics.
    """
    status = {"status": {"type": "string", "description": "In a word"}}
    alive = {"type": "object", "required": ["status"], "properties": status}
    answers = {
        "/healthz": {"200": said("Yes", alive, {"status": "ok"})},
        "/readyz": ready,
        "/metrics": {"200": said("In Prometheus' text format", {"type": "string"}, metrics, "text/plain")},
    }
    for path, responses in answers.items():
        paths[path]["get"] |= {"security": [], "responses": responses | {"400": refusals.of(400)}}
