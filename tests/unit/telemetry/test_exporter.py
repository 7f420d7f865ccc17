"""``/metrics`` of parts that have no other HTTP."""

import socket
import urllib.request

from prometheus_client import CollectorRegistry

from clapometer.telemetry.exporter import serve_metrics


def test_a_connection_that_asks_for_nothing_is_ended_and_the_others_are_answered() -> None:
    port = serve_metrics(CollectorRegistry(), "127.0.0.1", 0, "loader_port")
    with socket.create_connection(("127.0.0.1", port), timeout=60) as silent:
        silent.sendall(b"GET /met")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
            assert answer.status == 200
        assert silent.recv(100) == b""
