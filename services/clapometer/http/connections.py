"""What a connection may cost before its request is whole: uvicorn's HTTP protocol with limits, for all our servers.

uvicorn waits for ever for the first byte, the end of a head and the rest of a body that was refused; it keeps heads,
trailers and requests in a row of any length, and takes any number of connections.
"""

# ruff: noqa: D102 - the methods without a docstring are asyncio's and uvicorn's

import asyncio
import logging
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from clapometer.gate import TrustedProxies

Ended = Literal["slow", "malformed", "address", "full"]
"""Why a connection was ended: too slow, no request that we read, too many of its address, too many of all."""

ALL_ENDED: tuple[Ended, ...] = ("slow", "malformed", "address", "full")
SPARE_FILES = 128
"""Files that a server needs beside its connections."""
_SPARE_CONNECTIONS = 64
"""Connections beyond the limit that are still read, so that their requests are answered 503 in words."""
_PIECE_BYTES = 32 << 10
_TOLD_SECONDS = 10.0
_NO_PROXIES = TrustedProxies(())
_COUNTED = ("Invalid HTTP request", "Exceeded concurrency limit", "Unsupported upgrade", "No supported WebSocket")
_log = logging.getLogger("clapometer.http.connections")
_uvicorn_log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """What connections may cost. Sizes are bytes, times seconds.

    Attributes:
        request_seconds: Longest time that a request may take to arrive, and a new connection may be silent.
        answer_seconds: Longest time that an answer may take to be made and read.
        keep_alive_seconds: How long an idle connection is kept.
        max_head_bytes: Longest head (request line and headers) of a request.
        max_waiting: Most requests of one connection that wait for the answer before theirs.
        max_connections: Most connections; beyond it requests are answered 503, and soon connections are ended.
        max_per_address: Most connections of one address that is no trusted proxy.
    """

    request_seconds: float = 15
    answer_seconds: float = 120
    keep_alive_seconds: int = 30
    max_head_bytes: int = 32 << 10
    max_waiting: int = 64
    max_connections: int = 2_048
    max_per_address: int = 512


class Connections(Collector):
    """The connections of one server, by address, and those that were ended; logged at most every ten seconds a reason.

    Args:
        limits: What they may cost.
        proxies: Whose word on the sender's address is taken; their connections are not counted by address.
        part: Name of the server in metrics.
        registry: Where the metrics go; ``None`` for nowhere.
    """

    def __init__(
        self,
        limits: ConnectionLimits,
        proxies: TrustedProxies = _NO_PROXIES,
        part: str = "server",
        registry: CollectorRegistry | None = None,
    ) -> None:
        self.limits = limits
        self.proxies = proxies
        self.ended: Counter[Ended] = Counter()
        self._part = part
        self._open = 0
        self._by_address: Counter[str] = Counter()
        self._told: dict[Ended, tuple[float, int]] = {}
        if registry is not None:
            registry.register(self)

    def enter(self, address: str) -> Ended | None:
        """Counts a connection; returns why it may not be, if so. It has to leave in any case."""
        self._open += 1
        self._by_address[address] += 1
        if self._open > self.limits.max_connections + _SPARE_CONNECTIONS:
            return "full"
        if self._by_address[address] > self.limits.max_per_address and address not in self.proxies:
            return "address"
        return None

    def leave(self, address: str) -> None:
        """Counts a connection no more."""
        self._open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def note(self, why: Ended, address: str) -> None:
        """Counts a connection that was ended by us."""
        self.ended[why] += 1
        now = time.monotonic()
        told_at, count = self._told.get(why, (float("-inf"), 0))
        if now - told_at < _TOLD_SECONDS:
            return
        self._told[why] = now, self.ended[why]
        _log.warning(
            "connections ended: %s (%d since the last line, the last of %s); open now: %d, addresses: %d; "
            "behind a proxy, name it in `trusted_proxies`",
            why, self.ended[why] - count, address, self._open, len(self._by_address),
        )  # fmt: skip

    def collect(self) -> Iterator[Metric]:
        """Yields every metric as it stands."""
        yield GaugeMetricFamily(f"clapometer_{self._part}_connections", "Connections open now", value=self._open)
        ended = CounterMetricFamily(
            f"clapometer_{self._part}_ended_connections",
            "Connections ended for being slow or malformed, or too many of one address or of all (full)",
            labels=["reason"],
        )
        for why in ALL_ENDED:
            ended.add_metric([why], self.ended[why])
        yield ended


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


def guarded_options(shared: Connections) -> dict[str, Any]:
    """Returns what uvicorn has to be told besides, so that only the protocol decides over connections."""
    return {
        "ws": "none",
        "access_log": False,  # the address of a beacon holds its key
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": shared.limits.keep_alive_seconds,
        "limit_concurrency": shared.limits.max_connections,
        "log_config": None,
    }


def allow_files(connections: int) -> int:
    """Raises this process's limit of open files as far as it may, up to what so many connections need; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_CONNECTIONS + SPARE_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed
