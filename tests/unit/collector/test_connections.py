"""What a connection may cost: slow, huge, ambiguous and endless requests over raw sockets."""

import contextlib
import json
import socket
import time
from collections.abc import Callable

import pytest
from tests.support.waiting import until
from tests.unit.collector.conftest import Collector
from tests.unit.collector.test_bad_input import event

from clapometer.gate import Rates, TrustedProxies


def request(collector: Collector, body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = [
        "POST /v1/events HTTP/1.1",
        "host: test",
        f"authorization: Bearer {collector.secret}",
        "content-type: application/json",
        *([] if length == -1 else [f"content-length: {len(body) if length is None else length}"]),
        *headers,
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def good(collector: Collector) -> bytes:
    return json.dumps([event(collector)]).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize("rest", ["nothing", "half a head", "half a body", "drops of a body"])
def test_a_request_that_does_not_arrive_in_time_ends(start: Callable[..., Collector], rest: str) -> None:
    collector = start(request_seconds=0.5)
    sent = {
        "nothing": b"",
        "half a head": b"POST /v1/events HTTP/1.1\r\nhost: te",
        "half a body": request(collector, b"[", length=100),
        "drops of a body": request(collector, b"[", length=100),
    }[rest]
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", collector.port), timeout=120) as connection:
        connection.sendall(sent)
        connection.settimeout(0.05 if rest.startswith("drops") else 120)
        received = _until_closed(connection, drip=b" " if rest.startswith("drops") else b"")
    assert time.monotonic() - begun > 0.4
    if "body" in rest:
        assert status(received) == 408
        problem = json.loads(received.split(b"\r\n\r\n")[1])
        assert (problem["status"], "send less, or faster" in problem["detail"]) == (408, True)
    else:
        assert received == b""
    assert collector.blocks() == []


def test_an_idle_connection_is_closed(start: Callable[..., Collector]) -> None:
    collector = start(request_seconds=0.4, keep_alive_seconds=1)
    begun = time.monotonic()
    assert status(collector.raw(request(collector, good(collector)))) == 202
    assert time.monotonic() - begun > 0.9


def test_a_refused_body_may_not_go_on_for_ever(start: Callable[..., Collector]) -> None:
    collector = start(request_seconds=0.5)
    with socket.create_connection(("127.0.0.1", collector.port), timeout=0.05) as connection:
        connection.sendall(request(collector, b"[", length=5_000_000))
        received = _until_closed(connection, drip=b" ")
    assert status(received) == 413
    assert received.count(b"HTTP/1.1") == 1


def test_a_head_of_megabytes_is_cut_off(collector: Collector) -> None:
    endless = b"GET /healthz HTTP/1.1\r\nhost: test\r\n" + b"".join(
        b"x-%d: %s\r\n" % (n, b"y" * 1_000) for n in range(2_000)
    )
    received = collector.raw(endless)
    assert received == b"" or status(received) == 400
    assert collector.http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        ("content-length: 3", "content-length: 4"),
        ("content-length: 3", "transfer-encoding: chunked"),
        ("transfer-encoding: chunked, identity",),
        ("content-length: +3",),
        ("content-length: 0x3",),
        ("bad header",),
        ("x: a\x00b",),
    ],
)
def test_a_head_that_two_parsers_could_read_differently_is_refused(
    collector: Collector, headers: tuple[str, ...]
) -> None:
    smuggled = b"0\r\n\r\nGET /metrics HTTP/1.1\r\nhost: test\r\n\r\n"
    received = collector.raw(request(collector, smuggled, *headers, length=-1))
    assert status(received) == 400
    assert received.count(b"HTTP/1.1") == 1
    assert collector.blocks() == []


def test_a_key_of_bytes_that_are_no_text_is_unknown(collector: Collector) -> None:
    head = b"POST /v1/events HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\nconnection: close\r\n"
    assert status(collector.raw(head + b"x-api-key: \xff\xfe_\x80_\r\n\r\n")) == 401


@pytest.mark.parametrize("name", ["authorization", "content-type", "content-encoding", "x-api-key", "origin"])
def test_a_header_that_decides_something_may_be_there_only_once(collector: Collector, name: str) -> None:
    received = collector.raw(request(collector, good(collector), f"{name}: a", f"{name}: b", "connection: close"))
    assert status(received) == 400
    assert b"is there more than once" in received


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_an_upgrade_is_not_taken_and_its_body_is_no_request(collector: Collector, upgrade: str) -> None:
    hidden = b"GET /metrics HTTP/1.1\r\nhost: test\r\n\r\n"
    received = collector.raw(request(collector, hidden, f"upgrade: {upgrade}", "connection: upgrade"), seconds=2)
    assert b"clapometer_collector_requests" not in received
    assert b" 101 " not in received


def test_requests_in_one_packet_are_answered_in_their_order(collector: Collector) -> None:
    bodies = [json.dumps([event(collector, str(n))]).encode() for n in range(20)]
    data = b"".join(request(collector, body) for body in bodies[:-1])
    received = collector.raw(data + request(collector, bodies[-1], "connection: close"))
    assert received.count(b"HTTP/1.1 202") == 20
    assert collector.stored_ids() == [str(n) for n in range(20)]


def test_a_client_that_waits_for_100_continue_gets_it_or_the_refusal(collector: Collector) -> None:
    expect = "expect: 100-continue"
    with socket.create_connection(("127.0.0.1", collector.port), timeout=120) as connection:
        body = good(collector)
        connection.sendall(request(collector, b"", expect, length=len(body)))
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert status(connection.recv(1_000)) == 202
    with socket.create_connection(("127.0.0.1", collector.port), timeout=120) as connection:
        connection.sendall(request(collector, b"", expect, length=5_000_000))
        assert status(connection.recv(1_000)) == 413


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(collector: Collector) -> None:
    with socket.create_connection(("127.0.0.1", collector.port)) as connection:
        connection.sendall(request(collector, b"[" + b" " * 100_000, length=200_000))
        until(lambda: "held_bytes 0.0" not in collector.http.get("/metrics").text)
    until(lambda: "held_bytes 0.0" in collector.http.get("/metrics").text)
    assert collector.blocks() == []


def test_more_connections_than_allowed_are_answered_503(start: Callable[..., Collector]) -> None:
    collector = start(max_connections=5)
    idle = [socket.create_connection(("127.0.0.1", collector.port)) for _ in range(6)]
    try:
        until(lambda: collector.http.get("/healthz").status_code == 503)
    finally:
        for connection in idle:
            connection.close()
    until(lambda: collector.http.get("/healthz").status_code == 200)


def test_bodies_that_come_at_once_are_charged_before_the_next_is_decoded(start: Callable[..., Collector]) -> None:
    collector = start(gate={"rates": Rates({"secret": "30/day"})})
    body = json.dumps([event(collector, str(n)) for n in range(40)]).encode()
    sent = [socket.create_connection(("127.0.0.1", collector.port), timeout=120) for _ in range(8)]
    for connection in sent:
        connection.sendall(request(collector, body, "connection: close")[:-1])
    until(lambda: collector.app.events._intake.metrics.held_bytes >= 8 * (len(body) - 1))
    for connection in sent:
        connection.sendall(body[-1:])
    answers = sorted(status(_until_closed(connection, drip=b"")) for connection in sent)
    for connection in sent:
        connection.close()
    assert answers == [202] + 7 * [429]
    assert len(collector.stored_ids()) == 40


@pytest.mark.parametrize(("trusted", "statuses"), [((), [202, 429, 429]), (("127.0.0.0/8",), [202, 202, 429])])
def test_only_trusted_proxies_say_whose_request_it_is(
    start: Callable[..., Collector], trusted: tuple[str, ...], statuses: list[int]
) -> None:
    gate = {"rates": Rates({"address": "1/day"})}
    collector = start(gate=gate, proxies=TrustedProxies(trusted))
    got = [
        collector.post([event(collector, str(n))], x_forwarded_for=address).status_code
        for n, address in enumerate(["9.9.9.9", "6.6.6.6, 8.8.8.8", "7.7.7.7, 9.9.9.9"])
    ]
    assert got == statuses


def test_line_breaks_in_an_event_stay_inside_its_line(collector: Collector) -> None:
    bad = event(collector, 'a"}\n{"specversion":"1.0"')
    collector.post([bad, {"id": "x\ny", "evil": "\n{}\n"}])
    (block,) = collector.blocks()
    assert (len(block.events), len(block.rejected)) == (1, 1)


def _until_closed(connection: socket.socket, drip: bytes) -> bytes:
    received = b""
    while True:
        try:
            chunk = connection.recv(65_536)
        except TimeoutError:
            with contextlib.suppress(ConnectionError):  # it was closed just now: what it said is still to be read
                connection.sendall(drip)
            continue
        except ConnectionResetError:
            return received
        if not chunk:
            return received
        received += chunk
