"""The routes of the API: each reads its parameters, asks one function, and encodes what it returns."""

import hashlib
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from clapometer.http.access import Access
from clapometer.serving.api.parameters import compare_query, ranking_query
from clapometer.serving.config import ServingConfig
from clapometer.serving.desk import Desk
from clapometer.serving.reading.answers import Ranking
from clapometer.serving.reading.compare import compare
from clapometer.serving.reading.queries import Connection, RankingQuery, chosen_run, ranking_of

REVALIDATE = {"Cache-Control": "private, no-cache", "Vary": "Authorization, X-Api-Key"}
NO_STORE = {"Cache-Control": "no-store"}


def api_routes(config: ServingConfig, desk: Desk, access: Access, *, version: str) -> APIRouter:
    """Returns the routes of rankings under ``/v1``."""
    router = APIRouter(prefix="/v1")

    @router.get("/rankings/{subject}", tags=["rankings"], summary="A ranking, with what made it")
    async def rankings(request: Request, subject: str) -> Response:
        tenant = access.reader(request)
        query = ranking_query(request, subject, config)
        quoted = request.headers.get("if-none-match")
        tag, ranking = await desk.read(tagged_ranking, tenant, query, quoted, version)
        headers = REVALIDATE | {"ETag": tag}
        return Response(status_code=304, headers=headers) if ranking is None else json_answer(ranking, headers)

    @router.get("/compare", tags=["rankings"], summary="Which of two items is better")
    async def comparison(request: Request) -> Response:
        tenant = access.reader(request)
        query, left, right = compare_query(request)
        return json_answer(await desk.read(compare, tenant, query, left, right), REVALIDATE)

    return router


def tagged_ranking(
    connection: Connection, tenant: str, query: RankingQuery, quoted: str | None, version: str
) -> tuple[str, Ranking | None]:
    """Returns the entity tag of a ranking, and the ranking unless ``quoted`` (If-None-Match) has that tag."""
    run, failure = chosen_run(connection, tenant, query)
    parts = (version, tenant, run.run_id, failure, query.subject, query.segment, query.segment_value)
    identity = msgspec.json.encode((*parts, query.limit, query.offset))
    tag = f'"{hashlib.sha256(identity).hexdigest()[:24]}"'
    if quoted is not None and _matches(quoted, tag):
        return tag, None
    return tag, ranking_of(connection, tenant, query, run, failure)


def _matches(quoted: str, tag: str) -> bool:
    """Compares weakly, as RFC 9110 13.1.2 says for If-None-Match."""
    tags = [candidate.strip().removeprefix("W/") for candidate in quoted.split(",")]
    return quoted.strip() == "*" or tag in tags


def json_answer(answer: Any, headers: dict[str, str]) -> Response:
    """Returns an answer of ours as a response."""
    return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")
