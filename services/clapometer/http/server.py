"""How our servers run: on the guarded protocol, or plainly where this uvicorn lacks what that builds on."""

import importlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import uvicorn

from clapometer.http.connections import Connections, server_options
from clapometer.http.headers import Application, Receive, Scope, Send

_MODULE = "uvicorn.protocols.http.httptools_impl"
_METHODS = (
    "connection_made", "connection_lost", "data_received", "on_message_begin", "on_url", "on_header",
    "on_headers_complete", "on_body", "on_message_complete", "on_response_complete", "send_400_response",
)  # fmt: skip
_ATTRIBUTES = (
    "client", "connections", "cycle", "expect_100_continue", "flow", "headers", "logger", "loop", "parser", "pipeline",
    "scope", "server_state", "transport",
)  # fmt: skip
PRIVATE: Mapping[str, tuple[str, ...]] = {
    "STATUS_LINE": (),
    "HttpToolsProtocol": (*_METHODS, *_ATTRIBUTES),
    "RequestResponseCycle": (
        "disconnected", "keep_alive", "message_event", "response_complete", "response_started",
        "waiting_for_100_continue",
    ),
}  # fmt: skip
"""Names of uvicorn that it does not promise and that ``guarded`` and the collector's protocol use, with their parts."""
_log = logging.getLogger("clapometer.http.server")


def missing_names() -> list[str]:
    """Returns which of uvicorn's private names are not there, or have other parts than we use."""
    try:
        module = importlib.import_module(_MODULE)
    except ImportError:
        return [_MODULE]
    gone = [name for name in PRIVATE if not hasattr(module, name)]
    for name in PRIVATE.keys() - gone:
        gone += [f"{name}.{part}" for part in PRIVATE[name] if not _has(getattr(module, name), part)]
    return gone


def _has(kind: type, part: str) -> bool:
    """Returns whether a class has an attribute, be it that its constructor sets it."""
    return hasattr(kind, part) or part in kind.__init__.__code__.co_names  # type: ignore[misc]


class Plain:
    """An application behind uvicorn's own protocol: it is told who sent a request, as the guarded protocol would."""

    def __init__(self, app: Application, shared: Connections) -> None:
        self._app = app
        self._proxies = shared.proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] == "http" and self._proxies:
            address = scope["client"][0] if scope["client"] else ""
            scope["client"] = (self._proxies.sender(address, scope["headers"]), 0)
        await self._app(scope, receive, send)


def configured(
    app: Any, shared: Connections, protocol: Callable[[], type[Any]], settings: Mapping[str, Any]
) -> uvicorn.Config:
    """Returns uvicorn's configuration.

    Args:
        app: The application.
        shared: What connections may cost.
        protocol: Makes the guarded protocol; called only where uvicorn has what that builds on.
        settings: What else uvicorn is told.
    """
    options = {**server_options(shared), **settings}
    missing = missing_names()
    if not missing:
        return uvicorn.Config(app, **{"http": protocol(), **options})
    _log.warning(
        "uvicorn %s has no %s, on which our protocol builds: requests go through plain ASGI, which is slower, and "
        "nothing ends connections that are slow or endless; put a proxy before it, or install the uvicorn of the lock",
        uvicorn.__version__, ", ".join(missing),
    )  # fmt: skip
    return uvicorn.Config(Plain(app, shared), **{"http": "auto", **options})
