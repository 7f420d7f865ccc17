"""What the head of a request says, read once and without ambiguity."""

import re
import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from random import getrandbits  # trace ids have to differ, not to be secret
from typing import Any

import msgspec

from clapometer.collector.answers import RefusedError
from clapometer.collector.keys import PREFIXES

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ONCE = (
    b"authorization", b"x-api-key", b"content-type", b"content-encoding", b"content-length", b"origin", b"traceparent",
)  # fmt: skip


class Head(msgspec.Struct, frozen=True):
    """The head of a request.

    Attributes:
        headers: Each header by its name in lower case.
        query: Query string.
        trace_id: Trace that the request belongs to, the sender's own or a new one (W3C Trace Context).
        repeated: A header that decides something and is there twice.
    """

    headers: dict[bytes, bytes]
    query: bytes
    trace_id: str
    repeated: str | None = None

    def traceparent(self) -> bytes:
        """Returns the header that names the trace and our part of it."""
        return f"00-{self.trace_id}-{getrandbits(64):016x}-01".encode()


def read_head(raw: list[tuple[bytes, bytes]], query: bytes = b"") -> Head:
    """Returns the head of a request, from its headers (names in lower case) and its query string."""
    headers = dict(raw)
    given = headers.get(b"traceparent")
    found = None if given is None else _TRACEPARENT.fullmatch(given)
    trace_id = found[1].decode() if found else f"{getrandbits(128):032x}"
    repeated = None if len(headers) == len(raw) else _repeated(raw)
    return Head(headers, query, trace_id, repeated)


def api_key(head: Head) -> str:
    """Returns the key that a request bears; empty where it bears none.

    Raises:
        RefusedError: 400 where it bears several, or a header twice: a proxy may have looked at the other one.
            401 where a secret key is in the address, which lands in logs.
    """
    if head.repeated is not None:
        msg = f"header {head.repeated} is there more than once; send it once"
        raise RefusedError(400, msg)
    given = []
    authorization = head.headers.get(b"authorization")
    if authorization is not None:
        scheme, _, value = authorization.partition(b" ")
        given.append(value.strip() if scheme.lower() == b"bearer" else b"")
    if b"x-api-key" in head.headers:
        given.append(head.headers[b"x-api-key"].strip())
    if head.query:
        given += _in_query(head.query)
    if len(given) > 1 and len(set(given)) > 1:
        msg = "the request bears more than one API key; send one"
        raise RefusedError(400, msg)
    return given[0].decode("latin-1") if given else ""


def _in_query(query: bytes) -> list[bytes]:
    try:
        keys = [value.encode() for name, value in urllib.parse.parse_qsl(query.decode("latin-1")) if name == "key"]
    except ValueError:  # too many fields
        return []
    if any(key.startswith(PREFIXES["secret"].encode()) for key in keys):
        msg = "a secret key must not be in an address; send it as `Authorization: Bearer`, and replace it: it is known"
        raise RefusedError(401, msg)
    return keys


def _repeated(raw: list[tuple[bytes, bytes]]) -> str | None:
    names = [name for name, _ in raw]
    return next((name.decode() for name in _ONCE if names.count(name) > 1), None)
