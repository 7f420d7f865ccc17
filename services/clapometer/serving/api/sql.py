"""``POST /v1/sql``: one read-only statement over a tenant's own rows, for people without the file."""

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from clapometer.domain import TolerantDecoder
from clapometer.http.access import Access
from clapometer.http.bodies import decode_body, read_body
from clapometer.http.problems import RefusedError
from clapometer.serving.config import ServingConfig
from clapometer.serving.reading.errors import NotPublishedError
from clapometer.serving.sandbox import MEDIA_TYPES, Answer, Format, Job, run_job


class SqlRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A statement.

    Attributes:
        sql: One SELECT, DESCRIBE, SUMMARIZE, or EXPLAIN of a SELECT, in DuckDB's dialect.
        format: Form of the answer.
    """

    sql: str
    format: Format | None = "json"


_REQUEST = TolerantDecoder(SqlRequest)


class Turns:
    """Counts the statements under way, per key and in all."""

    def __init__(self, per_key: int, in_all: int) -> None:
        self._per_key = per_key
        self._in_all = in_all
        self._running: Counter[str] = Counter()

    def take(self, key_id: str) -> None:
        """Takes a turn, which must be given back.

        Raises:
            RefusedError: 429 where the key has as many statements under way as it may; 503 where the server has.
        """
        if self._running[key_id] >= self._per_key:
            msg = f"{self._per_key} statements of this key are running; wait for one to end"
            raise RefusedError(429, msg, {"Retry-After": "1"})
        if self._running.total() >= self._in_all:
            raise RefusedError(503, "too many statements are running; try again", {"Retry-After": "2"})
        self._running[key_id] += 1

    def give_back(self, key_id: str) -> None:
        """Ends a turn."""
        self._running[key_id] -= 1
        if not self._running[key_id]:
            del self._running[key_id]


def sql_routes(config: ServingConfig, access: Access, published: Path) -> APIRouter:
    """Returns the route of statements."""
    router = APIRouter(prefix="/v1")
    turns = Turns(config.sql_per_key, config.sql_in_all)

    @router.post("/sql", tags=["sql"], summary="Run one read-only statement over your rows")
    async def run(request: Request) -> Response:
        key = access.secret(request)
        asked = decode_body(_REQUEST, await read_body(request, config.max_body_bytes))
        form = asked.format or "json"
        if not published.exists():
            raise NotPublishedError
        turns.take(key.id)
        answer = None
        try:
            answer = await run_job(_job(config, published, key.tenant, asked.sql, form))
        finally:
            if answer is None:
                turns.give_back(key.id)
        headers = {"Cache-Control": "no-store"}
        give_back = partial(turns.give_back, key.id)
        return _AnswerResponse(answer, give_back, media_type=MEDIA_TYPES[form], headers=headers)

    return router


def _job(config: ServingConfig, published: Path, tenant: str, sql: str, form: Format) -> Job:
    return Job(
        published=str(published),
        tenant=tenant,
        sql=sql,
        format=form,
        seconds=config.sql_seconds,
        memory=config.sql_memory,
        max_rows=config.sql_max_rows,
        max_bytes=config.sql_max_bytes,
        min_viewers=config.sql_min_viewers,
        threads=1,
    )


class _AnswerResponse(StreamingResponse):
    """Sends the pieces of an answer, and ends it whatever happens to the connection.

    A limit that stops it half-way breaks the connection, so that nobody takes a part of an answer for the whole. The
    limit of time is one for all: a client that does not read cannot keep the process and the turn.
    """

    def __init__(self, answer: Answer, give_back: Callable[[], None], **more: Any) -> None:
        super().__init__(answer.pieces(), **more)
        self._answer = answer
        self._give_back = give_back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout_at(self._answer.deadline):
                await super().__call__(scope, receive, send)
        except TimeoutError as error:
            msg = "the answer was not read in time"
            raise ClientDisconnect(msg) from error
        finally:
            await self._answer.close()
            self._give_back()
