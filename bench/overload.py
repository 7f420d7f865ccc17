"""Five times as much as the collector can take: what is accepted stays quick, the rest is told to come back.

``PYTHONPATH=. python bench/overload.py``: measures the capacity with few connections that wait for each answer, then
offers ``--times`` as many requests, on a schedule that does not wait for answers (an open loop), over ``--connections``
connections. Latency counts from when a request was due. Afterwards every event that was answered 202 has to be in the
lake once. The generator runs on the same cores, which is part of what is measured.
"""

import argparse
import asyncio
import collections
import datetime as dt
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import duckdb
import uvloop
from tests.faults.system import System
from tests.faults.traffic import AGE
from tests.support.waiting import until

SOURCE = "/bench/overload"
MARK = b"########"


def template(batch: int) -> bytes:
    """Returns a body whose events have ids of the request's number and their own."""
    at = (dt.datetime.now(dt.UTC) - AGE).isoformat()
    events = ",".join(
        f'{{"specversion":"1.0","id":"{MARK.decode()}-{number}","source":"{SOURCE}","type":"clapometer.watched.v1",'
        f'"time":"{at}","data":{{"impression_id":"i{MARK.decode()}-{number}","watched_ms":{number}}}}}'
        for number in range(batch)
    )
    return f"[{events}]".encode()


@dataclass
class Tally:
    """What was answered, and how soon."""

    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    accepted: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    without_hint: int = 0
    unsent: int = 0

    def percentile(self, share: float) -> float:
        """Returns a percentile of the latency of accepted requests, in milliseconds."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else math.nan


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, tally: Tally, idle: "collections.deque[Connection]") -> None:
        self._tally = tally
        self._idle = idle
        self._received = b""
        self.number = -1
        self.due = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._idle.append(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.transport = None

    def send(self, number: int, due: float, request: list[bytes]) -> None:
        self.number, self.due = number, due
        assert self.transport is not None
        self.transport.writelines(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        if not found or len(body) < lengths[0]:
            return
        self._received = b""
        status = int(head[9:12])
        self._tally.statuses[status] += 1
        if status == 202:
            self._tally.accepted.append(self.number)
            self._tally.seconds.append(time.perf_counter() - self.due)
        elif not any(line.startswith(b"retry-after:") for line in lines):
            self._tally.without_hint += 1
        self._idle.append(self)


class Load:
    """Sends numbered requests to a collector."""

    def __init__(self, system: System, batch: int) -> None:
        self._port = int(system.url.rsplit(":", 1)[1])
        self._body = template(batch)
        size = len(self._body)
        self._head = (
            f"POST /v1/events HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {system.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {size}\r\n\r\n"
        ).encode()
        self._number = 0

    async def run(self, seconds: float, connections: int, rate: float) -> Tally:
        """Offers ``rate`` requests a second; as many as are answered where it is infinite."""
        loop = asyncio.get_running_loop()
        tally, idle = Tally(), collections.deque[Connection]()
        for _ in range(connections):
            await loop.create_connection(lambda: Connection(tally, idle), "127.0.0.1", self._port)
        started = time.perf_counter()
        sent = 0
        while (elapsed := time.perf_counter() - started) < seconds:
            due = len(idle) if math.isinf(rate) else int(elapsed * rate) - sent - tally.unsent
            for _ in range(due):
                while idle and idle[0].transport is None:
                    idle.popleft()
                if not idle:
                    tally.unsent += 1
                    continue
                when = time.perf_counter() if math.isinf(rate) else started + (sent + tally.unsent) / rate
                self._number += 1
                body = self._body.replace(MARK, b"%08d" % self._number)
                idle.popleft().send(self._number, when, [self._head, body])
                sent += 1
            await asyncio.sleep(0.001)
        until_answered = time.perf_counter() + 30
        while sum(tally.statuses.values()) < sent and time.perf_counter() < until_answered:
            await asyncio.sleep(0.05)
        return tally


def lost(lake: Path, accepted: list[int], batch: int) -> tuple[int, int]:
    """Returns how many accepted events the lake lacks, and how many rows it has too many."""
    with duckdb.connect(str(lake / "clapometer.duckdb"), read_only=True) as connection:
        found = dict(
            connection.execute(
                "SELECT CAST(split_part(id, '-', 1) AS BIGINT), count(DISTINCT id) FROM events WHERE source = ?"
                " GROUP BY 1",
                [SOURCE],
            ).fetchall()
        )
        ((rows, ids),) = connection.execute(
            "SELECT count(*), count(DISTINCT id) FROM events WHERE source = ?", [SOURCE]
        ).fetchall()
    return sum(batch - found.get(number, 0) for number in accepted), rows - ids


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=float, default=5)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=1000)
    options = parser.parse_args()
    uvloop.install()
    with tempfile.TemporaryDirectory() as folder, System(Path(folder)) as system:
        load = Load(system, options.batch)
        asyncio.run(load.run(2, 8, math.inf))
        closed = asyncio.run(load.run(options.seconds / 2, 8, math.inf))
        capacity = len(closed.accepted) / (options.seconds / 2)
        print(
            f"capacity: {capacity * options.batch:,.0f} events/s, p99 {closed.percentile(0.99):.0f} ms, 8 connections"
        )
        before = system.collector.memory_bytes()
        tally = asyncio.run(load.run(options.seconds, options.connections, options.times * capacity))
        grown = (system.collector.memory_bytes() - before) / 2**20
        rate = len(tally.accepted) / options.seconds
        print(
            f"offered {options.times:.0f} times as much: accepted {rate * options.batch:,.0f} events/s "
            f"({rate / capacity:.2f} of capacity), p50 {tally.percentile(0.5):.0f} ms, "
            f"p99 {tally.percentile(0.99):.0f} ms"
        )
        print(
            f"answers {dict(sorted(tally.statuses.items()))}, refused without Retry-After {tally.without_hint}, "
            f"not sent for want of a connection {tally.unsent}, memory +{grown:.0f} MiB"
        )
        accepted = closed.accepted + tally.accepted
        until((system.lake / "clapometer.duckdb").exists, 120)
        until(lambda: lost(system.lake, accepted, options.batch)[0] == 0, 300, every=1)
        print("accepted {:,} events, lost {}, doubled {}".format(
            len(accepted) * options.batch, *lost(system.lake, accepted, options.batch)
        ))  # fmt: skip


if __name__ == "__main__":
    main()
