"""Around every request: security headers and trace on the answer, its time and status in the metrics."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import MutableHeaders

from clapometer.telemetry.traces import Handled, Traced, answer_traceparent

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Answered = Callable[[str, int, float], None]
"""Is told of every answer: its route, its status, and the seconds that it took."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

NO_PAGE = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}
"""On every answer that is no page: no cache keeps it, and no browser runs what it says."""


class Guard:
    """Middleware; written for ASGI itself, because a slate takes less time than most middleware."""

    def __init__(self, app: Application, answered: Answered, traced: Traced | None = None) -> None:
        self._app = app
        self._traced = traced
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500
        given = next((value for name, value in scope["headers"] if name == b"traceparent"), None)
        traceparent = answer_traceparent(given)

        async def send_guarded(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["traceparent"] = traceparent.decode()
            await send(message)

        try:
            await self._app(scope, receive, send_guarded)
        finally:
            # The pattern of the route, never the path: paths are endless.
            route = getattr(scope.get("route"), "path", "none")
            seconds = time.perf_counter() - begun
            self._answered(route, status, seconds)
            if self._traced is not None:
                self._traced(Handled(f"{scope['method']} {route}", given, traceparent, status, seconds))
