"""What a connection may cost before its request is whole: uvicorn's HTTP protocol with limits, for all our servers.

uvicorn waits for ever for the first byte, the end of a head and the rest of a body that was refused; it keeps heads,
trailers and requests in a row of any length, and takes any number of connections.
"""

# ruff: noqa: D102 - the methods without a docstring are asyncio's and uvicorn's

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from clapometer.http.connections import ConnectionLimits, Connections, Ended

_PIECE_BYTES = 32 << 10
_COUNTED = ("Invalid HTTP request", "Exceeded concurrency limit", "Unsupported upgrade", "No supported WebSocket")
_uvicorn_log = logging.getLogger("uvicorn.error")


class GuardedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the limits of ``shared``; make one with ``guarded``.

    One timer a connection looks now and then whether a request is overdue: a timer a request would cost more than all
    that a small request itself does.
    """

    shared = Connections(ConnectionLimits())
    _watch: asyncio.TimerHandle | None = None
    _awaited_since: float | None = None  # a request that is not whole yet; None while none is under way
    _idle_since: float | None = None  # between an answer and the next request
    _answering_since = 0.0
    _in_head = True
    _begun = False  # a head, but not whole
    _straddles = False  # a head that came in several pieces
    _moved = False  # something was told of the piece that is parsed now
    _silent_bytes = 0  # bytes of whole pieces of which the parser told nothing: it may be keeping them
    _why = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._awaited_since = self.loop.time()
        why = self.shared.enter(self._address)
        if why is None:
            self._look()
        else:
            self._end(why, 503, "too many connections; use fewer, or try again later")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.shared.leave(self._address)
        super().connection_lost(exc)
        # Nothing that a request took may wait for the collector of cycles, which seldom comes here.
        self.pipeline.clear()
        self.headers, self.url = [], b""
        self.scope = self.cycle = None  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if len(data) <= _PIECE_BYTES:
            self._parse(data)
            return
        for start in range(0, len(data), _PIECE_BYTES):
            self._parse(data[start : start + _PIECE_BYTES])
            if self.transport.is_closing():
                return

    def _parse(self, piece: bytes) -> None:
        self._straddles = self._begun
        self._moved = False
        super().data_received(piece)
        self._silent_bytes = 0 if self._moved else self._silent_bytes + len(piece)
        if self._silent_bytes > self.shared.limits.max_head_bytes and not self.transport.is_closing():
            self.send_400_response("Request head or trailers too large.")

    def on_message_begin(self) -> None:
        self._begin()
        super().on_message_begin()

    def _begin(self) -> None:
        if len(self.pipeline) >= self.shared.limits.max_waiting:
            self._refuse("Too many requests at once: wait for answers.")
        self._begun = True
        self._awaited_since = self.loop.time()
        self._idle_since = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            self._refuse("Trailers are not taken: send all headers before the body.")
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._in_head = self._begun = False
        self._moved = True
        if self._straddles and self._head_bytes() > self.shared.limits.max_head_bytes:
            self._refuse("Request head too large.")
        self._head_complete()

    def _head_complete(self) -> None:
        super().on_headers_complete()
        if self.shared.proxies:
            self.scope["client"] = (self._sender(), 0)

    def on_body(self, body: bytes) -> None:
        self._moved = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._complete()
        super().on_message_complete()

    def _complete(self) -> None:
        self._moved = True
        self._in_head = True
        self._awaited_since = None
        self._answering_since = self.loop.time()

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        # What uvicorn does, save its timer for the next request: `_look` sees to that.
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        self.shared.note("malformed", self._address)
        if self._in_head or self.cycle is None or not self.cycle.response_started:
            super().send_400_response(self._why or msg)
        else:  # the request that goes on too long is answered already
            self.transport.close()

    def _sender(self) -> str:
        """Returns the address of whoever sent the request whose head is whole."""
        return self.shared.proxies.sender(self._address, self.headers)

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _refuse(self, why: str) -> None:
        """Stops the parser, which then has the connection ended with these words."""
        self._why = why
        raise ValueError(why)

    def _look(self) -> None:
        """Ends the connection if it is overdue, else looks again in a while."""
        now, limits = self.loop.time(), self.shared.limits
        if self._awaited_since is not None:
            left = self._awaited_since + limits.request_seconds - now
        elif self._idle_since is not None:
            left = self._idle_since + limits.keep_alive_seconds - now
        else:
            left = self._answering_since + limits.answer_seconds - now
        if left > 0:
            self._watch = self.loop.call_later(min(left, limits.request_seconds / 4), self._look)
        elif self._awaited_since is None:
            if self._idle_since is None:
                self.shared.note("slow", self._address)
                self.transport.abort()  # what it does not read would be kept for it
            self.transport.close()
        elif self._in_head or self.cycle is None or self.cycle.response_started:
            self.shared.note("slow", self._address)
            self.transport.close()
        else:
            self._end("slow", 408, "the request did not arrive in time; send less, or faster")

    def _end(self, why: Ended, status: int, detail: str) -> None:
        """Writes an answer of our own, and ends the connection."""
        self.shared.note(why, self._address)
        line = STATUS_LINE[status]
        title = line.split(b" ", 2)[2].strip().decode()
        body = f'{{"title":"{title}","status":{status},"detail":"{detail}"}}\n'.encode()
        headers = [
            (b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"), *self.server_state.default_headers,
        ]  # fmt: skip
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(line + lines + b"\r\n" + body)
        self.transport.close()


class _Counted(logging.Filter):
    """Drops what uvicorn would say of each bad request: anybody can send any number, and `Connections` counts them."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(_COUNTED)


def guarded(shared: Connections, protocol: type[GuardedProtocol] = GuardedProtocol, **more: Any) -> type[Any]:
    """Returns the protocol of one server, whose connections ``shared`` counts; ``more`` are attributes of it."""
    if not any(isinstance(each, _Counted) for each in _uvicorn_log.filters):
        _uvicorn_log.addFilter(_Counted())
    return type(f"Shared{protocol.__name__}", (protocol,), {"shared": shared, **more})
