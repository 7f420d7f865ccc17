"""Memory that hostile connections leave behind: resident memory of collector and serving before and after 1,000.

``PYTHONPATH=. python bench/hostile.py``: heads, trailers and chunk extensions without end, heads of 200 KB in one
packet, hundreds of requests in a row, halves of requests; all without a key, from this machine to itself. A round of
the same that does not count goes first, so that what is loaded once is not taken for a leak.
"""

import contextlib
import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from tests.e2e.running import RunningService

LIMIT = 1.10
CONNECTIONS = 1_000
AT_ONCE = 20
SETTLE_SECONDS = 5.0

HEAD = b"POST /v1/events HTTP/1.1\r\nhost: test\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
MEGABYTE = 1 << 20
HOSTILE = (
    (b"GET /healthz HTTP/1.1\r\nx: ", b"y" * MEGABYTE, b"y" * MEGABYTE),
    (b"GET /healthz HTTP/1.1\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",),
    (b"GET /healthz HTTP/1.1\r\n" + b"".join(b"x%d: y\r\n" % n for n in range(20_000)) + b"\r\n",),
    (CHUNKED + b"1\r\na\r\n0\r\n", *[b"x: " + b"y" * 60_000 + b"\r\n"] * 50),
    (CHUNKED + b"1\r\na\r\n0\r\nx: ", *[b"y" * MEGABYTE] * 50),
    (CHUNKED + b"1;x=", b"y" * MEGABYTE, b"y" * MEGABYTE),
    (HEAD + b"content-length: 9\r\n\r\n" + b"GET /healthz HTTP/1.1\r\nhost: t\r\n\r\n" * 800,),
    (HEAD + b"content-length: 500000\r\n\r\n" + b"[" * 100_000,),
)


def attack(address: tuple[str, int], number: int) -> None:
    """Makes one connection, sends as much as is taken, and leaves."""
    with contextlib.suppress(OSError), socket.create_connection(address, timeout=5) as connection:
        for part in HOSTILE[number % len(HOSTILE)]:
            connection.sendall(part)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass


def memory_mb(process: psutil.Process) -> float:
    """Returns the resident memory of a process."""
    return float(process.memory_info().rss) / (1 << 20)


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        service = RunningService(Path(folder))
        service.start("serving")
        assert service.process is not None
        children = psutil.Process(service.process.pid).children()
        for part, url in (("collect", service.collector), ("serve", service.serving)):
            (process,) = (each for each in children if part in each.cmdline())
            address = ("127.0.0.1", int(url.rpartition(":")[2]))
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(lambda n, to=address: attack(to, n), range(CONNECTIONS // 5)))
                time.sleep(SETTLE_SECONDS)
                before = memory_mb(process)
                list(pool.map(lambda n, to=address: attack(to, n), range(CONNECTIONS)))
            at_once = memory_mb(process)
            time.sleep(SETTLE_SECONDS)
            after = memory_mb(process)
            print(
                f"{part}: {before:.0f} MB before, {at_once:.0f} MB just after {CONNECTIONS} hostile connections, "
                f"{after:.0f} MB {SETTLE_SECONDS:g} s later; ratio {after / before:.2f} (limit {LIMIT})"
            )
        service.stop()


if __name__ == "__main__":
    main()
