"""Requests that take what they can get of a server: too long, too many, never whole; none bears a key."""

import contextlib
import socket
from collections.abc import Iterable

HEAD = b"POST /v1/slates HTTP/1.1\r\nhost: test\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
MEGABYTE = 1 << 20
HOSTILE = {
    "one header of a megabyte": [b"GET /healthz HTTP/1.1\r\nx: ", *[b"y" * MEGABYTE] * 3],
    "a head of 200,000 bytes that is whole": [b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 200_000 + b"\r\n\r\n"],
    "a head of many headers that is whole": [
        b"GET /healthz HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(20_000)) + b"\r\n"
    ],
    "an address of 200,000 bytes": [b"GET /" + b"y" * 200_000 + b" HTTP/1.1\r\nhost: test\r\n\r\n"],
    "empty lines before a request": [b"\r\n" * MEGABYTE],
    "trailers without end": [CHUNKED + b"1\r\na\r\n0\r\n", *[b"x: " + b"y" * 60_000 + b"\r\n"] * 20],
    "one trailer without end": [CHUNKED + b"1\r\na\r\n0\r\nx: ", *[b"y" * MEGABYTE] * 3],
    "a chunk extension without end": [CHUNKED + b"1;x=", *[b"y" * MEGABYTE] * 3],
    "hundreds of requests in a row": [
        HEAD + b"content-length: 9\r\n\r\n" + b"GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n" * 800
    ],
}
"""By what is too long of them."""
HALVES = (b"", b"GET /hea", HEAD, CHUNKED + b"1\r\na\r\n", HEAD + b"content-length: 500000\r\n\r\n" + b"[" * 100_000)
"""Requests that are never whole, with nothing too long of them."""


def hostile_to(path: bytes) -> list[list[bytes]]:
    """Returns all of them, with the path of a POST that the server takes."""
    every = [*HOSTILE.values(), *([half] for half in HALVES)]
    return [[part.replace(b"/v1/slates", path) for part in parts] for parts in every]


def attack(port: int, parts: Iterable[bytes], source: str = "127.0.0.1", seconds: float = 20) -> bytes:
    """Makes one connection, sends as much as is taken and returns what comes until the server ends it."""
    received = b""
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", port), timeout=seconds, source_address=(source, 0)) as connection,
    ):
        with contextlib.suppress(OSError):  # it does not have to take all of it
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
        while chunk := connection.recv(65_536):
            received += chunk
    return received
