"""What every service answers about itself: that it lives, whether it is ready, its metrics, its documentation."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.staticfiles import StaticFiles

from clapometer.http.docs import DOCS_POLICY, SWAGGER, docs_page
from clapometer.http.headers import NO_PAGE


def new_api(title: str, version: str, **more: Any) -> FastAPI:
    """Returns an application that answers nothing yet and has no pages but ours."""
    return FastAPI(
        title=title, version=version, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, **more
    )


def told(content: object, status: int = 200) -> Response:
    """Returns an answer that no cache keeps and no browser takes for a page."""
    return Response(msgspec.json.encode(content), status, headers=NO_PAGE, media_type="application/json")


def add_operations(
    app: FastAPI, registry: CollectorRegistry, ready: Callable[[], Awaitable[Response]], *, ready_means: str
) -> None:
    """Adds ``/healthz``, ``/readyz`` and ``/metrics``.

    Args:
        app: Gets the routes.
        registry: What ``/metrics`` shows.
        ready: Answers ``/readyz``.
        ready_means: What its 200 promises.
    """

    @app.get("/healthz", tags=["operations"], summary="The process answers")
    async def healthz() -> Response:
        return told({"status": "ok"})

    app.add_api_route("/readyz", ready, tags=["operations"], summary=ready_means)

    @app.get("/metrics", tags=["operations"], summary="Metrics for Prometheus")
    async def metrics() -> Response:
        shown = await asyncio.to_thread(generate_latest, registry)  # some metrics read the disk
        return Response(shown, media_type=CONTENT_TYPE_LATEST, headers=NO_PAGE)


def add_documentation(app: FastAPI, document: Callable[[], Mapping[str, Any]]) -> None:
    """Adds ``/openapi.json`` and ``/docs``, the page that shows it."""
    page = docs_page(app.title)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return told(document())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        headers = {**NO_PAGE, "Content-Security-Policy": DOCS_POLICY}
        return Response(page, media_type="text/html", headers=headers)

    app.mount("/docs/static", StaticFiles(directory=SWAGGER))
