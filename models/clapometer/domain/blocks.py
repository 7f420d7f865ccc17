"""The record of the event log: one block is what one accepted request left.

A block is NDJSON. Line 1 is a :class:`BlockHeader`; then come ``n_accepted`` events, each one line of
CloudEvents JSON as :func:`clapometer.domain.encode_events` writes it; then ``n_rejected`` lines, each a
:class:`RejectedEvent`. The header carries a CRC-32 of all that follows it, so that a flipped bit or a torn
tail is found, and what only the collector can know: the tenant, the clock of receipt and how far each
impression can be trusted.
"""

import datetime as dt
import zlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from clapometer.domain.errors import TerminalError

BLOCK_VERSION = 1

Trust = Literal["key", "token", "none", "forged", "expired", "mistimed", "misplaced", "unconfirmed", "unvouched"]
"""What vouches for an impression: a secret key, a valid token, nothing, or a token that does not hold: forged or of
another impression, expired, of another time, of another surface, experiment or session. What a publishable key says
was paid is unconfirmed; what else it says of an impression is unvouched without its token."""


class BlockHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said once for all events of a block.

    Attributes:
        tenant: Owner of the key that sent the request.
        received_at: Server clock when the request was accepted.
        key_id: Public id of the key; never the key itself.
        trust: How impressions of this block are vouched for, unless ``exceptions`` says otherwise.
        exceptions: Trust by index among the accepted events, where it differs from ``trust``.
        n_accepted: Number of event lines.
        n_rejected: Number of rejected lines after them.
        crc: CRC-32 of the bytes after the header line.
        v: Version of this format.
    """

    tenant: str
    received_at: dt.datetime
    n_accepted: int
    n_rejected: int
    crc: int
    key_id: str = ""
    trust: Trust = "none"
    exceptions: dict[int, Trust] = {}
    trace_id: str | None = None
    v: Annotated[int, Meta(ge=1, le=BLOCK_VERSION)] = BLOCK_VERSION


class RejectedEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event that was refused, with its bytes as they came (text where they are UTF-8, else base64).

    ``code`` is of `clapometer.domain.reasons.CODES`; blocks of older versions have none.
    """

    reason: str
    code: str = "other"
    field: str = ""
    index: int | None = None
    id: str | None = None
    source: str | None = None
    raw: str = ""
    encoding: Literal["text", "base64"] = "text"


class Block(msgspec.Struct, frozen=True):
    """A decoded block: its header and its lines, still as bytes."""

    header: BlockHeader
    events: list[bytes]
    rejected: list[bytes]


class CorruptBlockError(TerminalError):
    """The bytes of a block are not what was written."""


_ENCODER = msgspec.json.Encoder()
_HEADER = msgspec.json.Decoder(BlockHeader)


def encode_block(
    events: bytes,
    n_accepted: int,
    *,
    tenant: str,
    received_at: dt.datetime,
    rejected: Sequence[RejectedEvent] = (),
    key_id: str = "",
    trust: Trust = "none",
    exceptions: Mapping[int, Trust] | None = None,
    trace_id: str | None = None,
) -> bytes:
    """Returns the bytes of a block whose ``events`` are ``n_accepted`` lines, each ended by a newline."""
    body = events + _ENCODER.encode_lines(rejected) if rejected else events
    header = BlockHeader(
        tenant=tenant,
        received_at=received_at,
        n_accepted=n_accepted,
        n_rejected=len(rejected),
        crc=zlib.crc32(body),
        key_id=key_id,
        trust=trust,
        exceptions=dict(exceptions or {}),
        trace_id=trace_id,
    )
    return _ENCODER.encode(header) + b"\n" + body


def open_block(block: bytes) -> tuple[BlockHeader, memoryview]:
    """Returns the header of a block and a view of its lines, each ended by a newline; their checksum is verified.

    Raises:
        CorruptBlockError: The checksum, the number of lines or the header is not what was written.
    """
    start = block.find(b"\n") + 1
    body = memoryview(block)[start:]
    try:
        header = _HEADER.decode(memoryview(block)[:start])
    except msgspec.MsgspecError as error:
        msg = f"block header cannot be read: {error}"
        raise CorruptBlockError(msg) from error
    if zlib.crc32(body) != header.crc:
        msg = "block checksum differs: the bytes changed after they were written"
        raise CorruptBlockError(msg)
    lines = block.count(b"\n", start)
    if lines != header.n_accepted + header.n_rejected or not block.endswith(b"\n"):
        msg = f"block has {lines} lines, its header says {header.n_accepted} + {header.n_rejected}"
        raise CorruptBlockError(msg)
    return header, body


def decode_block(block: bytes) -> Block:
    """Returns the header and the lines of a block.

    Raises:
        CorruptBlockError: The checksum, the number of lines or the header is not what was written.
    """
    header, body = open_block(block)
    lines = bytes(body).split(b"\n")[:-1]
    return Block(header, lines[: header.n_accepted], lines[header.n_accepted :])
