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
    CLIPS_ROUTE,
    VIEWERS_ROUTE,
    Batch,
    check_time,
    decode_batch,
    decode_each,
    decode_event,
    decode_lines,
    encode_events,
    reject,
)
from clapometer.domain.context import binary_event, is_json
from clapometer.domain.errors import (
    ClapometerError,
    InputError,
    LogFullError,
    NotFoundError,
    TerminalError,
    TransientError,
)
from clapometer.domain.events import BROWSER_EVENTS, EVENT_TYPES, Event
from clapometer.domain.explain import explain
from clapometer.domain.nearest import NEAREST, in_words, nearest
from clapometer.domain.origins import check_origin
from clapometer.domain.reasons import CODES, REASONS, Code, code_of
from clapometer.domain.release import Answer, Decision, Requirement, decide
from clapometer.domain.results.exclusions import BY_NUMBER, VOUCHED, Exclusion
from clapometer.domain.signed.tokens import answer_trust, impression_trust, sign_answer, sign_impression
from clapometer.domain.signed.vouchers import Session, candidates_digest, read_voucher, sign_session
from clapometer.domain.spellings import TolerantDecoder, plain_text
from clapometer.domain.splitting import TooManyEventsError, split_array
from clapometer.domain.verdicts import MEANINGS, Against, Verdict, against, verdict

__all__ = [
    "BROWSER_EVENTS",
    "BY_NUMBER",
    "CLIPS_ROUTE",
    "CODES",
    "EVENT_TYPES",
    "MEANINGS",
    "NEAREST",
    "REASONS",
    "VIEWERS_ROUTE",
    "VOUCHED",
    "Against",
    "Answer",
    "Batch",
    "Block",
    "BlockHeader",
    "ClapometerError",
    "Code",
    "CorruptBlockError",
    "Decision",
    "Event",
    "Exclusion",
    "InputError",
    "LogFullError",
    "NotFoundError",
    "RejectedEvent",
    "Requirement",
    "Session",
    "TerminalError",
    "TolerantDecoder",
    "TooManyEventsError",
    "TransientError",
    "Trust",
    "Verdict",
    "against",
    "answer_trust",
    "binary_event",
    "candidates_digest",
    "check_origin",
    "check_time",
    "code_of",
    "decide",
    "decode_batch",
    "decode_block",
    "decode_each",
    "decode_event",
    "decode_lines",
    "encode_block",
    "encode_events",
    "explain",
    "impression_trust",
    "in_words",
    "is_json",
    "nearest",
    "open_block",
    "plain_text",
    "read_voucher",
    "reject",
    "sign_answer",
    "sign_impression",
    "sign_session",
    "split_array",
    "verdict",
]
