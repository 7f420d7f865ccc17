"""A way past ASGI for events that arrive whole: the guarded protocol, which answers them at once."""

# ruff: noqa: D102 - the methods without a docstring are asyncio's and uvicorn's

import asyncio
import weakref
from functools import partial

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from clapometer.collector.answers import RESPOND, Headers
from clapometer.collector.events import EVENTS_PATH, EventsEndpoint
from clapometer.http.guarded import GuardedProtocol

_EVENTS_PATH = EVENTS_PATH.encode()


class _WholeRequest:
    """A request that is answered without ASGI, where uvicorn looks for the cycle of the last request."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete", "response_started")

    def __init__(self, keep_alive: bool, message_event: asyncio.Event) -> None:
        self.keep_alive = keep_alive
        self.message_event = message_event
        self.disconnected = False
        self.response_started = False
        self.response_complete = False


class EventsProtocol(GuardedProtocol):
    """Answers a POST of events that arrives whole without ASGI, and makes an ASGI request of everything else."""

    events: EventsEndpoint
    _pieces: list[bytes] | None = None  # body of a request that may turn out to be whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._nobody_waits = asyncio.Event()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._pieces = None

    def _parse(self, piece: bytes) -> None:
        super()._parse(piece)
        if self._pieces is not None and not self.transport.is_closing():
            self._hand_over()  # the rest is still to come

    def on_message_begin(self) -> None:
        self._begin()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def _head_complete(self) -> None:
        self._pieces = []
        if not self._is_for_events():
            self._hand_over()

    def on_body(self, body: bytes) -> None:
        if self._pieces is None:
            super().on_body(body)
        else:
            self._moved = True
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._pieces is None:
            super().on_message_complete()
            return
        self._complete()
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
            and len(self.connections) < self.shared.limits.max_connections
        )

    def _hand_over(self) -> None:
        """Makes an ASGI request of what has come of a request so far."""
        url, headers, expects, pieces = self.url, self.headers, self.expect_100_continue, self._pieces or []
        self._pieces = None
        HttpToolsProtocol.on_message_begin(self)  # makes the scope
        self.url, self.expect_100_continue = url, expects
        self.headers.extend(headers)
        super()._head_complete()
        if self.cycle is not None:
            cycle = weakref.ref(
                self.cycle
            )  # which holds the scope: together they would wait for the collector of cycles
            self.scope["extensions"] = {RESPOND: {"write": partial(self._respond, cycle)}}
        for piece in pieces:
            super().on_body(piece)

    def _answer_whole(self, body: bytes) -> None:
        request = _WholeRequest(
            self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive(), self._nobody_waits
        )
        self.cycle = request  # type: ignore[assignment]
        query = httptools.parse_url(self.url).query or b"" if b"?" in self.url else b""
        try:
            self.events.answer_whole(self.headers, query, body, partial(self._write, request), self._sender())
        except Exception:
            self.logger.exception("a request of events could not be answered")
            self._write(request, 500, [(b"content-length", b"0")], b"")

    def _respond(self, to: "weakref.ref[RequestResponseCycle]", status: int, headers: Headers, body: bytes) -> bool:
        """Writes the answer of an ASGI request at once; returns whether it did. Else uvicorn has to, in two calls."""
        cycle = to()
        if cycle is None or cycle.response_started or cycle.disconnected:
            return False
        if self.flow.write_paused or self.transport.is_closing():
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
