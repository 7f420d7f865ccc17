"""The routes of the API: each reads its parameters, asks one function, and encodes what it returns."""

import hashlib
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from clapometer.http.access import Access
from clapometer.http.bodies import read_body
from clapometer.serving.api.parameters import compare_query, ranking_query
from clapometer.serving.config import ServingConfig
from clapometer.serving.desk import Desk
from clapometer.serving.metrics import ServingMetrics
from clapometer.serving.reading.answers import Ranking
from clapometer.serving.reading.compare import compare
from clapometer.serving.reading.queries import Connection, RankingQuery, chosen_run, ranking_of
from clapometer.serving.slates.slates import SlateMaker, decode_request

REVALIDATE = {"Cache-Control": "private, no-cache", "Vary": "Authorization, X-Api-Key"}
NO_STORE = {"Cache-Control": "no-store"}


def api_routes(
    config: ServingConfig, desk: Desk, access: Access, *, slates: SlateMaker, metrics: ServingMetrics, version: str
) -> APIRouter:
    """Returns the routes under ``/v1``."""
    router = APIRouter(prefix="/v1")

    @router.get("/rankings/{subject}", tags=["rankings"], summary="A ranking, with what made it")
    async def rankings(request: Request, subject: str) -> Response:
        tenant = access.reader(request)
        query = ranking_query(request, subject, config)
        quoted = request.headers.get("if-none-match")
        tag, ranking = await desk.read(tagged_ranking, tenant, query, quoted, version)
        headers = REVALIDATE | {"ETag": tag}
        return Response(status_code=304, headers=headers) if ranking is None else _json(ranking, headers)

    @router.get("/compare", tags=["rankings"], summary="Which of two items is better")
    async def comparison(request: Request) -> Response:
        tenant = access.reader(request)
        query, left, right = compare_query(request)
        return _json(await desk.read(compare, tenant, query, left, right), REVALIDATE)

    @router.post("/slates", tags=["slates"], summary="Clips to show, in order, with propensities and tokens")
    async def slate(request: Request) -> Response:
        key = access.secret(request)
        asked = decode_request(await read_body(request, config.max_body_bytes), config)
        book = await desk.book(key.tenant, asked.candidates)
        shown, left_out = book.rate(asked.candidates)
        unregistered = book.unregistered([clip.clip_id for clip in shown])
        made = slates.slate(
            asked, key.tenant, shown=shown, left_out=left_out, unregistered=unregistered, run_id=book.run_id,
            now=desk.clock(),
        )  # fmt: skip
        metrics.unregistered.inc(len(unregistered))
        explored = sum(slot.explored for slot in made.slots)
        metrics.slots.labels("true").inc(explored)
        metrics.slots.labels("false").inc(len(made.slots) - explored)
        return _json(made, NO_STORE)

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


def _json(answer: Any, headers: dict[str, str]) -> Response:
    return Response(msgspec.json.encode(answer), headers=headers, media_type="application/json")
