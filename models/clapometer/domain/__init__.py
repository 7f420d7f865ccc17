"""The vocabulary: events, the blocks that carry them, tokens that vouch for them, verdicts, and errors."""

from clapometer.domain.blocks import (
    Block,
    BlockHeader,
    CorruptBlockError,
    RejectedEvent,
    Trust,
    decode_block,
    encode_block,
    open_block,
)
from clapometer.domain.codec import (
    Batch,
    check_time,
    decode_batch,
    decode_each,
    decode_event,
    decode_lines,
    encode_events,
    reject,
)
from clapometer.domain.errors import ClapometerError, InputError, LogFullError, TerminalError, TransientError
from clapometer.domain.events import BROWSER_EVENTS, EVENT_TYPES, Event
from clapometer.domain.splitting import TooManyEventsError, split_array
from clapometer.domain.tokens import impression_trust, sign_impression
from clapometer.domain.verdicts import MEANINGS, Against, Verdict, against, verdict

__all__ = [
    "BROWSER_EVENTS",
    "EVENT_TYPES",
    "MEANINGS",
    "Against",
    "Batch",
    "Block",
    "BlockHeader",
    "ClapometerError",
    "CorruptBlockError",
    "Event",
    "InputError",
    "LogFullError",
    "RejectedEvent",
    "TerminalError",
    "TooManyEventsError",
    "TransientError",
    "Trust",
    "Verdict",
    "against",
    "check_time",
    "decode_batch",
    "decode_block",
    "decode_each",
    "decode_event",
    "decode_lines",
    "encode_block",
    "encode_events",
    "impression_trust",
    "open_block",
    "reject",
    "sign_impression",
    "split_array",
    "verdict",
]
