"""The way of every request into the event log: who sends it, its body, its events, durability."""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping

import msgspec

from clapometer.collector.answers import Answer, Headers, RefusedError, retry_later
from clapometer.collector.config import CollectorConfig
from clapometer.collector.head import Head, Message, Receive, api_key, signed_digest, signed_request
from clapometer.collector.intake.content import Decompressor, Media, attributes_of
from clapometer.collector.intake.judge import block_of, cautioned, judge, verdict_of
from clapometer.collector.intake.registrations import Registrations
from clapometer.collector.intake.repeats import contradictions
from clapometer.collector.metrics import CollectorMetrics
from clapometer.domain import (
    Batch,
    ClapometerError,
    InputError,
    LogFullError,
    TerminalError,
    TooManyEventsError,
    TransientError,
    Trust,
    binary_event,
    decode_batch,
    decode_each,
    decode_lines,
    reject,
)
from clapometer.eventlog import GroupCommitter, Position
from clapometer.gate import ApiKey, Credentials, DeniedError, Gate, SignatureError, check_digest

_CHALLENGE: Headers = [(b"www-authenticate", b"Bearer")]


class GoneError(Exception):
    """The client left before it had sent all; nobody waits for an answer."""


class Weighed(msgspec.Struct, frozen=True, gc=False):
    """A batch that can be written: its events are in the block and need no memory of their own any more.

    Attributes:
        block: For the event log.
        verdict: For the sender, once the block is durable.
        accepted: Number of events.
        rejected: Number of dead letters.
        weightless: Impressions without a token that holds, by what is wrong with it.
    """

    block: bytes
    verdict: Answer | RefusedError
    accepted: int
    rejected: int
    weightless: Mapping[Trust, int]


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
        gate: Gate,
        tokens: Mapping[str, bytes],
        metrics: CollectorMetrics,
    ) -> None:
        self.config = config
        self.gate = gate
        self.metrics = metrics
        self.failure: str | None = None
        self._committer = committer
        self._tokens = tokens
        self._decompressor = Decompressor(config)
        self._registrations = Registrations()

    def authenticate(self, head: Head, now: dt.datetime) -> ApiKey:
        """Returns the record of the key that a request bears.

        Raises:
            RefusedError: 400 for a head that says two things at once, 401 without a key or signature that holds, 403
                where the key is for other pages, 429 with ``Retry-After`` where key or address have sent too much.
        """
        try:
            self.gate.address(head.address)
            key = self.gate.admit(Credentials(api_key(head), signed_request(head)), now)
            origin = head.headers.get(b"origin")
            self.gate.page(key, None if origin is None else origin.decode("latin-1"))
        except DeniedError as denied:
            raise _refusal(denied) from denied
        return key

    def admit_body(self, key: ApiKey) -> None:
        """Lets a body in that took its time: many may have been let in by their heads at once.

        Raises:
            RefusedError: 429 with ``Retry-After`` where the key has sent too much meanwhile.
        """
        try:
            self.gate.admit_body(key)
        except DeniedError as denied:
            raise _refusal(denied) from denied

    async def body(self, head: Head, receive: Receive, limit: int) -> bytes:
        """Returns the whole body, decompressed.

        Raises:
            RefusedError: 413, 415, 422 or 503: too large, not readable, no room.
            GoneError: The client left, or was too slow for the server's protocol.
        """
        declared = head.headers.get(b"content-length")
        if declared is not None and declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        return self.unpack(head, await self._read(receive, limit), limit)

    def unpack(self, head: Head, body: bytes, limit: int) -> bytes:
        """Returns a whole body, decompressed.

        Raises:
            RefusedError: 413, 415 or 422: too large, or not readable; 401 where it is not the body that was signed.
        """
        if len(body) > limit:
            raise _too_large(limit)
        digest = signed_digest(head)
        if digest is not None:
            _check_digest(digest, body)
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

    def decode(self, body: bytes, media: Media, now: dt.datetime, head: Head) -> Batch:
        """Returns the verdict on every event of a body.

        Raises:
            RefusedError: 413 for too many events, 422 where no event can be told from another.
        """
        config = self.config
        if media is Media.BINARY:
            return self._decode_binary(body, now, head)
        decode = decode_lines if media is Media.LINES else decode_batch
        try:
            return decode(body, now, max_events=config.max_events, max_depth=config.max_depth)
        except TooManyEventsError as error:
            raise RefusedError(413, error.reason) from error
        except InputError as error:
            raise RefusedError(422, str(error)) from error

    def _decode_binary(self, body: bytes, now: dt.datetime, head: Head) -> Batch:
        if signed_request(head) is not None:
            msg = "a signature does not cover ce- headers; send the whole event as application/cloudevents+json"
            raise RefusedError(415, msg)
        try:
            return decode_each([binary_event(attributes_of(head.headers), body)], now, self.config.max_depth)
        except InputError as error:
            return Batch([], [reject(body, error, 0)])

    def weigh(self, batch: Batch, key: ApiKey, now: dt.datetime, trace_id: str) -> Weighed:
        """Returns what a batch leaves in the event log and what its sender is told once it is there."""
        judged = judge(
            batch,
            key,
            self._tokens,
            now,
            max_browser_age=dt.timedelta(hours=self.config.max_browser_age_hours),
            confirm_purchases=self.config.confirm_purchases,
            answers_need_tokens=self.config.answers_need_tokens,
        )
        if key.kind == "secret" and (told := self._registrations.cautions(key.tenant, judged.events)):
            judged = cautioned(judged, told)
        if repeats := contradictions(judged.events):
            judged = cautioned(judged, repeats)
        # charged before they are durable: a burst is through before the first of it is
        self.gate.charge(key, len(judged.events) + len(judged.rejected) - 1)
        self.metrics.received += len(judged.events) + len(judged.rejected)
        return Weighed(
            block=block_of(judged, key, now, trace_id),
            verdict=verdict_of(judged),
            accepted=len(judged.events),
            rejected=len(judged.rejected),
            weightless=judged.weightless,
        )

    async def accept(self, weighed: Weighed) -> Answer:
        """Makes a batch durable, dead letters included, and returns what its sender is told.

        Raises:
            RefusedError: 403 or 422 where every event was refused, 503 where the log could not take them.
        """
        if weighed.accepted or weighed.rejected:
            try:
                await self._committer.append(weighed.block)
            except (TransientError, TerminalError) as error:
                raise self._failed(error) from error
        verdict = self._settled(weighed)
        if isinstance(verdict, RefusedError):
            raise verdict
        return verdict

    def accept_then(self, weighed: Weighed, told: Callable[[Answer | RefusedError], object]) -> None:
        """Does what `accept` does, and calls ``told`` with what it would return or raise."""
        if not weighed.accepted and not weighed.rejected:
            told(weighed.verdict)
            return

        def written(result: Position | ClapometerError) -> None:
            told(self._settled(weighed) if isinstance(result, Position) else self._failed(result))

        try:
            self._committer.append_then(weighed.block, written, asyncio.get_running_loop())
        except (TransientError, TerminalError) as error:
            told(self._failed(error))

    def _settled(self, weighed: Weighed) -> Answer | RefusedError:
        """Counts a batch that is durable, and returns what its sender is told."""
        self.failure = None
        if weighed.accepted or weighed.rejected:
            self._count(weighed.accepted, weighed.rejected, weighed.weightless)
        return weighed.verdict

    def _failed(self, error: ClapometerError) -> RefusedError:
        self.failure = str(error)
        self.metrics.append_failures += 1
        what = "the event log is full or busy" if isinstance(error, LogFullError) else "the event log is away"
        detail = f"{what}; send the same events again later: repeats are recognised by source and id"
        return retry_later(503, detail, self.config.retry_after_seconds)

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


def _refusal(denied: DeniedError) -> RefusedError:
    if denied.retry_after:
        return retry_later(denied.status, denied.detail, denied.retry_after)
    return RefusedError(denied.status, denied.detail, headers=_CHALLENGE if denied.status == 401 else None)


def _check_digest(digest: str, body: bytes) -> None:
    try:
        check_digest(digest, body)
    except SignatureError as error:
        msg = f"the body is not the one that Content-Digest names: {error}"
        raise RefusedError(401, msg, headers=_CHALLENGE) from error


def _too_large(limit: int) -> RefusedError:
    return RefusedError(413, f"the body is longer than {limit} bytes; split it into several requests")
