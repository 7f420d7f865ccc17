"""How the collector is served: uvicorn with limits on what a connection may cost before a request is whole."""

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clapometer.collector.app import CollectorApp
from clapometer.collector.config import CollectorConfig

_DRAIN_SECONDS = 30


def uvicorn_config(app: CollectorApp, config: CollectorConfig, **options: Any) -> uvicorn.Config:
    """Returns uvicorn's configuration; ``options`` (``host``, ``port``, ``fd``, …) add to it or replace parts.

    No access log: the address of a beacon holds its key.
    """
    settings: dict[str, Any] = {
        "http": guarded_protocol(config),
        "ws": "none",
        "loop": "uvloop",
        "lifespan": "off",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": config.keep_alive_seconds,
        "timeout_graceful_shutdown": _DRAIN_SECONDS,
        "limit_concurrency": config.max_connections,
        "log_config": None,
    }
    return uvicorn.Config(app, **{**settings, **options})


def guarded_protocol(config: CollectorConfig) -> type[asyncio.Protocol]:
    """Returns uvicorn's HTTP protocol with the limits of ``config`` on heads and on slow requests."""
    return type("GuardedProtocol", (_GuardedProtocol,), {"limits": config})


class _GuardedProtocol(HttpToolsProtocol):
    """Adds what uvicorn lacks.

    It waits for ever for the first byte, the end of a head and the rest of a body that was refused, and it keeps
    headers of any length.
    """

    limits = CollectorConfig()
    _deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self.limits.head_seconds, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.limits.max_head_bytes and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._disarm()
        seconds = self.limits.head_seconds + self.limits.body_seconds
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._disarm()
        super().on_message_complete()

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.close()
