"""``POST /v1/events``: the hot path, an ASGI application of its own in front of FastAPI's routing."""

import datetime as dt
import time
from collections.abc import Callable

import msgspec

from clapometer.collector.answers import RESPOND, SAFE_HEADERS, Answer, Headers, RefusedError, problem_body
from clapometer.collector.head import Head, Receive, Scope, Send, read_head, scope_head
from clapometer.collector.intake.content import Media, layout_of
from clapometer.collector.intake.intake import GoneError, Intake
from clapometer.gate import ApiKey, cross_origin, preflight
from clapometer.telemetry.traces import Handled, Traced

EVENTS_PATH = "/v1/events"
_PATH = EVENTS_PATH.encode()
Write = Callable[[int, Headers, bytes], object]
"""Takes status, headers and body of an answer."""

_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")


class EventsEndpoint:
    """Answers ``POST`` and ``OPTIONS`` of the events' path."""

    def __init__(self, intake: Intake, clock: Callable[[], dt.datetime], traced: Traced | None = None) -> None:
        self._traced = traced
        self._intake = intake
        self._clock = clock
        self._encoder = msgspec.json.Encoder()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, whatever its method and however its body arrives."""
        started = time.perf_counter()
        head = scope_head(scope)
        headers = self._headers(head)
        if scope["method"] == "OPTIONS":
            asked = head.headers.get(b"access-control-request-headers", b"")
            await _send(scope, send, 204, [*headers, *preflight(asked), (b"allow", b"POST, OPTIONS")], b"")
            return
        traceparent = head.traceparent()
        headers.append((b"traceparent", traceparent))
        outcome: Answer | RefusedError
        try:
            if scope["method"] != "POST":
                msg = "events are sent with POST; /docs says how"
                raise RefusedError(405, msg, headers=[(b"allow", b"POST, OPTIONS")])
            outcome = await self._take(head, receive)
        except RefusedError as refused:
            outcome = refused.freed()
        except GoneError:
            return
        status, body = self._answer(outcome, head, headers)
        await _send(scope, send, status, headers, body)
        ended = time.perf_counter()
        self._intake.metrics.answered(status, ended - started)
        if self._traced is not None:
            self._trace(head, traceparent, status, ended - started, None)

    def answer_whole(self, raw: Headers, query: bytes, body: bytes, write: Write, address: str = "") -> None:
        """Answers a POST that is whole, without a task of its own: that is half of what a small request costs.

        Args:
            raw: Headers, names in lower case.
            query: Query string.
            body: As it travelled.
            write: Takes status, headers and body of the answer, now or once the events are durable.
            address: Where the connection comes from.
        """
        started = time.perf_counter()
        head = read_head(raw, query, path=_PATH, address=address)
        held, appending = 0, 0.0

        def answer(outcome: Answer | RefusedError) -> None:
            self._intake.release(held)
            headers = self._headers(head)
            traceparent = head.traceparent()
            headers.append((b"traceparent", traceparent))
            status, content = self._answer(outcome, head, headers)
            headers.append((b"content-length", b"%d" % len(content)))
            write(status, headers, content)
            ended = time.perf_counter()
            self._intake.metrics.answered(status, ended - started)
            if self._traced is not None:
                self._trace(head, traceparent, status, ended - started, ended - appending if appending else None)

        try:
            intake, now = self._intake, self._clock()
            key, media, limit = self._admit(head, now)
            events = intake.unpack(head, body, limit)
            intake.hold(len(events))
            held = len(events)
            weighed = intake.weigh(intake.decode(events, media, now, head), key, now, head.trace_id)
        except RefusedError as refused:
            answer(refused)
        else:
            appending = time.perf_counter()
            intake.accept_then(weighed, answer)

    def _trace(self, head: Head, traceparent: bytes, status: int, seconds: float, append_seconds: float | None) -> None:
        assert self._traced is not None
        name = f"{head.method} {EVENTS_PATH}"
        given = head.headers.get(b"traceparent")
        self._traced(Handled(name, given, traceparent, status, seconds, append_seconds))

    async def _take(self, head: Head, receive: Receive) -> Answer:
        intake, now = self._intake, self._clock()
        key, media, limit = self._admit(head, now)
        body = await intake.body(head, receive, limit)
        intake.admit_body(key)
        size = len(body)
        intake.hold(size)
        try:
            # Not held in a variable: hundreds of requests wait for the disk at a time; their events need not.
            return await intake.accept(intake.weigh(intake.decode(body, media, now, head), key, now, head.trace_id))
        finally:
            intake.release(size)

    def _admit(self, head: Head, now: dt.datetime) -> tuple[ApiKey, Media, int]:
        """Returns who sends, in which layout, and how many bytes at most.

        Raises:
            RefusedError: The key or the content type does not do.
        """
        key = self._intake.authenticate(head, now)
        media = layout_of(head.headers)
        config = self._intake.config
        return key, media, config.max_beacon_bytes if media is Media.BEACON else config.max_body_bytes

    def _answer(self, outcome: Answer | RefusedError, head: Head, headers: Headers) -> tuple[int, bytes]:
        """Returns status and body of an answer, and adds the headers that belong to them."""
        if isinstance(outcome, RefusedError):
            headers += [_PROBLEM, *outcome.headers]
            return outcome.status, problem_body(outcome, head.trace_id)
        headers.append(_JSON)
        if not outcome.rejected and not outcome.warnings:
            return 202, b'{"accepted":%d,"rejected":[],"warnings":[]}' % outcome.accepted
        return 202, self._encoder.encode(outcome)

    def _headers(self, head: Head) -> Headers:
        origin = head.headers.get(b"origin")
        if origin is None:
            return [*SAFE_HEADERS]
        return [*SAFE_HEADERS, *cross_origin(origin, self._intake.config.cors_origins, self._intake.gate.keys.origins)]


async def _send(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    if status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    ours = scope.get("extensions", {}).get(RESPOND)
    if ours is None or scope["method"] == "HEAD" or not ours["write"](status, headers, body):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
