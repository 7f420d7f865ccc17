"""Records of the log as one batch of lines, and what is already known to be refused."""

import base64
import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import get_args

import msgspec
import numpy as np
import pyarrow as pa

from clapometer.domain import (
    BlockHeader,
    Code,
    CorruptBlockError,
    RejectedEvent,
    Trust,
    code_of,
    decode_event,
    encode_events,
    open_block,
    reject,
)
from clapometer.domain.errors import InputError
from clapometer.eventlog import Record
from clapometer.lake.schema import REJECTED, TIMESTAMP

CHUNKS = 16
"""DuckDB's threads share an Arrow table by its chunks."""
CORRUPT_TENANT = ""
"""Tenant under which a block is counted whose header cannot be trusted."""
_TRUSTS = pa.array(get_args(Trust))
_TRUST_CODES = {trust: code for code, trust in enumerate(_TRUSTS.to_pylist())}


class Refusal(msgspec.Struct, frozen=True):
    """A row of ``rejected``, with where it came from."""

    tenant: str
    received_at: dt.datetime
    reason: str
    partition: int
    offset: int
    code: Code = "other"
    field: str = ""
    source: str | None = None
    id: str | None = None
    raw: str = ""
    encoding: str = "text"
    trace_id: str | None = None


@dataclass
class Batch:
    """Accepted events of some records, as columns, in the order of the log.

    Attributes:
        lines: tenant, received_at, trust, line, partition, offset and trace_id of each event.
        refusals: What the collector rejected, and blocks that cannot be read.
        next_offsets: For each partition, the offset after the last record.
        blocks: How many blocks there are.
        bytes: Their size.
        corrupt: How many of them could not be read.
    """

    lines: pa.Table
    refusals: list[Refusal]
    next_offsets: dict[int, int]
    blocks: int
    bytes: int
    corrupt: int


@dataclass
class _Parts:
    """What is gathered from the blocks, one entry per block that has events."""

    headers: list[BlockHeader] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    bodies: list[bytes | memoryview] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    corrupt: int = 0


_REJECTED = msgspec.json.Decoder(RejectedEvent)


def read_batch(records: Sequence[Record], now: dt.datetime, *, check_lines: bool = False) -> Batch:
    """Returns the events of ``records``; a block that cannot be read is refused as a whole.

    ``now`` is when such a block is said to be received. With ``check_lines`` every line is decoded, and the
    bad ones refused: for blocks that our collector did not write.
    """
    parts = _Parts()
    for record in records:
        try:
            header, body = open_block(record.block)
            _take(parts, record, header, body, check_lines=check_lines)
        except (CorruptBlockError, msgspec.MsgspecError) as error:
            parts.corrupt += 1
            raw = base64.b64encode(record.block).decode()
            reason = f"corrupt block: {error}"
            place = (record.partition, record.offset)
            refusal = Refusal(CORRUPT_TENANT, now, reason, *place, code="corrupt_block", raw=raw, encoding="base64")
            parts.refusals.append(refusal)
    following = {record.partition: record.offset + 1 for record in records}
    size = sum(len(record.block) for record in records)
    return Batch(_columns(parts), parts.refusals, following, len(records), size, parts.corrupt)


def rejected_rows(refusals: Sequence[Refusal]) -> pa.Table:
    """Returns the refusals as rows of ``rejected``."""
    rows = [{**msgspec.structs.asdict(each), "received_date": each.received_at.date()} for each in refusals]
    return pa.Table.from_pylist(rows, schema=REJECTED)


def _take(parts: _Parts, record: Record, header: BlockHeader, body: bytes | memoryview, *, check_lines: bool) -> None:
    refusals: list[Refusal] = []
    if header.n_rejected or check_lines:
        lines = [line + b"\n" for line in bytes(body).split(b"\n")[:-1]]
        refusals = [_refusal(_REJECTED.decode(line), record, header) for line in lines[header.n_accepted :]]
        events = lines[: header.n_accepted]
        if check_lines:
            header, events, bad = _checked(events, record, header)
            refusals += bad
        body = b"".join(events)
    parts.refusals += refusals
    if header.n_accepted:
        parts.headers.append(header)
        parts.records.append(record)
        parts.bodies.append(body)


def _checked(
    events: Sequence[bytes], record: Record, header: BlockHeader
) -> tuple[BlockHeader, list[bytes], list[Refusal]]:
    """Sorts out the lines that are no events."""
    good: list[bytes] = []
    bad: list[Refusal] = []
    exceptions = {}
    for index, line in enumerate(events):
        try:
            event = decode_event(line)
        except InputError as error:
            bad.append(_refusal(reject(line, error), record, header))
        else:
            if index in header.exceptions:
                exceptions[len(good)] = header.exceptions[index]
            good.append(encode_events([event]))  # what comes after reads our own spelling only
    return msgspec.structs.replace(header, n_accepted=len(good), exceptions=exceptions), good, bad


def _refusal(event: RejectedEvent, record: Record, header: BlockHeader) -> Refusal:
    return Refusal(
        tenant=header.tenant, received_at=header.received_at, reason=event.reason, partition=record.partition,
        offset=record.offset, code=code_of(event.code), field=event.field, source=event.source, id=event.id,
        raw=event.raw, encoding=event.encoding, trace_id=header.trace_id,
    )  # fmt: skip


def _columns(parts: _Parts) -> pa.Table:
    """Builds the columns: each line is a slice of one buffer, the rest is repeated from the headers."""
    counts = np.array([header.n_accepted for header in parts.headers], np.int64)
    block = np.repeat(np.arange(len(counts)), counts)
    trust = np.repeat(np.array([_TRUST_CODES[header.trust] for header in parts.headers], np.int8), counts)
    starts = np.cumsum(counts) - counts
    for start, header in zip(starts.tolist(), parts.headers, strict=True):
        for index, value in header.exceptions.items():
            trust[start + index] = _TRUST_CODES[value]
    table = pa.table(
        {
            "line": _lines(b"".join(parts.bodies), len(block)),
            "tenant": pa.array([header.tenant for header in parts.headers], pa.string()).take(pa.array(block)),
            "received_at": pa.array([header.received_at for header in parts.headers], TIMESTAMP).take(pa.array(block)),
            "trust": _TRUSTS.take(pa.array(trust)),
            "partition": np.array([record.partition for record in parts.records], np.int64)[block],
            "offset": np.array([record.offset for record in parts.records], np.int64)[block],
            "trace_id": pa.array([header.trace_id for header in parts.headers], pa.string()).take(pa.array(block)),
        }
    )
    return chunked(table)


def _lines(body: bytes, count: int) -> pa.Array:
    """Returns the lines of ``body`` without copying them."""
    ends = np.flatnonzero(np.frombuffer(body, np.uint8) == 10) + 1  # the newline stays: JSON allows it
    offsets = np.zeros(count + 1, np.int32)
    offsets[1:] = ends
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(body))


def chunked(table: pa.Table) -> pa.Table:
    """Returns the table cut into about ``CHUNKS`` chunks."""
    if table.column(0).num_chunks >= CHUNKS:
        return table
    size = max(1, -(-table.num_rows // CHUNKS))
    slices = [table.slice(start, size) for start in range(0, table.num_rows, size)]
    return pa.concat_tables(slices) if slices else table
