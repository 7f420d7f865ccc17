"""Clips and viewers as resources: each request becomes one event, with the same verdicts and durability."""

import datetime as dt
import hashlib
import re
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec
from fastapi import APIRouter, HTTPException, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from clapometer.collector.answers import SAFE_HEADERS, Answer, Headers, RefusedError, Verdict, problem_body
from clapometer.collector.head import Head, scope_head
from clapometer.collector.intake.content import Media, media_of
from clapometer.collector.intake.intake import GoneError, Intake
from clapometer.domain import (
    CLIPS_ROUTE,
    VIEWERS_ROUTE,
    Batch,
    InputError,
    check_time,
    decode_event,
    plain_text,
    reject,
)
from clapometer.gate import ApiKey

_Fields = dict[str, msgspec.Raw]
_FIELDS = msgspec.json.Decoder(_Fields)
_OTHER_CLIP = "differs from the clip in the path; leave it out of the body"
_DATA = re.compile(r"\bdata\.(?=[a-z])")
_MAX_PROMISES = 10_000
_OTHERS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event whose data is still JSON; the decoder of events checks it."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str
    time: dt.datetime
    data: _Fields


class _AnyText(Convertor[str]):
    """Ids hold any text, slashes and line breaks included, which Starlette's own ``path`` leaves out."""

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class Resources:
    """Turns requests on clips and viewers into events; all of them need a secret key."""

    def __init__(self, intake: Intake, clock: Callable[[], dt.datetime]) -> None:
        self._intake = intake
        self._clock = clock
        self._promises = _Promises()

    def router(self) -> APIRouter:
        """Returns the routes."""
        register_url_convertor("identifier", _AnyText())
        router = APIRouter()

        @router.post("/v1/clips/{clip_id:identifier}/withdrawal", tags=["clips"], summary="Withdraw a clip")
        async def withdraw_clip(clip_id: str, request: Request) -> Response:
            """The data of `clip_withdrawn`: a reason and a scope."""
            return await self._respond(request, lambda head, key: self._withdraw(clip_id, request, head, key))

        @router.api_route("/v1/clips/{clip_id:identifier}/withdrawal", methods=_OTHERS, include_in_schema=False)
        async def no_withdrawal() -> Response:  # else PUT would take it for a clip of that name
            raise HTTPException(405, headers={"allow": "POST"})

        @router.put("/v1/clips/{clip_id:identifier}", tags=["clips"], summary="Register a clip")
        async def put_clip(clip_id: str, request: Request) -> Response:
            """The data of `clip_registered`. The same again is a duplicate; other data is a new version."""
            return await self._respond(request, lambda head, key: self._register(clip_id, request, head, key))

        @router.delete("/v1/viewers/{viewer_id:identifier}", tags=["viewers"], summary="Erase a viewer")
        async def erase_viewer(viewer_id: str, request: Request) -> Response:
            """Everything of the viewer is erased from the lake; what is left counts without a name."""
            return await self._respond(request, lambda head, key: self._erase(viewer_id, head, key))

        return router

    async def _respond(self, request: Request, work: Callable[[Head, ApiKey], Awaitable[Answer]]) -> Response:
        head = scope_head(request.scope)
        headers: Headers = [*SAFE_HEADERS, (b"traceparent", head.traceparent())]
        try:
            answer = await work(head, self._secret_key(head))
        except RefusedError as refused:
            status, body = refused.status, problem_body(refused, head.trace_id)
            headers += [(b"content-type", b"application/problem+json"), *refused.headers]
        except GoneError:
            status, body = 400, b""  # nobody reads it
        else:
            status, body = 202, msgspec.json.encode(answer)
            headers.append((b"content-type", b"application/json"))
        self._intake.metrics.answers[status] += 1
        response = Response(body, status)
        response.raw_headers += headers
        return response

    def _secret_key(self, head: Head) -> ApiKey:
        key = self._intake.authenticate(head, self._clock())
        if key.kind != "secret":
            msg = "this needs a secret key (csk_…), from a server; publishable keys may only POST /v1/events"
            raise RefusedError(403, msg)
        return key

    async def _register(self, clip_id: str, request: Request, head: Head, key: ApiKey) -> Answer:
        fields = await self._fields(clip_id, request, head)
        # The id comes from the content, so that the same clip put twice is one event and a changed one another.
        # An Idempotency-Key tells a return to an earlier version from a repeat of it.
        event_id = _digest(_idempotency_key(head), clip_id, sorted(fields.items()))
        return await self._accept(CLIPS_ROUTE, "clip_registered", event_id, fields, key=key, head=head)

    async def _withdraw(self, clip_id: str, request: Request, head: Head, key: ApiKey) -> Answer:
        fields = await self._fields(clip_id, request, head)
        event_id = _unique(head, "POST", CLIPS_ROUTE, fields)
        return await self._accept(CLIPS_ROUTE, "clip_withdrawn", event_id, fields, key=key, head=head)

    async def _erase(self, viewer_id: str, head: Head, key: ApiKey) -> Answer:
        fields = {"viewer_id": msgspec.Raw(msgspec.json.encode(viewer_id))}
        event_id = _unique(head, "DELETE", VIEWERS_ROUTE, fields)
        return await self._accept(VIEWERS_ROUTE, "viewer_erased", event_id, fields, key=key, head=head)

    async def _fields(self, clip_id: str, request: Request, head: Head) -> _Fields:
        """Returns the fields of the body, with the ``clip_id`` of the path among them."""
        if media_of(head.headers.get(b"content-type")) is not Media.JSON:
            msg = "send the body as application/json"
            raise RefusedError(415, msg)
        body = await self._intake.body(head, request.receive, self._intake.config.max_body_bytes)
        try:
            fields = {name: msgspec.Raw(bytes(value)) for name, value in _FIELDS.decode(plain_text(body)).items()}
            given = msgspec.json.decode(fields["clip_id"]) if "clip_id" in fields else clip_id
        except (msgspec.MsgspecError, RecursionError, UnicodeError, InputError) as error:
            msg = f"the body is not a JSON object: {error}; send the data of the event"
            raise RefusedError(422, msg) from error
        if given != clip_id:
            verdict = Verdict(0, None, "inconsistent", "clip_id", _OTHER_CLIP)
            raise RefusedError(422, "the path names one clip and the body another", rejected=[verdict])
        return {"clip_id": msgspec.Raw(msgspec.json.encode(clip_id)), **fields}

    async def _accept(
        self, source: str, name: str, event_id: str, fields: _Fields, *, key: ApiKey, head: Head
    ) -> Answer:
        self._promises.check(key.tenant, head, (name, fields))
        now = self._clock()
        event = _Envelope(id=event_id, source=source, type=f"clapometer.{name}.v1", time=now, data=fields)
        raw = msgspec.json.encode(event)
        try:
            decoded = decode_event(raw, self._intake.config.max_depth)
            check_time(decoded, now)
        except InputError as error:
            # the body is the data: paths into it start there
            inner = InputError(_DATA.sub("", error.reason), _DATA.sub("", error.field), code=error.code)
            batch = Batch([], [reject(raw, inner, 0)])
        else:
            batch = Batch([decoded], [])
        answer = await self._intake.accept(self._intake.weigh(batch, key, now, head.trace_id))
        self._promises.keep(key.tenant, head, (name, fields))
        return answer


class _Promises:
    """What the latest Idempotency-Keys were used for: a key names one request, and another is told at once.

    Another collector knows nothing of it. Nothing is lost there either: the ids of events come from all that was asked.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, str] = OrderedDict()

    def check(self, tenant: str, head: Head, asked: object) -> None:
        """Refuses a request whose key was used for another one.

        Raises:
            RefusedError: 409.
        """
        given = _idempotency_key(head)
        if given and self._kept.get(_digest(tenant, given), _digest(asked)) != _digest(asked):
            msg = "this Idempotency-Key was used for another request, which stands; send this one with a key of its own"
            raise RefusedError(409, msg)

    def keep(self, tenant: str, head: Head, asked: object) -> None:
        """Remembers a request that was accepted."""
        given = _idempotency_key(head)
        if given:
            self._kept[_digest(tenant, given)] = _digest(asked)
            if len(self._kept) > _MAX_PROMISES:
                self._kept.popitem(last=False)


def _idempotency_key(head: Head) -> str:
    return head.headers.get(b"idempotency-key", b"").decode("latin-1")


def _digest(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def _unique(head: Head, method: str, route: str, fields: _Fields) -> str:
    """Returns an id for a request: of its ``Idempotency-Key`` and all that it asks, or one of our own."""
    given = _idempotency_key(head)
    return _digest(given, method, route, sorted(fields.items())) if given else str(uuid.uuid4())
