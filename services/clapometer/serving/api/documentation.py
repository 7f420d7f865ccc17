"""The OpenAPI document of serving."""

from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from clapometer.domain.events import Experiment
from clapometer.http.openapi import KEY, REFUSED, Refusals, body, describe_operations, describe_properties, said
from clapometer.http.problems import Problem
from clapometer.lake.published.catalogue import column_comment
from clapometer.serving.api import examples
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
    **REFUSED,
    403: "The key may not do this, or not from this page; of slates: the voucher does not hold for this",
    404: "No run has been good yet, or it has no such item; `detail` says what to do",
    413: "The body is too long",
    415: "The body is compressed",
    422: "A parameter or field does not fit; `field` names it, `available` says what there is",
    429: "Key, viewer or address ask too much, or have as much under way as they may; see `Retry-After`",
    503: "The lake cannot be read, or too much is under way; see `Retry-After`",
}
_OF_BODIES = (413, 415)
_TYPES = (
    Ranking, Run, Standing, NotRanked, Reproduction, Comparison, SlateRequest, Experiment, Slate, Slot, LeftOut,
    SessionRequest, VouchedSession, SqlRequest, Problem,
)  # fmt: skip

_TABLES: Mapping[type, str] = {Standing: "rankings", NotRanked: "rankings", Run: "runs", Comparison: "contrasts"}
"""Tables whose columns some types show; what other types share with a column says the same everywhere."""


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Returns the OpenAPI 3.1 document: FastAPI's routes with our parameters, bodies, answers and examples."""
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    schemas, components = msgspec.json.schema_components(
        [Ranking, Comparison, SlateRequest, Slate, SqlRequest, Problem, SessionRequest, VouchedSession],
        ref_template="#/components/schemas/{name}",
    )
    ranking, comparison, request, slate, statement, problem, sessions, vouched = schemas
    describe_properties(components, _TYPES, lambda kind, name: column_comment(_TABLES.get(kind, ""), name))
    components["Standing"]["properties"]["standing"]["description"] = "That it has a place"
    components["NotRanked"]["properties"]["standing"]["description"] = "That it has none"
    document["components"] = {"schemas": components, "securitySchemes": KEY}
    refusals = Refusals(_REFUSALS, problem, examples.problem_example)
    paths = document["paths"]
    common = [*(_parameter(name, "Filter: one at a time") for name in SEGMENTS), *_time_parameters()]
    subject = {**_parameter("subject", "What is ranked", choices=SUBJECTS), "in": "path", "required": True}
    pages = [
        _parameter("limit", "Items of one answer", kind="integer"),
        _parameter("offset", "Items to skip", kind="integer"),
    ]
    shown = (ranking, examples.ranking_example())
    _describe(paths["/v1/rankings/{subject}"]["get"], shown, refusals, [subject, *common, *pages], _OF_BODIES)
    paths["/v1/rankings/{subject}"]["get"]["responses"]["304"] = {"description": "Still what `If-None-Match` quotes"}
    sides = [
        {**_parameter(side, "An item, as `/v1/rankings` names it"), "required": True} for side in ("left", "right")
    ]
    pair = [*sides, _parameter("subject", "What they are", choices=SUBJECTS)]
    _describe(
        paths["/v1/compare"]["get"], (comparison, examples.comparison_example()), refusals, [*pair, *common], _OF_BODIES
    )
    voucher = {**_parameter(VOUCHER, _VOUCHER), "in": "header"}
    _describe(paths["/v1/slates"]["post"], (slate, examples.slate_example()), refusals, [voucher], (404,))
    paths["/v1/slates"]["post"]["requestBody"] = body(request, _SLATE_EXAMPLE)
    _describe(paths["/v1/sessions"]["post"], (vouched, examples.session_example()), refusals, [], (404,))
    paths["/v1/sessions"]["post"]["requestBody"] = body(sessions, _SESSION_EXAMPLE)
    _describe(paths["/v1/sql"]["post"], (_SQL_ANSWER, examples.SQL_EXAMPLE), refusals, [], ())
    _describe_sql(paths["/v1/sql"]["post"], statement)
    describe_operations(paths, refusals, _readiness(refusals), examples.METRICS_EXAMPLE)
    for path in ("/v1/rankings/{subject}", "/v1/compare"):
        paths[path]["get"]["security"] = [{"key": []}, {}]
    for path in ("/v1/slates", "/v1/sessions", "/v1/sql"):
        paths[path]["post"]["security"] = [{"key": []}]
    return document


def _describe(
    operation: dict[str, Any],
    shown: tuple[dict[str, Any], dict[str, Any]],
    refusals: Refusals,
    parameters: list[dict[str, Any]],
    without: Collection[int],
) -> None:
    answer, example = shown
    operation["parameters"] = parameters
    operation["responses"] = {"200": said("As asked", answer, example), **refusals.all(without)}


def _readiness(refusals: Refusals) -> dict[str, Any]:
    properties = {
        "status": {"type": "string", "description": "In a word"},
        "lake": {"type": "string", "description": "Whether the published lake is `open`, or `not published yet`"},
    }
    schema = {"type": "object", "required": ["status"], "properties": properties}
    away = {**refusals.of(503), "description": "No; `detail` says why"}
    return {"200": said("Yes", schema, {"status": "ready", "lake": "open"}), "503": away}


def _describe_sql(operation: dict[str, Any], statement: dict[str, Any]) -> None:
    content = operation["responses"]["200"]["content"]
    content["text/csv"] = {"schema": {"type": "string"}, "example": examples.CSV_EXAMPLE}
    content["application/vnd.apache.arrow.stream"] = {"schema": {"type": "string", "format": "binary"}}
    operation["requestBody"] = body(statement, _SQL_EXAMPLE)


def _parameter(name: str, text: str, *, kind: str = "string", choices: tuple[str, ...] = ()) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind}
    if choices:
        schema["enum"] = list(choices)
    return {"name": name, "in": "query", "required": False, "description": text, "schema": schema}


def _time_parameters() -> list[dict[str, Any]]:
    as_of = "The newest good run finished by this time (RFC 3339), or the run of this id"
    return [_parameter("as_of", as_of), _parameter("run", "The run of this id")]
