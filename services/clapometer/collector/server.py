"""How the collector is served: uvicorn with limits on what a connection may cost before a request is whole."""

import asyncio
import gc
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clapometer.collector.app import CollectorApp
from clapometer.collector.config import CollectorConfig

_DRAIN_SECONDS = 30
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\n"
    b"content-type: application/problem+json\r\ncontent-length: 109\r\nconnection: close\r\n\r\n"
    b'{"title":"Request Timeout","status":408,"detail":"the request did not arrive in time; send less, or faster"}\n'
)


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


def calm_garbage_collection() -> None:
    """Spares the collector of cycles what can hold none; called once by the process that serves, after start-up.

    Events and answers hold no cycles. Left alone, it walks through all modules again and again to find that out.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def guarded_protocol(config: CollectorConfig) -> type[asyncio.Protocol]:
    """Returns uvicorn's HTTP protocol with the limits of ``config`` on heads and on slow requests."""
    return type("GuardedProtocol", (_GuardedProtocol,), {"limits": config})


class _WholeResponses:
    """A transport that keeps the head of a response until its body comes: one system call instead of two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Writes ``data``, unless it is the head of a response."""
        if not self._head and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
        else:
            self._transport.write(self._head + data)
            self._head = b""

    def flush(self) -> None:
        """Writes a head whose response has no body."""
        if self._head:
            self.write(b"")

    def close(self) -> None:
        """Closes the connection once all is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Returns whether the connection is being closed."""
        return self._transport.is_closing()


class _GuardedProtocol(HttpToolsProtocol):
    """Adds what uvicorn lacks.

    It waits for ever for the first byte, the end of a head and the rest of a body that was refused, and it keeps
    headers of any length. One timer a connection looks now and then whether a request is overdue: a timer a
    request would cost more than all that the request itself does here.
    """

    limits = CollectorConfig()
    _watch: asyncio.TimerHandle | None = None
    _awaited_since: float | None = None  # a request that is not whole yet; None while none is under way
    _idle_since: float | None = None  # between an answer and the next request
    _in_head = True
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._responses = _WholeResponses(transport)
        self._awaited_since = self.loop.time()
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.limits.max_head_bytes and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._awaited_since = self.loop.time()
        self._idle_since = None

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()
        self.cycle.transport = self._responses  # type: ignore[assignment]

    def on_message_complete(self) -> None:
        self._in_head = True
        self._awaited_since = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._responses.flush()
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # What uvicorn does, save its timer for the next request: `_look` sees to that.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def _look(self) -> None:
        """Ends the connection if it is overdue, else looks again in a while."""
        now, limits = self.loop.time(), self.limits
        if self._awaited_since is not None:
            left = self._awaited_since + limits.request_seconds - now
        elif self._idle_since is not None:
            left = self._idle_since + limits.keep_alive_seconds - now
        else:
            left = limits.request_seconds  # the answer is on its way: how long that takes is up to us
        if left > 0:
            self._watch = self.loop.call_later(min(left, limits.request_seconds / 4), self._look)
            return
        if not self._in_head and not self.cycle.response_started:
            self.transport.write(_TOO_SLOW)
        self.transport.close()
