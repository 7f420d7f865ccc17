"""Sends events to ``POST /v1/events`` as a careful platform would: in batches, at a rate, until acknowledged.

An event is acknowledged only by a 202. Whatever may pass (429, any 5xx, a connection that breaks) is tried
again with the same bytes, so that an event that did arrive is a duplicate, never a second event.
"""

import asyncio
import collections
import datetime as dt
import gzip
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import httpx2
import msgspec
import zstandard

from clapometer.domain import Event, InputError, TerminalError, TransientError
from clapometer.traffic.sender.batches import OutgoingBatch, batched
from clapometer.traffic.sender.pacing import Backoff, TokenBucket, retry_after_s
from clapometer.traffic.sender.signing import RequestSigner, signs

Compression = Literal["none", "gzip", "zstd"]
_PASSING = frozenset({408, 425, 429})
"""Statuses that may pass; those of 500 and above may, too."""
MAX_REASONS = 100
"""How many different reasons a report names; the rest is counted as "other"."""


@dataclass(frozen=True)
class SendOptions:
    """Where to send to, and how fast.

    Attributes:
        url: Address of the collector, such as ``http://127.0.0.1:8080``.
        key: API key; registrations need a secret one. One that signs (``css_…``) signs every request.
        batch: Most events in a request.
        max_bytes: Most bytes in a request before compression.
        connections: Requests under way at once.
        rate: Events per second; ``math.inf`` is as fast as the server answers.
        compression: Content encoding of the requests.
        timeout_s: How long one request may take, in seconds.
        patience_s: How long one batch is tried before giving up, in seconds.
        first_wait_s: Upper end of the wait after the first failure, in seconds; it doubles up to 64 times that.
        seed: Seed of the jitter between tries.
    """

    url: str
    key: str
    batch: int = 500
    max_bytes: int = 900_000
    connections: int = 4
    rate: float = math.inf
    compression: Compression = "none"
    timeout_s: float = 30.0
    patience_s: float = 60.0
    first_wait_s: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            msg = f"{self.url!r} does not begin with http:// or https://"
            raise InputError(msg, "url")
        if not (self.key.isascii() and self.key.isprintable()):
            raise InputError("has characters that no key has; copy it again", "key")
        for name in ("batch", "max_bytes", "connections", "rate", "timeout_s", "patience_s", "first_wait_s"):
            if not getattr(self, name) > 0:
                msg = f"{getattr(self, name)} is not above 0"
                raise InputError(msg, name)


@dataclass(frozen=True)
class SendReport:
    """What became of the events so far.

    Attributes:
        acknowledged: Events that the server made durable and accepted.
        rejected: Events that the server refused, each with a verdict.
        warnings: Warnings that came with accepted events.
        retries: Requests that were sent again.
        seconds: Wall time.
        reasons: Rejected events by ``field: reason``.
    """

    acknowledged: int
    rejected: int
    warnings: int
    retries: int
    seconds: float
    reasons: dict[str, int]


class SendFailedError(TransientError):
    """The server stayed away for longer than the patience; running the same again sends only what is missing.

    Attributes:
        report: What had become of the events by then.
    """

    def __init__(self, reason: str, report: SendReport) -> None:
        super().__init__(f"{reason}; {report.acknowledged} events were acknowledged before")
        self.report = report


Progress = Callable[[SendReport], None]
Sleep = Callable[[float], Awaitable[None]]


class _Rejection(msgspec.Struct, frozen=True):
    reason: str = "no reason given"
    field: str | None = None


class _Verdict(msgspec.Struct, frozen=True):
    accepted: int
    rejected: list[_Rejection] = []
    warnings: list[msgspec.Raw] = []


class _Problem(msgspec.Struct, frozen=True):
    rejected: list[_Rejection] = []


_VERDICT = msgspec.json.Decoder(_Verdict)
_PROBLEM = msgspec.json.Decoder(_Problem)


@dataclass
class _Tally:
    """The totals that the workers of one run share."""

    started: float
    acknowledged: int = 0
    rejected: int = 0
    warnings: int = 0
    retries: int = 0
    reasons: collections.Counter[str] = field(default_factory=collections.Counter)

    def take(self, verdict: _Verdict) -> None:
        self.acknowledged += verdict.accepted
        self.rejected += len(verdict.rejected)
        self.warnings += len(verdict.warnings)
        for rejection in verdict.rejected:
            reason = f"{rejection.field}: {rejection.reason}" if rejection.field else rejection.reason
            self.reasons[reason if reason in self.reasons or len(self.reasons) < MAX_REASONS else "other"] += 1

    def report(self, now: float) -> SendReport:
        return SendReport(
            acknowledged=self.acknowledged,
            rejected=self.rejected,
            warnings=self.warnings,
            retries=self.retries,
            seconds=now - self.started,
            reasons=dict(self.reasons.most_common()),
        )


@dataclass
class _Line:
    """One run of the sender: the connection pool, the totals and the waits."""

    http: httpx2.AsyncClient
    options: SendOptions
    tally: _Tally
    backoff: Backoff
    clock: Callable[[], float]
    sleep: Sleep

    async def deliver(self, batch: OutgoingBatch) -> None:
        """Returns once every event of ``batch`` has its verdict.

        Raises:
            SendFailedError: Nothing but passing failures for ``patience_s``.
            TerminalError: A refusal that trying again cannot change.
        """
        content = _compressed(batch.body, self.options.compression)
        give_up_at = self.clock() + self.options.patience_s
        tries = 0
        while True:
            answer = await self._post(content)
            if isinstance(answer, httpx2.Response) and not _may_pass(answer.status_code):
                await self._settle(answer, batch)
                return
            tries += 1
            asked = _asked_wait_s(answer)
            wait = self.backoff.wait(tries, asked)
            if self.clock() + wait >= give_up_at:
                raise SendFailedError(_describe(answer), self.tally.report(self.clock()))
            self.tally.retries += 1
            await self.sleep(wait)

    async def _post(self, content: bytes) -> httpx2.Response | httpx2.TransportError:
        try:
            return await self.http.post("/v1/events", content=content)
        except httpx2.TransportError as error:
            return error

    async def _settle(self, answer: httpx2.Response, batch: OutgoingBatch) -> None:
        if answer.status_code == 202:
            self.tally.take(_verdict(answer))
        elif answer.status_code == 413 and len(batch.events) > 1:
            for half in batch.halves():
                await self.deliver(half)
        elif answer.status_code in (413, 422):
            self.tally.take(_Verdict(0, _refusals(answer, len(batch.events))))
        else:
            raise TerminalError(_describe(answer))


async def send_async(
    events: Iterable[Event],
    options: SendOptions,
    *,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Sleep = asyncio.sleep,
) -> SendReport:
    """Returns what became of ``events`` once each is acknowledged or refused.

    At most ``2 * connections`` batches are in memory, whatever the length of ``events``. ``progress`` is
    called after each batch.

    Raises:
        SendFailedError: The server stayed away.
        TerminalError: The server refuses all of it, such as for a wrong key.
    """
    limits = httpx2.Limits(max_connections=options.connections, max_keepalive_connections=options.connections)
    tally = _Tally(clock())
    async with httpx2.AsyncClient(
        base_url=options.url,
        headers=_headers(options),
        event_hooks={"request": [RequestSigner(options.key).sign_async] if signs(options.key) else []},
        limits=limits,
        timeout=options.timeout_s,
        trust_env=False,  # the environment is read in settings.py only
    ) as http:
        backoff = Backoff(options.first_wait_s, 64 * options.first_wait_s, random.Random(options.seed))  # noqa: S311
        line = _Line(http, options, tally, backoff, clock, sleep)
        await _run(line, batched(events, options.batch, options.max_bytes), progress)
    return tally.report(clock())


def send(events: Iterable[Event], options: SendOptions, *, progress: Progress | None = None) -> SendReport:
    """Returns what :func:`send_async` returns, for callers without an event loop."""
    return asyncio.run(send_async(events, options, progress=progress))


async def _run(line: _Line, batches: Iterator[OutgoingBatch], progress: Progress | None) -> None:
    queue: asyncio.Queue[OutgoingBatch | None] = asyncio.Queue(maxsize=line.options.connections)

    async def feed() -> None:
        bucket = TokenBucket(line.options.rate, burst=line.options.batch)
        for batch in batches:
            delay = bucket.delay(len(batch.events), line.clock())
            if delay:
                await line.sleep(delay)
            await queue.put(batch)
        for _ in range(line.options.connections):
            await queue.put(None)

    async def work() -> None:
        while (batch := await queue.get()) is not None:
            await line.deliver(batch)
            if progress:
                progress(line.tally.report(line.clock()))

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(feed())
            for _ in range(line.options.connections):
                group.create_task(work())
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


def _headers(options: SendOptions) -> dict[str, str]:
    headers = {"content-type": "application/cloudevents-batch+json"}
    if not signs(options.key):
        headers["authorization"] = f"Bearer {options.key}"
    if options.compression != "none":
        headers["content-encoding"] = options.compression
    return headers


def _compressed(body: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.compress(body, compresslevel=1, mtime=0)
    if compression == "zstd":
        return zstandard.ZstdCompressor(level=1).compress(body)
    return body


def _verdict(answer: httpx2.Response) -> _Verdict:
    try:
        return _VERDICT.decode(answer.content)
    except msgspec.MsgspecError as error:
        msg = f"the answer is not that of a Clapometer collector: {error}"
        raise TerminalError(msg) from error


def _refusals(answer: httpx2.Response, n_events: int) -> list[_Rejection]:
    """Returns a verdict for each event of a request of which none was accepted."""
    try:
        rejected = _PROBLEM.decode(answer.content).rejected
    except msgspec.MsgspecError:
        rejected = []
    return rejected if len(rejected) == n_events else [_Rejection(_describe(answer))] * n_events


def _may_pass(status: int) -> bool:
    return status in _PASSING or status >= 500


def _asked_wait_s(answer: httpx2.Response | httpx2.TransportError) -> float | None:
    if isinstance(answer, httpx2.TransportError):
        return None
    return retry_after_s(answer.headers.get("retry-after"), dt.datetime.now(dt.UTC))


def _describe(answer: httpx2.Response | httpx2.TransportError) -> str:
    if isinstance(answer, httpx2.TransportError):
        return f"no answer ({type(answer).__name__}: {answer})"
    return f"HTTP {answer.status_code}: {_detail(answer)}"


def _detail(answer: httpx2.Response) -> str:
    """Returns what a problem document says, without what is for programs; else the beginning of the body."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
