"""Lets pages of other origins ask for slates: what their browsers want to know first, and may read afterwards."""

from collections.abc import Collection

from clapometer.gate import KeyRing, cross_origin, preflight
from clapometer.http.headers import Application, Message, Receive, Scope, Send

SLATES_PATH = "/v1/slates"


class CrossOrigin:
    """Middleware for the one path that pages ask.

    Args:
        app: What answers.
        allowed: Origins whose pages may read answers; ``*`` for all.
        keys: Add those that they name.
    """

    def __init__(self, app: Application, allowed: Collection[str], keys: KeyRing) -> None:
        self._app = app
        self._allowed = allowed
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        given = dict(scope["headers"]) if scope["type"] == "http" and scope["path"] == SLATES_PATH else {}
        if b"origin" not in given:
            await self._app(scope, receive, send)
            return
        readable = cross_origin(given[b"origin"], self._allowed, self._keys.origins)
        if scope["method"] == "OPTIONS":
            headers = [*readable, *preflight(given.get(b"access-control-request-headers", b""))]
            await send({"type": "http.response.start", "status": 204, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *readable]
            await send(message)

        await self._app(scope, receive, send_readable)
