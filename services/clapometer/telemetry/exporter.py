"""``/metrics`` of parts that have no other HTTP, and what every process says of itself."""

from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from clapometer.domain import TerminalError

ASKED_SECONDS = 5.0
"""How long a connection to `/metrics` may take to say what it wants."""


def process_registry() -> CollectorRegistry:
    """Returns a registry that knows this process's memory, processor time and open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    return registry


def serve_metrics(registry: CollectorRegistry, host: str, port: int, setting: str) -> int:
    """Answers ``/metrics`` in a thread; returns the port, which ``setting`` chose.

    Raises:
        TerminalError: The address is taken or not ours.
    """
    try:
        server, _ = start_http_server(port, host, registry)
        # each connection is a thread: one that asks for nothing may not keep it
        handler: Any = server.RequestHandlerClass
        server.RequestHandlerClass = type("TimedHandler", (handler,), {"timeout": ASKED_SECONDS})
    except OSError as error:
        msg = f"metrics cannot be served at {host}:{port}: {error.strerror or error}; choose another {setting}"
        raise TerminalError(msg) from error
    return int(server.server_address[1])
