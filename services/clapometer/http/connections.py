"""What connections may cost, how many there are, and which were ended: for all our servers."""

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

from clapometer.gate import TrustedProxies

Ended = Literal["slow", "malformed", "address", "full"]
"""Why a connection was ended: too slow, no request that we read, too many of its address, too many of all."""

ALL_ENDED: tuple[Ended, ...] = ("slow", "malformed", "address", "full")
SPARE_FILES = 128
"""Files that a server needs beside its connections."""
_SPARE_CONNECTIONS = 64
"""Connections beyond the limit that are still read, so that their requests are answered 503 in words."""
_TOLD_SECONDS = 10.0
_NO_PROXIES = TrustedProxies(())
_log = logging.getLogger("clapometer.http.connections")


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


def server_options(shared: Connections) -> dict[str, Any]:
    """Returns what uvicorn has to be told besides."""
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
