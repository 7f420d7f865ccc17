"""Telling the events of a request apart, also where one of them is not JSON.

A strict JSON parser gives up on the whole array when one element holds ``NaN`` or is nested too deeply. The
array is then cut at its top-level commas, so that every element gets its own verdict from the strict parser.
"""

import re
from collections.abc import Iterator
from itertools import islice

import msgspec

from clapometer.domain.errors import InputError
from clapometer.domain.spellings import BYTE_ORDER_MARK, SPACE, plain_text

_RAWS = msgspec.json.Decoder(list[msgspec.Raw])
# A string that never ends runs to the end of the input: trying again at each quote would be quadratic.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\Z|\\\Z)|[\[{]+|[\]}]+|,', re.DOTALL)
_MAX_TOKENS = 100_000
"""How much of a malformed body is looked through: 20 ms, and several times what 500 real events hold."""


class TooManyEventsError(InputError):
    """A request holds more events than may travel in one."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} events; split the array and send at most {limit} in a request")


def split_array(body: bytes, max_events: int | None = None) -> list[bytes]:
    """Returns the elements of a JSON array as bytes; ``[body]`` where it is one JSON object.

    Raises:
        TooManyEventsError: More than ``max_events`` elements.
        InputError: Neither an array nor an object, or the array is cut short; or not UTF-8 but UTF-16.
    """
    text = plain_text(body)
    if text[:1] == b"{":
        return [text]
    if text[:1] != b"[":
        raise InputError(_not_an_array(text), code="malformed")
    try:
        raws = [bytes(raw) for raw in _RAWS.decode(text)]
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raws = _cut(text, max_events)
    if max_events is not None and len(raws) > max_events:
        raise TooManyEventsError(max_events)
    return raws


def split_lines(body: bytes, max_events: int | None = None) -> list[bytes]:
    """Returns the lines of NDJSON that are not blank.

    Raises:
        TooManyEventsError: More than ``max_events`` of them.
        InputError: The body is not UTF-8 but UTF-16.
    """
    # files that were put together have a mark at the start of each
    stripped = (line.strip(SPACE).removeprefix(BYTE_ORDER_MARK) for line in plain_text(body).split(b"\n"))
    lines = [line for line in stripped if line]
    if max_events is not None and len(lines) > max_events:
        raise TooManyEventsError(max_events)
    return lines


def deeper_than(raw: bytes, levels: int) -> bool:
    """Returns whether arrays and objects of ``raw`` are nested deeper than ``levels``; ``raw`` may be malformed."""
    if raw.count(b"[") + raw.count(b"{") <= levels:
        return False
    depth = 0
    for token in islice(_TOKEN.finditer(raw), _MAX_TOKENS):
        depth += _step(token[0])
        if depth > levels:
            return True
    return False


def _step(token: bytes) -> int:
    if token[0] in b"[{":
        return len(token)
    return -len(token) if token[0] in b"]}" else 0


def _cut(array: bytes, max_events: int | None) -> list[bytes]:
    """Returns what lies between the top-level commas of ``array``, which starts with its bracket."""
    elements: list[bytes] = []
    start = 1
    for end in _ends(array):
        if max_events is not None and len(elements) >= max_events:
            raise TooManyEventsError(max_events)
        elements.append(array[start:end].strip(SPACE))
        start = end + 1
    if start != len(array):  # the last end is the closing bracket, and nothing may follow it
        msg = "malformed JSON: the array is cut short or does not close; send the whole array again"
        raise InputError(msg, code="malformed")
    return elements


def _ends(array: bytes) -> Iterator[int]:
    """Yields where each element ends: at a top-level comma, and last at the bracket that closes the array."""
    depth = 0
    for token in islice(_TOKEN.finditer(array, 1), _MAX_TOKENS):
        depth += _step(token[0])
        if depth < 0:
            yield token.end() + depth  # the run of brackets may go on past the one that closes the array
            return
        if depth == 0 and token[0] == b",":
            yield token.start()


def _not_an_array(text: bytes) -> str:
    if not text:
        return "the body is empty; send a CloudEvent object or an array of them"
    return "the body is neither a CloudEvent object nor an array of them; send JSON such as [{…}, {…}]"
