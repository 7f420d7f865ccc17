"""How the collector is served: a POST of events that arrives whole goes past ASGI, where uvicorn lets it."""

import gc
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry

from clapometer.collector.answers import ALWAYS_SAFE
from clapometer.collector.app import CollectorApp
from clapometer.collector.config import CollectorConfig
from clapometer.gate import TrustedProxies
from clapometer.http.connections import Connections
from clapometer.http.server import configured

_DRAIN_SECONDS = 30


def uvicorn_config(
    app: CollectorApp,
    config: CollectorConfig,
    *,
    proxies: TrustedProxies | None = None,
    registry: CollectorRegistry | None = None,
    **options: Any,
) -> uvicorn.Config:
    """Returns uvicorn's configuration; ``options`` (``host``, ``port``, ``fd``, …) add to it or replace parts."""
    shared = Connections(config.connections, proxies or TrustedProxies(()), "collector", registry)

    def protocol() -> type[Any]:
        from clapometer.collector.protocol import EventsProtocol  # noqa: PLC0415 - uvicorn may lack what it builds on
        from clapometer.http.guarded import guarded  # noqa: PLC0415

        return guarded(shared, EventsProtocol, events=app.events)

    settings: dict[str, Any] = {
        "loop": "uvloop", "lifespan": "off", "headers": ALWAYS_SAFE, "timeout_graceful_shutdown": _DRAIN_SECONDS,
    }  # fmt: skip
    return configured(app, shared, protocol, {**settings, **options})


def calm_garbage_collection() -> None:
    """Spares the collector of cycles what can hold none; called once by the process that serves, after start-up.

    Events and answers hold no cycles. Left alone, it walks through all modules again and again to find that out.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
