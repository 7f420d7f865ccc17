"""The collector as an ASGI application: the events' path first, FastAPI behind it."""

import asyncio
import datetime as dt
import http
import time
from collections.abc import Callable, Mapping

import msgspec
from fastapi import FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from clapometer.collector.answers import SAFE_HEADERS, RefusedError, problem_body
from clapometer.collector.config import CollectorConfig
from clapometer.collector.documentation import openapi_document
from clapometer.collector.events import EVENTS_PATH, EventsEndpoint
from clapometer.collector.head import Receive, Scope, Send, scope_head
from clapometer.collector.intake.intake import Intake
from clapometer.collector.metrics import CollectorMetrics
from clapometer.collector.player import player_router
from clapometer.collector.resources import Resources
from clapometer.domain import TerminalError, TransientError
from clapometer.eventlog import EventLog, GroupCommitter
from clapometer.gate import Gate
from clapometer.http.docs import DOCS_POLICY, SWAGGER, docs_page
from clapometer.telemetry.traces import Traced


class CollectorApp:
    """Sends the events' path to its endpoint and everything else to FastAPI."""

    def __init__(self, events: EventsEndpoint, api: FastAPI) -> None:
        self.api = api
        self.events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http" and scope["path"] == EVENTS_PATH:
            await self.events(scope, receive, send)
        else:
            await self.api(scope, receive, send)


def create_app(
    config: CollectorConfig,
    *,
    log: EventLog,
    committer: GroupCommitter,
    gate: Gate,
    tokens: Mapping[str, bytes],
    clock: Callable[[], dt.datetime],
    registry: CollectorRegistry | None = None,
    version: str = "0",
    traced: Traced | None = None,
) -> CollectorApp:
    """Returns the collector.

    Args:
        config: Its limits.
        log: Asked for its room by ``/readyz``; everything is written through ``committer``.
        committer: Makes blocks durable. Whoever made it closes it, after the server has drained.
        gate: Who may send, and how much.
        tokens: Secrets of impression tokens by key id, retired ones included until their last token expired.
        clock: Returns the time in UTC.
        registry: Where the metrics go; ``/metrics`` shows all of it.
        version: Version of the product, for the documentation.
        traced: Is told of every request for events that was answered.
    """
    registry = registry or CollectorRegistry()
    metrics = CollectorMetrics(registry, lambda: committer.pending_bytes, log.fill_ratio)
    intake = Intake(
        config=config,
        committer=committer,
        gate=gate,
        tokens=tokens,
        metrics=metrics,
    )
    api = FastAPI(
        title="Clapometer collector", version=version, docs_url=None, redoc_url=None, openapi_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    api.include_router(Resources(intake, clock).router())
    api.include_router(player_router())
    _add_operations(api, log, intake, registry, tokens)
    _add_documentation(api, clock)
    api.add_exception_handler(HTTPException, _problem)
    return CollectorApp(EventsEndpoint(intake, clock, traced), api)


def _add_operations(
    api: FastAPI, log: EventLog, intake: Intake, registry: CollectorRegistry, tokens: Mapping[str, bytes]
) -> None:
    @api.get("/healthz", tags=["operations"], summary="The process answers")
    async def healthz() -> Response:
        return _json(200, {"status": "ok"})

    @api.get("/readyz", tags=["operations"], summary="Events can be taken")
    async def readyz() -> Response:
        reasons = await asyncio.to_thread(_obstacles, log, intake)
        status = "not ready" if reasons else "ready"
        warnings = _warnings(intake, tokens)
        return _json(503 if reasons else 200, {"status": status, "reasons": reasons, "warnings": warnings})

    @api.get("/metrics", tags=["operations"], summary="Metrics for Prometheus")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST, headers=_safe())


def _obstacles(log: EventLog, intake: Intake) -> list[str]:
    """Returns why events cannot be taken. After a failed write the log is asked itself: nobody may be sending."""
    reasons = []
    try:
        if log.fill_ratio() >= 1:
            reasons.append("the event log is full")
        if intake.failure is not None and not log.ready():
            reasons.append(f"the last write to the event log failed: {intake.failure}")
    except (TransientError, TerminalError) as error:
        reasons.append(str(error))
    return reasons


def _warnings(intake: Intake, tokens: Mapping[str, bytes]) -> list[str]:
    """Returns what somebody has to mend, though events are taken: all collectors may follow the same broken file."""
    intake.gate.keys.reload(time.monotonic())
    broken = {"API keys": intake.gate.keys.error, "token secrets": getattr(tokens, "error", None)}
    return [f"the last good {name} are in force: {error}" for name, error in broken.items() if error is not None]


def _add_documentation(api: FastAPI, clock: Callable[[], dt.datetime]) -> None:
    @api.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return _json(200, openapi_document(api, clock()))

    page = docs_page("Clapometer collector")

    @api.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return Response(page, media_type="text/html", headers=_safe({"content-security-policy": DOCS_POLICY}))

    api.mount("/docs/static", StaticFiles(directory=SWAGGER))


async def _problem(request: Request, error: Exception) -> Response:
    """Answers what no route takes, in the form of all other refusals."""
    assert isinstance(error, HTTPException)
    head = scope_head(request.scope)
    detail = (
        f"{request.method} {request.url.path}: {http.HTTPStatus(error.status_code).phrase}; /docs lists what is here"
    )
    body = problem_body(RefusedError(error.status_code, detail), head.trace_id)
    extra = {**(error.headers or {}), "traceparent": head.traceparent().decode()}
    return Response(body, error.status_code, headers=_safe(extra), media_type="application/problem+json")


def _json(status: int, content: object) -> Response:
    return Response(msgspec.json.encode(content), status, headers=_safe(), media_type="application/json")


def _safe(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**{name.decode(): value.decode() for name, value in SAFE_HEADERS}, **(extra or {})}
