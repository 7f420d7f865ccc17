"""The collector as an ASGI application: the events' path first, FastAPI behind it."""

import asyncio
import datetime as dt
import http
import re
import time
from collections.abc import Callable, Coroutine, Mapping

from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException

from clapometer.collector.answers import RefusedError, problem_body
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
from clapometer.http.headers import NO_PAGE
from clapometer.http.openapi import PROBLEM
from clapometer.http.operations import add_documentation, add_operations, new_api, told
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
    api = new_api("Clapometer collector", version)
    api.include_router(Resources(intake, clock).router())
    api.include_router(player_router())
    add_operations(api, registry, _readiness(log, intake, tokens), ready_means="Events can be taken")
    add_documentation(api, lambda: openapi_document(api, clock()))
    api.add_exception_handler(HTTPException, _problem)
    return CollectorApp(EventsEndpoint(intake, clock, traced), api)


def _readiness(
    log: EventLog, intake: Intake, tokens: Mapping[str, bytes]
) -> Callable[[], Coroutine[None, None, Response]]:
    async def readyz() -> Response:
        reasons = await asyncio.to_thread(_obstacles, log, intake)
        status = "not ready" if reasons else "ready"
        warnings = _warnings(intake, tokens)
        return told({"status": status, "reasons": reasons, "warnings": warnings}, 503 if reasons else 200)

    return readyz


_FOLDERS = re.compile(r"(?<![^\s'\"(])/(?:[^/\s]+/)*(?=[^/\s])")
"""Of absolute paths: anybody may ask whether events can be taken, and where files lie is for the log to say."""


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
    return [_FOLDERS.sub("", reason) for reason in reasons]


def _warnings(intake: Intake, tokens: Mapping[str, bytes]) -> list[str]:
    """Returns what somebody has to mend, though events are taken: all collectors may follow the same broken file."""
    intake.gate.keys.reload(time.monotonic())
    broken = {"API keys": intake.gate.keys.error, "token secrets": getattr(tokens, "error", None)}
    return [f"the last good {name} are in force: {error}" for name, error in broken.items() if error is not None]


async def _problem(request: Request, error: Exception) -> Response:
    """Answers what no route takes, in the form of all other refusals."""
    assert isinstance(error, HTTPException)
    head = scope_head(request.scope)
    detail = (
        f"{request.method} {request.url.path}: {http.HTTPStatus(error.status_code).phrase}; /docs lists what is here"
    )
    body = problem_body(RefusedError(error.status_code, detail), head.trace_id)
    headers = {**NO_PAGE, **(error.headers or {}), "traceparent": head.traceparent().decode()}
    return Response(body, error.status_code, headers=headers, media_type=PROBLEM)
