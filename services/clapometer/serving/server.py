"""How serving is served: uvicorn with the limits on connections that the collector has."""

from typing import Any

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from clapometer.gate import TrustedProxies
from clapometer.http.connections import Connections
from clapometer.http.server import configured
from clapometer.serving.config import ServingConfig

_DRAIN_SECONDS = 10


def uvicorn_config(
    app: FastAPI,
    config: ServingConfig,
    *,
    proxies: TrustedProxies | None = None,
    registry: CollectorRegistry | None = None,
    **options: Any,
) -> uvicorn.Config:
    """Returns uvicorn's configuration; ``options`` (``host``, ``port``, ``fd``, …) add to it or replace parts."""
    shared = Connections(config.connections, proxies or TrustedProxies(()), "serving", registry)

    def protocol() -> type[Any]:
        from clapometer.http.guarded import guarded  # noqa: PLC0415 - uvicorn may lack what it builds on

        return guarded(shared)

    return configured(app, shared, protocol, {"timeout_graceful_shutdown": _DRAIN_SECONDS, **options})
