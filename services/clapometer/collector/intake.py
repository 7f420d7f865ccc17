"""The way of every request into the event log: who sends it, its body, its events, durability."""

import datetime as dt
from collections.abc import Mapping

from clapometer.collector.answers import Answer, RefusedError, retry_later
from clapometer.collector.config import CollectorConfig
from clapometer.collector.content import Decompressor, Media
from clapometer.collector.head import Head, Message, Receive, api_key
from clapometer.collector.judge import block_of, judge, verdict_of
from clapometer.collector.keys import ApiKey, KeyRing
from clapometer.collector.limiter import Limiter
from clapometer.collector.metrics import CollectorMetrics
from clapometer.domain import (
    Batch,
    InputError,
    LogFullError,
    TerminalError,
    TooManyEventsError,
    TransientError,
    Trust,
    decode_batch,
    decode_lines,
)
from clapometer.eventlog import GroupCommitter


class GoneError(Exception):
    """The client left before it had sent all; nobody waits for an answer."""


class Intake:
    """Takes requests in, within the limits of ``config``; knows nothing of paths and methods.

    Attributes:
        failure: Why the last append failed; ``None`` after one that did not.
    """

    def __init__(
        self,
        *,
        config: CollectorConfig,
        committer: GroupCommitter,
        keys: KeyRing,
        tokens: Mapping[str, bytes],
        limiter: Limiter,
        metrics: CollectorMetrics,
    ) -> None:
        self.config = config
        self.keys = keys
        self.metrics = metrics
        self.failure: str | None = None
        self._committer = committer
        self._tokens = tokens
        self._limiter = limiter
        self._decompressor = Decompressor(config)

    def authenticate(self, head: Head, now: dt.datetime) -> ApiKey:
        """Returns the record of the key that a request bears.

        Raises:
            RefusedError: 400 for a head that says two things at once, 401 without a key that is valid, 403 where
                the key is for other pages, 429 with ``Retry-After`` where the key has sent too much.
        """
        seconds = now.timestamp()
        self.keys.reload(seconds)
        key = self.keys.find(api_key(head), now)
        if key is None:
            msg = "the API key is missing, unknown or expired; send one as `Authorization: Bearer <key>` or `X-Api-Key`"
            raise RefusedError(401, msg, headers=[(b"www-authenticate", b"Bearer")])
        origin = head.headers.get(b"origin")
        if origin is not None and key.origins and origin.decode("latin-1") not in key.origins:
            msg = "this key is not for pages of this origin; add the origin to the key, or use another key"
            raise RefusedError(403, msg)
        wait = self._limiter.wait(key.id, seconds)
        if wait > 0:
            raise retry_later(429, "this key sends more events than it may; slow down", wait)
        return key

    async def body(self, head: Head, receive: Receive, limit: int) -> bytes:
        """Returns the whole body, decompressed.

        Raises:
            RefusedError: 413, 415, 422 or 503: too large, not readable, no room.
            GoneError: The client left, or was too slow for the server's protocol.
        """
        declared = head.headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        body = await self._read(receive, limit)
        self.metrics.body_bytes += len(body)
        encoding = head.headers.get(b"content-encoding")
        return body if encoding is None else self._decompressor.decode(body, encoding)

    def hold(self, size: int) -> None:
        """Counts ``size`` bytes as held until they are released.

        Raises:
            RefusedError: 503, there is no room for them.
        """
        if self.metrics.held_bytes + size > self.config.max_bytes_in_flight:
            raise retry_later(503, "too much is waiting; nothing was accepted", self.config.retry_after_seconds)
        self.metrics.held_bytes += size

    def release(self, size: int) -> None:
        """Counts ``size`` bytes as no longer held."""
        self.metrics.held_bytes -= size

    def decode(self, body: bytes, media: Media, now: dt.datetime) -> Batch:
        """Returns the verdict on every event of a body.

        Raises:
            RefusedError: 413 for too many events, 422 where no event can be told from another.
        """
        config = self.config
        decode = decode_lines if media is Media.LINES else decode_batch
        try:
            return decode(body, now, max_events=config.max_events, max_depth=config.max_depth)
        except TooManyEventsError as error:
            raise RefusedError(413, error.reason) from error
        except InputError as error:
            raise RefusedError(422, str(error)) from error

    async def accept(self, batch: Batch, key: ApiKey, now: dt.datetime, trace_id: str) -> Answer:
        """Makes a batch durable, dead letters included, and returns what its sender is told.

        Raises:
            RefusedError: 403 or 422 where every event was refused, 503 where the log could not take them.
        """
        seconds = now.timestamp()
        judged = judge(batch, key, self._tokens, seconds)
        accepted, rejected = len(judged.events), len(judged.rejected)
        verdict = verdict_of(judged)
        weightless = judged.weightless
        block = block_of(judged, key, now, trace_id)
        del batch, judged  # hundreds of requests wait for the disk at a time; their events need not
        if accepted or rejected:
            await self._append(block)
            self._limiter.charge(key.id, accepted + rejected, seconds)
            self._count(accepted, rejected, weightless)
        if isinstance(verdict, RefusedError):
            raise verdict
        return verdict

    async def _append(self, block: bytes) -> None:
        try:
            await self._committer.append(block)
        except (TransientError, TerminalError) as error:
            self.failure = str(error)
            what = "the event log is full or busy" if isinstance(error, LogFullError) else "the event log is away"
            detail = f"{what}; send the same events again later: repeats are recognised by source and id"
            raise retry_later(503, detail, self.config.retry_after_seconds) from error
        self.failure = None

    def _count(self, accepted: int, rejected: int, weightless: Mapping[Trust, int]) -> None:
        counts = self.metrics.events
        counts["accepted"] += accepted
        if rejected:
            counts["rejected"] += rejected
        for trust, count in weightless.items():
            counts[trust] += count

    async def _read(self, receive: Receive, limit: int) -> bytes:
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > limit:
                raise _too_large(limit)
            return body
        return await self._read_on(message, receive, limit)

    async def _read_on(self, message: Message, receive: Receive, limit: int) -> bytes:
        """Reads a body that comes in pieces; what has come counts as held, what was merely announced does not."""
        chunks = bytearray()
        held = 0
        try:
            while message["type"] == "http.request":
                chunk = message.get("body", b"")
                if held + len(chunk) > limit:
                    raise _too_large(limit)
                self.hold(len(chunk))
                held += len(chunk)
                chunks += chunk
                if not message.get("more_body"):
                    return bytes(chunks)
                message = await receive()
        finally:
            self.release(held)
        raise GoneError


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"the body is longer than {limit} bytes; split it into several requests")
