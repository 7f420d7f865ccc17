"""Blocks to Kafka records and back, also for records that others wrote: pure functions.

A record whose content type says block goes through as it is; the loader checks its checksum. Everything else is
read as CloudEvents by the Kafka protocol binding (https://github.com/cloudevents/spec, version 1.0.2: structured
and binary mode, JSON), validated, and put into a block. What cannot be read becomes a rejected line of a block,
so that a poison record is visible and stops nobody.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from clapometer.domain import (
    Batch,
    Block,
    BlockHeader,
    CorruptBlockError,
    Event,
    InputError,
    RejectedEvent,
    TerminalError,
    Trust,
    binary_event,
    decode_batch,
    decode_block,
    encode_block,
    encode_events,
    is_json,
    reject,
)
from clapometer.eventlog.contract import Record

BLOCK_TYPE = b"application/vnd.clapometer.block"
EVENT_TYPE = b"application/cloudevents+json; charset=UTF-8"
CONTEXT = "clapometer-context"
"""Record header with what a block says once for its events."""
MERGED_EVENTS = 1_000
"""Events of neighbouring records that are put into one block, at most."""

Headers = Sequence[tuple[str, bytes | None]]


class Outgoing(NamedTuple):
    """A record to send."""

    value: bytes
    headers: list[tuple[str, bytes]]


class Incoming(Protocol):
    """What is needed of a record that was read; ``timestamp`` in milliseconds since 1970, -1 if unknown."""

    @property
    def offset(self) -> int: ...  # noqa: D102
    @property
    def timestamp(self) -> int: ...  # noqa: D102
    @property
    def value(self) -> bytes | None: ...  # noqa: D102
    @property
    def headers(self) -> Headers: ...  # noqa: D102


class Context(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an event beside its own fields."""

    tenant: str
    trust: Trust
    received_at: dt.datetime
    key_id: str = ""
    trace_id: str | None = None


_CONTEXT = msgspec.json.Decoder(Context)
_BLOCK_HEADERS = [("content-type", BLOCK_TYPE)]


def block_records(block: bytes, max_bytes: int) -> list[Outgoing]:
    """Returns the block as one record, or as several where it is larger than ``max_bytes``.

    Raises:
        TerminalError: A single event is larger than ``max_bytes``.
    """
    parts = [block] if len(block) <= max_bytes else split_block(block, max_bytes)
    return [Outgoing(part, _BLOCK_HEADERS) for part in parts]


def event_records(block: bytes, max_bytes: int) -> list[Outgoing]:
    """Returns a CloudEvents record per accepted event, and the rejected lines as a block after them.

    Raises:
        CorruptBlockError: The block is not one.
        TerminalError: A single event is larger than ``max_bytes``.
    """
    decoded = decode_block(block)
    head = decoded.header
    headers: dict[Trust, list[tuple[str, bytes]]] = {}
    records = []
    for index, line in enumerate(decoded.events):
        trust = head.exceptions.get(index, head.trust)
        if trust not in headers:
            context = Context(head.tenant, trust, head.received_at, head.key_id, head.trace_id)
            headers[trust] = [("content-type", EVENT_TYPE), (CONTEXT, msgspec.json.encode(context))]
        if len(line) > max_bytes:
            raise _too_large(line, max_bytes)
        records.append(Outgoing(line, headers[trust]))
    if decoded.rejected:
        rest = _part(head, [], {}, [msgspec.json.decode(line, type=RejectedEvent) for line in decoded.rejected])
        records += block_records(rest, max_bytes)
    return records


def split_block(block: bytes, max_bytes: int) -> list[bytes]:
    """Returns blocks of at most ``max_bytes`` that hold the same lines; long dead letters are cut.

    Raises:
        TerminalError: It is no block, or a single event of it is larger than ``max_bytes``.
    """
    try:
        decoded = decode_block(block)
    except CorruptBlockError as error:
        raise _too_large(block, max_bytes) from error
    room = max_bytes - len(msgspec.json.encode(decoded.header)) - 64
    parts = [_events_part(decoded, start, end) for start, end in _cut(decoded.events, room, max_bytes)]
    cut = [_shortened(line, room) for line in decoded.rejected]
    for start, end in _cut([msgspec.json.encode(each) for each in cut], room, max_bytes):
        parts.append(_part(decoded.header, [], {}, cut[start:end]))
    return parts


def _cut(lines: Sequence[bytes], room: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Yields the bounds of runs of lines that fit into ``room`` bytes."""
    start = size = 0
    for index, line in enumerate(lines):
        if len(line) >= room:
            raise _too_large(line, max_bytes)
        if size + len(line) + 1 > room:
            yield start, index
            start, size = index, 0
        size += len(line) + 1
    if start < len(lines):
        yield start, len(lines)


def _events_part(block: Block, start: int, end: int) -> bytes:
    trusts = {index - start: trust for index, trust in block.header.exceptions.items() if start <= index < end}
    return _part(block.header, block.events[start:end], trusts, [])


def _part(
    head: BlockHeader, lines: Sequence[bytes], exceptions: Mapping[int, Trust], rejected: Sequence[RejectedEvent]
) -> bytes:
    return encode_block(
        b"".join(line + b"\n" for line in lines),
        len(lines),
        tenant=head.tenant,
        received_at=head.received_at,
        rejected=rejected,
        key_id=head.key_id,
        trust=head.trust,
        exceptions=exceptions,
        trace_id=head.trace_id,
    )


def _shortened(line: bytes, room: int) -> RejectedEvent:
    rejected = msgspec.json.decode(line, type=RejectedEvent)
    while len(msgspec.json.encode(rejected)) >= room and rejected.raw:
        rejected = msgspec.structs.replace(rejected, raw=rejected.raw[: len(rejected.raw) // 2 // 4 * 4])
    return rejected


def _too_large(line: bytes, max_bytes: int) -> TerminalError:
    return TerminalError(f"an event of {len(line)} bytes does not fit into max_block_bytes={max_bytes}; raise it")


def to_blocks(partition: int, records: Iterable[Incoming], tenant: str, trust: Trust) -> list[Record]:
    """Returns the records as blocks, in order; neighbouring events of one context share a block.

    The offset of a block of several records is that of the last. ``tenant`` and ``trust`` hold for records that
    carry no context of ours.
    """
    blocks: list[Record] = []
    run = _Run(partition)
    for record in records:
        if _header(record.headers, "content-type") == BLOCK_TYPE:
            blocks += run.flush()
            blocks.append(Record(partition, record.offset, record.value or b""))
            continue
        context, batch = _read_foreign(record, tenant, trust)
        if batch.rejected or context != run.context or len(run.events) >= MERGED_EVENTS:
            blocks += run.flush()
        run.add(record.offset, context, batch)
        if batch.rejected:
            blocks += run.flush()
    return blocks + run.flush()


class _Run:
    """Events of neighbouring records that will be one block."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self._offset = -1
        self._rejected: list[RejectedEvent] = []
        self.events: list[Event] = []
        self.context: Context | None = None

    def add(self, offset: int, context: Context, batch: Batch) -> None:
        self._offset, self.context = offset, context
        self.events += batch.events
        self._rejected += batch.rejected

    def flush(self) -> list[Record]:
        """Returns the block of what was added, if anything, and starts anew."""
        context, self.context = self.context, None
        if context is None:
            return []
        block = encode_block(
            encode_events(self.events),
            len(self.events),
            tenant=context.tenant,
            received_at=context.received_at,
            rejected=self._rejected,
            key_id=context.key_id,
            trust=context.trust,
            trace_id=context.trace_id,
        )
        self.events, self._rejected = [], []
        return [Record(self._partition, self._offset, block)]


def poison(partition: int, offset: int, reason: str, tenant: str, received_at: dt.datetime) -> Record:
    """Returns a block whose only line is a dead letter about what lies at ``offset``."""
    dead = RejectedEvent(reason=reason, code="corrupt_block")
    block = encode_block(b"", 0, tenant=tenant, received_at=received_at, rejected=[dead])
    return Record(partition, offset, block)


def _read_foreign(record: Incoming, tenant: str, trust: Trust) -> tuple[Context, Batch]:
    received_at = dt.datetime.fromtimestamp(max(0, record.timestamp) / 1000, dt.UTC)
    context = Context(tenant, trust, received_at)
    value = record.value or b""
    try:
        context = _context(record.headers) or context
        return context, decode_batch(_event_json(value, record.headers), context.received_at)
    except InputError as error:
        return context, Batch([], [reject(value, error)])


def _context(headers: Headers) -> Context | None:
    raw = _header(headers, CONTEXT)
    if raw is None:
        return None
    try:
        return _CONTEXT.decode(raw)
    except msgspec.MsgspecError as error:
        msg = f"record header cannot be read: {error}"
        raise InputError(msg, CONTEXT, code="not_cloudevents") from error


def _event_json(value: bytes, headers: Headers) -> bytes:
    """Returns the JSON of the event or events in a record, whichever mode it was written in.

    Raises:
        InputError: It is neither.
    """
    if not value:
        msg = "the record has no value"
        raise InputError(msg, code="not_cloudevents")
    media = (_header(headers, "content-type") or b"application/json").split(b";")[0].strip().lower()
    if media.startswith(b"application/cloudevents"):  # the mode is told by this alone
        if media not in _STRUCTURED:
            raise _not_read(media)
        return value
    attributes = {name[3:].lower(): raw for name, raw in headers if name.lower().startswith("ce_") and raw is not None}
    if not is_json(media):
        raise _not_read(media)
    if not attributes:
        return value
    try:
        return binary_event({name: raw.decode() for name, raw in attributes.items()}, value)
    except UnicodeError as error:
        msg = "a ce_ header is not UTF-8"
        raise InputError(msg, code="not_cloudevents") from error


def _not_read(media: bytes) -> InputError:
    msg = f"{media.decode(errors='replace')} is not read here; send CloudEvents as JSON"
    return InputError(msg, "content-type", code="not_cloudevents")


_STRUCTURED = {b"application/cloudevents+json", b"application/cloudevents-batch+json"}


def _header(headers: Headers, name: str) -> bytes | None:
    for key, value in headers:
        if key.lower() == name:
            return value
    return None
