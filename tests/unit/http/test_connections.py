"""What a connection may cost, of collector and serving alike: heads, trailers, queues, silence, and their number."""

import contextlib
import gc
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.support.hostile_requests import CHUNKED, HEAD, HOSTILE
from tests.support.waiting import until
from tests.unit.collector.conftest import Collector
from tests.unit.serving.running import Serving

from clapometer.collector import CollectorConfig
from clapometer.domain import InputError
from clapometer.gate import TrustedProxies
from clapometer.http.connections import ConnectionLimits, Connections, allow_files
from clapometer.http.guarded import GuardedProtocol
from clapometer.serving import ServingConfig

LIMITS = {"request_seconds": 30.0}


Start = Callable[..., tuple[Any, int]]


@pytest.fixture(params=["collector", "serving"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts a server with limits of the test's choice; returns it with its port."""
    running: list[Any] = []

    def start_one(**limits: Any) -> tuple[Any, int]:
        if request.param == "collector":
            server: Any = Collector(tmp_path / "collector", CollectorConfig(**limits))
            port = server.port
        else:
            config = ServingConfig(connections=ConnectionLimits(**limits))
            server = Serving(tmp_path / "clapometer.duckdb", config)
            port = int(server.url.rpartition(":")[2])
        running.append(server)
        return server, port

    yield start_one
    for server in running:
        server.stop()


def exchange(port: int, *parts: bytes, seconds: float = 120) -> bytes:
    """Sends the parts, as long as the server takes them, and returns what comes until it ends the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        with contextlib.suppress(ConnectionError):
            while chunk := connection.recv(65_536):
                received += chunk
    return received


def status(answer: bytes) -> int | None:
    return int(answer.split(b" ", 2)[1]) if answer else None


@pytest.mark.parametrize("parts", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_request_is_long_of_it_is_cut_off_and_takes_nothing_with_it(
    start: Start, parts: list[bytes]
) -> None:
    server, port = start(**LIMITS)
    answer = exchange(port, *parts)
    assert status(answer) in {400, 401, 404, None}
    assert server.http.get("/healthz").status_code == 200


@pytest.mark.parametrize("name", [b"x-api-key", b"authorization", b"content-length", b"x"])
def test_a_trailer_is_no_header_and_is_refused(start: Start, name: bytes) -> None:
    _, port = start(**LIMITS)
    body = b"1\r\na\r\n0\r\n" + name + b": csk_default\r\n\r\n"
    for path in (b"/v1/events", b"/v1/slates"):
        answer = exchange(port, CHUNKED.replace(b"/v1/slates", path) + body)
        assert status(answer) == 400
        assert b"Trailers are not taken" in answer or name == b"content-length"  # which the parser refuses itself


def test_a_long_body_is_no_head(start: Start) -> None:
    _, port = start(**LIMITS)
    body = b"[" + b" " * 200_000
    for framed in (
        b"content-length: %d\r\n\r\n" % len(body) + body,
        b"transfer-encoding: chunked\r\n\r\n%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n",
    ):
        answer = exchange(port, HEAD + b"connection: close\r\n" + framed)
        assert status(answer) not in {400, None}


def test_what_a_refused_connection_took_is_given_back_at_once(start: Start) -> None:
    server, port = start(**LIMITS)
    server.http.get("/healthz")
    gc.collect()
    before = protocols()
    gc.disable()  # what is in a cycle would stay
    try:
        for parts in HOSTILE.values():
            exchange(port, *parts)
            exchange(port, *(part.replace(b"/v1/slates", b"/v1/events") for part in parts))
        for half in (b"", b"GET /hea", HEAD, CHUNKED + b"1\r\na\r\n", HEAD + b"content-length: 5\r\n\r\n[]"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(half)
        until(lambda: protocols() <= before)
    finally:
        gc.enable()


def protocols() -> int:
    """Returns how many connections there are in memory, open or not."""
    return sum(isinstance(each, GuardedProtocol) for each in gc.get_objects())


@pytest.mark.parametrize("half", [b"", b"GET /healthz HTTP/1.1\r\nhost", CHUNKED, HEAD + b"content-length: 5\r\n\r\n["])
def test_a_request_that_does_not_come_is_not_waited_for_for_ever(start: Start, half: bytes) -> None:
    server, port = start(request_seconds=0.5)
    exchange(port, half)
    until(lambda: server.http.get("/healthz").status_code == 200)


def test_connections_of_one_address_are_bounded(start: Start) -> None:
    server, port = start(max_per_address=5, request_seconds=0.5)
    server.http.close()
    held = [socket.create_connection(("127.0.0.1", port), timeout=120) for _ in range(5)]
    answer = exchange(port)
    assert status(answer) == 503
    assert b"too many connections" in answer
    for connection in held:
        connection.close()
    until(lambda: status(exchange(port, b"GET /healthz HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")) == 200)


def test_no_more_connections_than_allowed_are_kept(start: Start) -> None:
    _, port = start(max_connections=3, request_seconds=30.0)
    held = [socket.create_connection(("127.0.0.1", port), timeout=120) for _ in range(3 + 64)]
    assert status(exchange(port)) == 503
    for connection in held:
        connection.close()


def test_connections_are_counted_by_why_they_ended() -> None:
    registry = CollectorRegistry()
    shared = Connections(ConnectionLimits(max_per_address=2), TrustedProxies(["10.0.0.1"]), "part", registry)
    assert [shared.enter(address) for address in ["10.0.0.1"] * 5 + ["1.1.1.1"] * 3] == [None] * 7 + ["address"]
    shared.note("address", "1.1.1.1")
    shared.leave("1.1.1.1")
    assert registry.get_sample_value("clapometer_part_connections") == 7
    assert registry.get_sample_value("clapometer_part_ended_connections_total", {"reason": "address"}) == 1
    assert registry.get_sample_value("clapometer_part_ended_connections_total", {"reason": "slow"}) == 0


def test_what_anybody_can_send_any_number_of_fills_no_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    _, port = start(**LIMITS)
    for _ in range(20):
        assert status(exchange(port, b"\x00\x01 nonsense\r\n\r\n")) == 400
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 1


def test_a_flood_of_ended_connections_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    shared = Connections(ConnectionLimits())
    for _ in range(100):
        shared.note("malformed", "1.1.1.1")
    (line,) = caplog.messages
    assert "connections ended: malformed" in line


def test_files_are_allowed_for_as_many_connections_as_there_may_be() -> None:
    assert allow_files(10) >= 10


@pytest.mark.parametrize(
    ("peer", "forwarded", "sender"),
    [
        ("1.2.3.4", [], "1.2.3.4"),
        ("1.2.3.4", ["9.9.9.9"], "1.2.3.4"),
        ("127.0.0.1", ["9.9.9.9"], "127.0.0.1"),
        ("10.0.0.7", ["9.9.9.9"], "9.9.9.9"),
        ("10.0.0.7", ["6.6.6.6, 9.9.9.9"], "9.9.9.9"),
        ("10.0.0.7", ["6.6.6.6", "9.9.9.9, 10.0.0.8"], "9.9.9.9"),
        ("10.0.0.7", ["10.0.0.8"], "10.0.0.8"),
        ("10.0.0.7", ["9.9.9.9, nonsense"], "10.0.0.7"),
        ("10.0.0.7", ["nonsense, 10.0.0.8"], "10.0.0.8"),
        ("10.0.0.7", [""], "10.0.0.7"),
        ("::ffff:10.0.0.7", ["2001:db8::1"], "2001:db8::1"),
    ],
)
def test_only_a_trusted_proxy_says_who_sent_a_request(peer: str, forwarded: list[str], sender: str) -> None:
    headers = [(b"host", b"t"), *((b"x-forwarded-for", each.encode()) for each in forwarded)]
    assert TrustedProxies(["10.0.0.0/8"]).sender(peer, headers) == sender


@pytest.mark.parametrize("named", ["proxy.example", "10.0.0.0/33", "10.0.0.1/8", ""])
def test_a_proxy_that_is_no_address_is_refused(named: str) -> None:
    with pytest.raises(InputError, match="trusted_proxies"):
        TrustedProxies([named])
