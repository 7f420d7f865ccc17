"""How the collector is served: uvicorn with limits on what a connection may cost before a request is whole."""

import asyncio
import gc
from functools import partial
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from clapometer.collector.answers import ALWAYS_SAFE, RESPOND, Headers
from clapometer.collector.app import CollectorApp
from clapometer.collector.config import CollectorConfig
from clapometer.collector.events import EVENTS_PATH, EventsEndpoint

_DRAIN_SECONDS = 30
_EVENTS_PATH = EVENTS_PATH.encode()
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\n"
    b"content-type: application/problem+json\r\ncontent-length: 109\r\nconnection: close\r\n"
    + b"".join(f"{name}: {value}\r\n".encode() for name, value in ALWAYS_SAFE)
    + b"\r\n"
    b'{"title":"Request Timeout","status":408,"detail":"the request did not arrive in time; send less, or faster"}\n'
)


def uvicorn_config(app: CollectorApp, config: CollectorConfig, **options: Any) -> uvicorn.Config:
    """Returns uvicorn's configuration; ``options`` (``host``, ``port``, ``fd``, …) add to it or replace parts.

    No access log: the address of a beacon holds its key.
    """
    settings: dict[str, Any] = {
        "http": guarded_protocol(config, app.events),
        "ws": "none",
        "loop": "uvloop",
        "lifespan": "off",
        "access_log": False,
        "server_header": False,
        "headers": ALWAYS_SAFE,
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


def guarded_protocol(config: CollectorConfig, events: EventsEndpoint) -> type[asyncio.Protocol]:
    """Returns uvicorn's HTTP protocol with the limits of ``config`` on heads and on slow requests.

    A POST of events that arrives whole goes to ``events`` at once, everything else through the ASGI application.
    """
    return type("GuardedProtocol", (_GuardedProtocol,), {"limits": config, "events": events})


class _WholeRequest:
    """A request that is answered without ASGI, where uvicorn looks for the cycle of the last request."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete", "response_started")

    def __init__(self, keep_alive: bool, message_event: asyncio.Event) -> None:
        self.keep_alive = keep_alive
        self.message_event = message_event
        self.disconnected = False
        self.response_started = False
        self.response_complete = False


class _GuardedProtocol(HttpToolsProtocol):
    """Adds what uvicorn lacks.

    It waits for ever for the first byte, the end of a head and the rest of a body that was refused, and it keeps
    headers of any length. One timer a connection looks now and then whether a request is overdue: a timer a
    request would cost more than all that the request itself does here.
    """

    limits = CollectorConfig()
    events: EventsEndpoint
    _watch: asyncio.TimerHandle | None = None
    _awaited_since: float | None = None  # a request that is not whole yet; None while none is under way
    _idle_since: float | None = None  # between an answer and the next request
    _in_head = True
    _head_bytes = 0
    _pieces: list[bytes] | None = None  # body of a request that may turn out to be whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._nobody_waits = asyncio.Event()
        self._address = self.client[0] if self.client else ""
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
        if self._pieces is not None and not self.transport.is_closing():
            self._hand_over()  # the rest is still to come
        if self._in_head and self._head_bytes > self.limits.max_head_bytes and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._awaited_since = self.loop.time()
        self._idle_since = None

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        self._pieces = []
        if not self._is_for_events():
            self._hand_over()

    def on_body(self, body: bytes) -> None:
        if self._pieces is None:
            super().on_body(body)
        else:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._awaited_since = None
        if self._pieces is None:
            super().on_message_complete()
            return
        body = b"".join(self._pieces)
        self._pieces = None
        self._answer_whole(body)

    def _is_for_events(self) -> bool:
        """Returns whether this is a plain POST of events, and no other request of the connection is under way."""
        return (
            self.url.partition(b"?")[0] == _EVENTS_PATH
            and (self.cycle is None or self.cycle.response_complete)
            and self.parser.get_method() == b"POST"
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and len(self.connections) < self.limits.max_connections
        )

    def _hand_over(self) -> None:
        """Makes an ASGI request of what has come of a request so far."""
        url, headers, expects, pieces = self.url, self.headers, self.expect_100_continue, self._pieces or []
        self._pieces = None
        super().on_message_begin()  # makes the scope
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super().on_headers_complete()
        if self.cycle is not None:
            self.scope["extensions"] = {RESPOND: {"write": partial(self._respond, self.cycle)}}
        for piece in pieces:
            super().on_body(piece)

    def _answer_whole(self, body: bytes) -> None:
        request = _WholeRequest(
            self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive(), self._nobody_waits
        )
        self.cycle = request  # type: ignore[assignment]
        query = httptools.parse_url(self.url).query or b"" if b"?" in self.url else b""
        try:
            self.events.answer_whole(self.headers, query, body, partial(self._write, request), self._address)
        except Exception:
            self.logger.exception("a request of events could not be answered")
            self._write(request, 500, [(b"content-length", b"0")], b"")

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # What uvicorn does, save its timer for the next request: `_look` sees to that.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def _respond(self, cycle: RequestResponseCycle, status: int, headers: Headers, body: bytes) -> bool:
        """Writes the answer of an ASGI request at once; returns whether it did. Else uvicorn has to, in two calls."""
        if self.flow.write_paused or cycle.response_started or cycle.disconnected or self.transport.is_closing():
            return False
        cycle.waiting_for_100_continue = False
        self._write(cycle, status, headers, body)
        return True

    def _write(self, cycle: RequestResponseCycle | _WholeRequest, status: int, headers: Headers, body: bytes) -> None:
        """Writes an answer with one system call, and makes the connection ready for the next request.

        The headers are the collector's own: none of them holds what a client sent, save what was matched whole.
        """
        cycle.response_started = cycle.response_complete = True
        if cycle.disconnected or self.transport.is_closing():
            return
        lines = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            lines += [name, b": ", value, b"\r\n"]
        lines += [b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n", body]
        self.transport.write(b"".join(lines))
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

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
