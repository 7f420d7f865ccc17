"""``POST /v1/events``: the hot path, an ASGI application of its own in front of FastAPI's routing."""

import datetime as dt
import time
from collections.abc import Callable

import msgspec

from clapometer.collector.answers import RESPOND, Answer, Headers, RefusedError, problem_body
from clapometer.collector.content import Media, media_of
from clapometer.collector.head import Head, Receive, Scope, Send, read_head
from clapometer.collector.intake import GoneError, Intake

_NO_SNIFFING = (b"x-content-type-options", b"nosniff")  # answers to POST are not cached anyway
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-allow-headers", b"authorization, x-api-key, content-type, content-encoding, traceparent"),
    (b"access-control-max-age", b"86400"),
]
_EXPOSED = (b"access-control-expose-headers", b"traceparent, retry-after")


class EventsEndpoint:
    """Answers ``POST`` and ``OPTIONS`` of the events' path."""

    def __init__(self, intake: Intake, clock: Callable[[], dt.datetime]) -> None:
        self._intake = intake
        self._clock = clock
        self._encoder = msgspec.json.Encoder()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        started = time.perf_counter()
        head = read_head(scope)
        headers = [_NO_SNIFFING, *self._cross_origin(head)]
        if scope["method"] == "OPTIONS":
            await _send(scope, send, 204, [*headers, *_PREFLIGHT, (b"allow", b"POST, OPTIONS")], b"")
            return
        headers.append((b"traceparent", head.traceparent()))
        try:
            if scope["method"] != "POST":
                msg = "events are sent with POST; /docs says how"
                raise RefusedError(405, msg, headers=[(b"allow", b"POST, OPTIONS")])
            answer = await self._take(head, receive)
        except RefusedError as refused:
            status, body = refused.status, problem_body(refused, head.trace_id)
            headers += [_PROBLEM, *refused.headers]
        except GoneError:
            return
        else:
            status, body = 202, self._body(answer)
            headers.append(_JSON)
        await _send(scope, send, status, headers, body)
        self._intake.metrics.answered(status, time.perf_counter() - started)

    async def _take(self, head: Head, receive: Receive) -> Answer:
        intake = self._intake
        now = self._clock()
        key = intake.authenticate(head, now)
        media = media_of(head.headers.get(b"content-type"))
        config = intake.config
        limit = config.max_beacon_bytes if media is Media.BEACON else config.max_body_bytes
        body = await intake.body(head, receive, limit)
        size = len(body)
        intake.hold(size)
        try:
            accepting = intake.accept(intake.decode(body, media, now), key, now, head.trace_id)
            return await accepting
        finally:
            intake.release(size)

    def _body(self, answer: Answer) -> bytes:
        if not answer.rejected and not answer.warnings:
            return b'{"accepted":%d,"rejected":[],"warnings":[]}' % answer.accepted
        return self._encoder.encode(answer)

    def _cross_origin(self, head: Head) -> Headers:
        """Returns what lets a page of another origin read the answer."""
        origin = head.headers.get(b"origin")
        if origin is None:
            return []
        allowed = self._intake.config.cors_origins
        if "*" in allowed:
            return [(b"access-control-allow-origin", b"*"), _EXPOSED]
        varies = (b"vary", b"origin")
        name = origin.decode("latin-1")
        if name in allowed or name in self._intake.keys.origins:
            return [(b"access-control-allow-origin", origin), _EXPOSED, varies]
        return [varies]


async def _send(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    ours = scope.get("extensions", {}).get(RESPOND)
    if ours is None or scope["method"] == "HEAD" or not ours["write"](status, headers, body):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
