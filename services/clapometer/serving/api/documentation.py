"""The OpenAPI document of serving."""

from collections.abc import Collection
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from clapometer.domain.events import Experiment
from clapometer.http.problems import PROBLEM, Problem
from clapometer.serving.api import examples
from clapometer.serving.api.described import describe_properties
from clapometer.serving.api.sql import SqlRequest
from clapometer.serving.reading.answers import (
    SEGMENTS,
    SUBJECTS,
    Comparison,
    LeftOut,
    NotRanked,
    Ranking,
    Run,
    Slate,
    Slot,
    Standing,
)
from clapometer.serving.reading.reproduction import Reproduction
from clapometer.serving.slates.sessions import VOUCHER, SessionRequest, VouchedSession
from clapometer.serving.slates.slates import SlateRequest

_DESCRIPTION = """Rankings of model versions, prompts and templates, and slates that make such rankings possible.

Send a secret key as `Authorization: Bearer <key>` or `X-Api-Key: <key>`. Rankings of the public tenant, where the
server has one, need none. `POST /v1/slates` also takes a publishable key, with a voucher. Labels are text that others
wrote: escape them wherever they are shown."""

_SLATE_EXAMPLE = {
    "candidates": ["clip-1", "clip-2", "clip-3"],
    "viewer_id": "viewer-1",
    "session_id": "session-1",
    "surface": "feed",
    "slots": 2,
}
_SESSION_EXAMPLE = {"viewer_id": "viewer-1", "surface": "feed", "candidates": _SLATE_EXAMPLE["candidates"]}
_VOUCHER = "From `POST /v1/sessions`: who watches what; needed with a publishable key"
_SQL_EXAMPLE = {"sql": "SELECT surface, count(*) AS impressions FROM outcomes GROUP BY ALL", "format": "json"}
_SQL_ANSWER = {
    "type": "object",
    "required": ["columns", "rows", "truncated"],
    "properties": {
        "columns": {
            "type": "array",
            "description": "The columns of the answer, in their order",
            "items": {
                "type": "object",
                "required": ["name", "type"],
                "properties": {
                    "name": {"type": "string", "description": "As the statement calls it"},
                    "type": {"type": "string", "description": "DuckDB's type"},
                },
            },
        },
        "rows": {"type": "array", "description": "A list of values for each row", "items": {"type": "array"}},
        "truncated": {"type": "boolean", "description": "Whether rows were left out at the limit"},
    },
}
_REFUSALS = {
    400: "A header or key is there twice, or the request is no HTTP",
    401: "No key or signature that holds, or the body is not the one that `Content-Digest` names",
    403: "The key may not do this, or not from this page; of slates: the voucher does not hold for this",
    404: "No run has been good yet, or it has no such item; `detail` says what to do",
    413: "The body is too long",
    415: "The body is compressed",
    422: "A parameter or field does not fit; `field` names it, `available` says what there is",
    429: "Key, viewer or address ask too much, or have as much under way as they may; see `Retry-After`",
    503: "The lake cannot be read, or too much is under way; see `Retry-After`",
}
_OF_BODIES = (413, 415)
_NO_HTTP = "Invalid HTTP request received."
_TYPES = (
    Ranking, Run, Standing, NotRanked, Reproduction, Comparison, SlateRequest, Experiment, Slate, Slot, LeftOut,
    SessionRequest, VouchedSession, SqlRequest, Problem,
)  # fmt: skip


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI 3.1 document: FastAPI's routes with our parameters, bodies, answers and examples."""
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    schemas, components = msgspec.json.schema_components(
        [Ranking, Comparison, SlateRequest, Slate, SqlRequest, Problem, SessionRequest, VouchedSession],
        ref_template="#/components/schemas/{name}",
    )
    ranking, comparison, request, slate, statement, problem, sessions, vouched = schemas
    describe_properties(components, _TYPES)
    components["Standing"]["properties"]["standing"]["description"] = "That it has a place"
    components["NotRanked"]["properties"]["standing"]["description"] = "That it has none"
    document["components"] = {
        "schemas": components,
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key"}},
    }
    paths = document["paths"]
    common = [*(_parameter(name, "Filter: one at a time") for name in SEGMENTS), *_time_parameters()]
    subject = {**_parameter("subject", "What is ranked", choices=SUBJECTS), "in": "path", "required": True}
    pages = [
        _parameter("limit", "Items of one answer", kind="integer"),
        _parameter("offset", "Items to skip", kind="integer"),
    ]
    shown = (ranking, examples.ranking_example())
    _describe(paths["/v1/rankings/{subject}"]["get"], shown, problem, [subject, *common, *pages], _OF_BODIES)
    paths["/v1/rankings/{subject}"]["get"]["responses"]["304"] = {"description": "Still what `If-None-Match` quotes"}
    sides = [
        {**_parameter(side, "An item, as `/v1/rankings` names it"), "required": True} for side in ("left", "right")
    ]
    pair = [*sides, _parameter("subject", "What they are", choices=SUBJECTS)]
    _describe(
        paths["/v1/compare"]["get"], (comparison, examples.comparison_example()), problem, [*pair, *common], _OF_BODIES
    )
    voucher = {**_parameter(VOUCHER, _VOUCHER), "in": "header"}
    _describe(paths["/v1/slates"]["post"], (slate, examples.slate_example()), problem, [voucher], (404,))
    paths["/v1/slates"]["post"]["requestBody"] = _json_body(request, _SLATE_EXAMPLE)
    _describe(paths["/v1/sessions"]["post"], (vouched, examples.session_example()), problem, [], (404,))
    paths["/v1/sessions"]["post"]["requestBody"] = _json_body(sessions, _SESSION_EXAMPLE)
    _describe(paths["/v1/sql"]["post"], (_SQL_ANSWER, examples.SQL_EXAMPLE), problem, [], ())
    _describe_sql(paths["/v1/sql"]["post"], statement)
    _describe_operations(paths, problem)
    for path in ("/v1/rankings/{subject}", "/v1/compare"):
        paths[path]["get"]["security"] = [{"key": []}, {}]
    for path in ("/v1/slates", "/v1/sessions", "/v1/sql"):
        paths[path]["post"]["security"] = [{"key": []}]
    return document


def _describe(
    operation: dict[str, Any],
    shown: tuple[dict[str, Any], dict[str, Any]],
    problem: dict[str, Any],
    parameters: list[dict[str, Any]],
    without: Collection[int],
) -> None:
    answer, example = shown
    operation["parameters"] = parameters
    operation["responses"] = {
        "200": {"description": "As asked", "content": {"application/json": {"schema": answer, "example": example}}},
        **{
            str(status): {"description": text, "content": _refused(problem, status)}
            for status, text in _REFUSALS.items()
            if status not in without
        },
    }


def _json_body(schema: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}


def _refused(problem: dict[str, Any], status: int) -> dict[str, Any]:
    # what is no HTTP gets a sentence
    plain = {"text/plain": {"schema": {"type": "string"}, "example": _NO_HTTP}} if status == 400 else {}
    return {PROBLEM: {"schema": problem, "example": examples.problem_example(status)}, **plain}


def _describe_operations(paths: dict[str, Any], problem: dict[str, Any]) -> None:
    status = {"type": "string", "description": "`ok`, or `ready`"}
    lake = {"type": "string", "description": "Whether the published lake is `open`, or `not published yet`"}
    state = {"type": "object", "required": ["status"], "properties": {"status": status}}
    readiness = state | {"properties": {"status": status, "lake": lake}}
    plain = _said("Yes", "application/json", state, {"status": "ok"})
    ready = _said("Yes", "application/json", readiness, {"status": "ready", "lake": "open"})
    text = _said("In Prometheus' text format", "text/plain", {"type": "string"}, examples.METRICS_EXAMPLE)
    away = {"503": {"description": "No; `detail` says why", "content": _refused(problem, 503)}}
    refused = {"400": {"description": _REFUSALS[400], "content": _refused(problem, 400)}}
    for path, responses in (("/healthz", plain), ("/readyz", ready | away), ("/metrics", text)):
        paths[path]["get"] |= {"security": [], "responses": responses | refused}


def _said(text: str, media: str, schema: dict[str, Any], example: object) -> dict[str, Any]:
    return {"200": {"description": text, "content": {media: {"schema": schema, "example": example}}}}


def _describe_sql(operation: dict[str, Any], statement: dict[str, Any]) -> None:
    content = operation["responses"]["200"]["content"]
    content["text/csv"] = {"schema": {"type": "string"}, "example": examples.CSV_EXAMPLE}
    content["application/vnd.apache.arrow.stream"] = {"schema": {"type": "string", "format": "binary"}}
    operation["requestBody"] = _json_body(statement, _SQL_EXAMPLE)


def _parameter(name: str, text: str, *, kind: str = "string", choices: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind}
    if choices:
        schema["enum"] = list(choices)
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _time_parameters() -> list[dict[str, Any]]:
    as_of = "The newest good run finished by this time (RFC 3339), or the run of this id"
    return [_parameter("as_of", as_of), _parameter("run", "The run of this id")]
