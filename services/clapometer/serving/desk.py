"""Carries work that reads the lake to threads, so that the event loop never waits for DuckDB."""

import asyncio
import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import anyio
import duckdb
import structlog

from clapometer.domain import ClapometerError
from clapometer.serving.config import ServingConfig
from clapometer.serving.metrics import ServingMetrics
from clapometer.serving.reading.errors import NotPublishedError
from clapometer.serving.reading.published import Published
from clapometer.serving.reading.queries import Connection
from clapometer.serving.slates.scores import ScoreBook

P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()


class Desk:
    """Reads the published file in a bounded number of threads, and keeps each tenant's scores."""

    def __init__(
        self,
        published: Published,
        config: ServingConfig,
        metrics: ServingMetrics,
        clock: Callable[[], dt.datetime],
        seconds: Callable[[], float],
    ) -> None:
        self.published = published
        self.clock = clock
        self._seconds = seconds
        self._config = config
        self._metrics = metrics
        self._limiter: anyio.CapacityLimiter | None = None
        self._books: dict[str, ScoreBook] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns ``query(connection, …)``, run in a thread over the newest version of the file."""

        def work() -> T:
            with self.published.read() as connection:
                return query(connection, *args, **kwargs)

        return await self._run(work)

    async def book(self, tenant: str, clip_ids: list[str]) -> ScoreBook:
        """Returns a tenant's scores, which know of these clips all that the lake knows.

        Only a tenant's first slate and clips that were never asked for wait for the lake; a changed file is taken
        over in the background.
        """
        book = self._books.get(tenant)
        if book is None:
            book = self._books[tenant] = self._new_book(tenant)
            await self._run(partial(self._refresh, book))
        elif book.due():
            task = asyncio.create_task(self._run(partial(self._refresh, book)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if missing := book.missing(clip_ids):
            await self._run(partial(self._learn, book, missing))
        return book

    def _new_book(self, tenant: str) -> ScoreBook:
        return ScoreBook(
            self.published,
            tenant,
            cached_clips=self._config.cached_clips,
            refresh_seconds=self._config.refresh_seconds,
            seconds=self._seconds,
        )

    async def _run(self, work: Callable[[], T]) -> T:
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(self._config.threads)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def _refresh(self, book: ScoreBook) -> None:
        self._keep_serving(book.refresh)

    def _learn(self, book: ScoreBook, clip_ids: list[str]) -> None:
        self._keep_serving(partial(book.learn, clip_ids))

    def _keep_serving(self, work: Callable[[], None]) -> None:
        """A slate is made from what is known: a lake that is away costs freshness, not the slate."""
        try:
            work()
        except NotPublishedError:
            pass
        except (ClapometerError, duckdb.Error) as error:
            self._metrics.refresh_failures.inc()
            log.warning("scores could not be refreshed", reason=str(error))
