"""Serving as a FastAPI application."""

import datetime as dt
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random, SystemRandom

import duckdb
from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from clapometer.domain import TransientError
from clapometer.gate import Gate
from clapometer.http.access import Access
from clapometer.http.cross_origin import CrossOrigin
from clapometer.http.headers import Guard
from clapometer.http.operations import add_documentation, add_operations, new_api, told
from clapometer.http.problems import add_handlers, problem
from clapometer.serving.api.documentation import openapi_document
from clapometer.serving.api.routes import api_routes
from clapometer.serving.api.slates import slate_routes
from clapometer.serving.api.sql import sql_routes
from clapometer.serving.config import ServingConfig
from clapometer.serving.desk import Desk
from clapometer.serving.metrics import ServingMetrics, TrainingMetrics
from clapometer.serving.page.page import page_routes
from clapometer.serving.reading.errors import NotPublishedError
from clapometer.serving.reading.published import Published
from clapometer.serving.slates.candidates import Candidates
from clapometer.serving.slates.sessions import Sessions
from clapometer.serving.slates.slates import SlateMaker
from clapometer.telemetry.traces import Traced

STATIC = Path(__file__).parent / "page" / "static"


def create_app(
    config: ServingConfig,
    *,
    published: Path,
    gate: Gate,
    token_key: Callable[[], tuple[str, bytes]],
    token_keys: Mapping[str, bytes],
    clock: Callable[[], dt.datetime],
    seconds: Callable[[], float] = time.monotonic,
    registry: CollectorRegistry | None = None,
    random: Random | None = None,
    version: str = "0",
    traced: Traced | None = None,
) -> FastAPI:
    """Returns serving.

    Args:
        config: Its choices.
        published: The file that the loader publishes, ``lake/clapometer.duckdb``; it need not exist yet.
        gate: Who may ask, and how much.
        token_key: Returns id and secret of the key that signs impression tokens and vouchers now.
        token_keys: The secrets that verify vouchers, by key id.
        clock: Returns the time in UTC.
        seconds: A clock that never runs back; by it what is withdrawn is looked for.
        registry: Where the metrics go; ``/metrics`` shows all of it.
        random: What slates are drawn with; the system's by default.
        version: Version of the product, for the documentation and entity tags.
        traced: Is told of every request that was answered.
    """
    registry = registry or CollectorRegistry()
    lake = Published(published, threads=config.duckdb_threads, memory_limit=config.memory_limit)
    metrics = ServingMetrics(registry, lambda: _file_age(lake, clock()), seconds)
    TrainingMetrics(registry, lake, clock)
    desk = Desk(lake, config, metrics, clock, seconds)
    access = Access(gate, config.public_tenant, clock, metrics.slate_limited)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        lake.close()

    app = new_api("Clapometer serving", version, lifespan=lifespan)
    slates = SlateMaker(config, token_key, random or SystemRandom())
    sessions = Sessions(config, token_key, token_keys)
    app.include_router(api_routes(config, desk, access, version=version))
    candidates = Candidates()
    app.include_router(
        slate_routes(config, desk, access, slates=slates, sessions=sessions, candidates=candidates, metrics=metrics)
    )
    app.include_router(sql_routes(config, access, published))
    app.include_router(page_routes(config, desk, access, candidates))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    add_operations(app, registry, _readiness(desk, lake), ready_means="Rankings can be read and slates made")
    add_documentation(app, lambda: openapi_document(app))
    add_handlers(app)
    app.add_middleware(CrossOrigin, allowed=config.cors_origins, keys=gate.keys)
    app.add_middleware(GZipMiddleware, minimum_size=1_000)
    app.add_middleware(Guard, answered=metrics.answered, traced=traced)
    return app


def _file_age(lake: Published, now: dt.datetime) -> float | None:
    stamp = lake.stamp()
    return None if stamp is None else now.timestamp() - stamp[1] / 1e9


def _readiness(desk: Desk, lake: Published) -> Callable[[], Coroutine[None, None, Response]]:
    async def readyz() -> Response:
        if lake.taken_away():
            return problem(503, "not ready: the published file is gone; the loader makes it again")
        try:
            await desk.read(lambda connection: connection.execute("SELECT count(*) FROM runs").fetchall())
        except NotPublishedError:
            return told({"status": "ready", "lake": "not published yet"})  # slates are uniform until then
        except (TransientError, duckdb.Error) as error:
            return problem(503, f"not ready: {error}" if isinstance(error, TransientError) else "not ready")
        return told({"status": "ready", "lake": "open"})

    return readyz
