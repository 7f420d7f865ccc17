"""Requests as no client makes them, byte by byte: heads, chunks, trailers and connections, each on one of its own."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from random import Random

import psutil
from tests.fuzz.runs import Tally
from tests.fuzz.servers import Server, Servers
from tests.support.hostile_requests import HOSTILE, attack
from tests.support.waiting import until

AT_ONCE = 16
GROWTH = 1.10
"""By how much memory may have grown a while after all are gone."""
SOURCE = "127.0.0.9"
"""Where they come from: an address that asks too often waits, and the others' is not to."""
_STATUS = re.compile(rb"^HTTP/1\.1 (\d{3}) ", re.MULTILINE)
_METHODS = (
    b"GET",
    b"POST",
    b"PUT",
    b"HEAD",
    b"OPTIONS",
    b"CONNECT",
    b"PRI",
    b"",
    b"get",
    b"\x16\x03\x01",
    b"A" * 70_000,
)
_TARGETS = (
    b"/healthz", b"/v1/events", b"/v1/slates", b"/", b"*", b"//", b"http://other/healthz", b"/%00", b"/\xff", b"",
    b"/" + b"a" * 70_000, b"/healthz?" + b"&" * 40_000, b"/../..", b"/healthz#x", b"/ healthz",
)  # fmt: skip
_VERSIONS = (b"HTTP/1.1",) * 8 + (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9", b"http/1.1", b"")
_NAMES = (
    b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"te", b"trailer", b"x",
    b"authorization", b"cookie", b"x-forwarded-for", b"range", b"", b" x", b"x ", b"x\x00", b"\xe9", b"a" * 40_000,
)  # fmt: skip
_VALUES = (
    b"x", b"", b"0", b"5", b"-1", b"+5", b"5, 5", b"18446744073709551616", b"0x5", b"chunked", b"identity, chunked",
    b"chunked, chunked", b"xchunked", b"close", b"keep-alive, upgrade", b"100-continue", b"websocket", b"h2c",
    b"Bearer csk_default", b"a\r\n b", b"a\x00b", b"\xff", b"127.0.0.1", b"b" * 40_000, b"\x0bchunked",
)  # fmt: skip
_ENDS = (b"\r\n",) * 12 + (b"\n", b"\r", b"\r\r\n", b"")


def request(chance: Random) -> list[bytes]:
    """Returns the pieces in which a connection says something."""
    if chance.random() < 0.05:
        return chance.choice(list(HOSTILE.values()))
    whole = b"".join(_one(chance) for _ in range(chance.choice((1, 1, 1, 2, 70))))
    if chance.random() < 0.2:
        whole = whole[: chance.randrange(len(whole) + 1)]
    places = sorted(chance.randrange(len(whole) + 1) for _ in range(chance.choice((0, 0, 1, 5))))
    return [whole[start:end] for start, end in zip([0, *places], [*places, len(whole)], strict=True)]


def _one(chance: Random) -> bytes:
    end = chance.choice(_ENDS)
    line = b" ".join((_mostly(_METHODS, chance), _mostly(_TARGETS, chance), chance.choice(_VERSIONS)))
    headers = [(b"host", b"fuzz")] if chance.random() < 0.8 else []
    count = chance.choice((0, 1, 2, 3, 9, 300))
    headers += [(chance.choice(_NAMES[: 10 if count > 9 else None]), chance.choice(_VALUES[:17])) for _ in range(count)]
    if chance.random() < 0.1:
        headers.append((chance.choice(_NAMES), chance.choice(_VALUES)))
    body = b""
    if chance.random() < 0.4:
        headers.append((b"transfer-encoding", b"chunked"))
        body = _chunks(chance)
    elif chance.random() < 0.4:
        body = b"[" * chance.choice((0, 1, 5, 70_000))
        headers.append((b"content-length", b"%d" % (len(body) + chance.choice((0, 0, 0, 1, -1, 10**9)))))
    return end.join([line, *(name + b": " + value for name, value in headers), b"", b""]) + body


def _mostly(values: tuple[bytes, ...], chance: Random) -> bytes:
    """Returns one of the first two as often as any other."""
    return chance.choice(values[:2] if chance.random() < 0.5 else values)


def _chunks(chance: Random) -> bytes:
    """Returns a body in chunks, with sizes, extensions and trailers that are right, mostly."""
    chunks = b""
    for _ in range(chance.choice((0, 1, 2, 30))):
        size = chance.choice((1, 5, 4_000))
        told = chance.choice((b"%x" % size,) * 6 + (b"-1", b"", b"0x5", b"f" * 17, b"%x " % size, b"0" * 40_000 + b"5"))
        extension = chance.choice((b"",) * 6 + (b";x=y", b";" + b"x" * 40_000))
        chunks += told + extension + b"\r\n" + b"x" * size + chance.choice((b"\r\n",) * 9 + (b"", b"\n"))
    trailers = b"".join(
        chance.choice(_NAMES) + b": " + chance.choice(_VALUES) + b"\r\n"
        for _ in range(chance.choice((0, 0, 0, 1, 400)))
    )
    return chunks + chance.choice((b"0",) * 6 + (b"", b"00", b"0;x")) + b"\r\n" + trailers + b"\r\n"


def heads(servers: Servers, count: int, seed_: int, growth: float = GROWTH) -> Tally:
    """Sends ``count`` connections' worth to each server; each has to be ended, nothing fails, memory comes back."""
    tally = Tally()
    for server in servers.both:
        chance = Random(f"{seed_}-{server.part}")
        _attacked(server, [request(chance) for _ in range(count // 5)], tally)  # what is loaded once is no leak
        before = _memory(server)
        _attacked(server, [request(chance) for _ in range(count - count // 5)], tally)
        with suppress(AssertionError):
            until(partial(_given_back, server, growth * before), 20, every=0.5)
        if not _given_back(server, growth * before):
            tally.complain(
                f"heads: {server.part} keeps memory", f"{_memory(server) >> 20} MB, {before >> 20} MB before"
            )
        if "Traceback" in server.log():
            tally.complain(f"heads: there is a traceback in the log of {server.part}", server.log()[-3_000:])
        server.get("/healthz")
    return tally


def _memory(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


def _given_back(server: Server, limit: float) -> bool:
    return _memory(server) < limit


def _attacked(server: Server, requests: list[list[bytes]], tally: Tally) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for parts, answer in zip(requests, pool.map(lambda parts: _answered(server, parts), requests), strict=True):
            statuses = Counter(int(status) for status in _STATUS.findall(answer or b""))
            tally.statuses += statuses
            if answer is None:
                tally.complain(f"heads: a connection to {server.part} was not ended", repr(parts)[:500])
            elif answer and not _STATUS.match(answer):
                tally.complain(f"heads: {server.part} answered what is no answer", f"{answer[:200]!r} {parts!r}"[:800])
            for status in statuses:
                if status >= 500:
                    tally.complain(f"heads: {server.part} answered {status}", f"{answer!r} {parts!r}"[:800])


def _answered(server: Server, parts: list[bytes]) -> bytes | None:
    """Returns what came back; ``None`` where the connection was still open long after."""
    try:
        return attack(server.port, parts, SOURCE, seconds=60)
    except TimeoutError:
        return None
