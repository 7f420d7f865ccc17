"""What the head of a request says, read once and without ambiguity."""

import urllib.parse
from collections.abc import Awaitable, Callable, MutableMapping
from random import getrandbits  # trace ids have to differ, not to be secret
from typing import Any

import msgspec

from clapometer.collector.answers import RefusedError
from clapometer.gate import DIGEST, SECRET_PREFIXES, SignedRequest
from clapometer.telemetry.traces import TRACEPARENT

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ONCE = (
    b"authorization", b"x-api-key", b"content-type", b"content-encoding", b"content-length", b"origin", b"traceparent",
    b"signature", b"signature-input", b"content-digest",
)  # fmt: skip


class Head(msgspec.Struct, frozen=True):
    """The head of a request.

    Attributes:
        headers: Each header by its name in lower case.
        query: Query string.
        trace_id: Trace that the request belongs to, the sender's own or a new one (W3C Trace Context).
        repeated: A header that decides something and is there twice.
        method: In capitals.
        path: As it came, escapes and all.
        address: Where the connection comes from.
    """

    headers: dict[bytes, bytes]
    query: bytes
    trace_id: str
    repeated: str | None = None
    method: str = "POST"
    path: bytes = b""
    address: str = ""

    def traceparent(self) -> bytes:
        """Returns the header that names the trace and our part of it."""
        return f"00-{self.trace_id}-{getrandbits(64):016x}-01".encode()


def scope_head(scope: Scope) -> Head:
    """Returns the head of an ASGI request."""
    client = scope.get("client")
    return read_head(
        scope["headers"],
        scope["query_string"],
        method=scope["method"],
        path=scope.get("raw_path") or scope["path"].encode(),
        address=client[0] if client else "",
    )


def read_head(
    raw: list[tuple[bytes, bytes]], query: bytes = b"", *, method: str = "POST", path: bytes = b"", address: str = ""
) -> Head:
    """Returns the head of a request, from its headers (names in lower case), its query string and the rest of it."""
    headers = dict(raw)
    given = headers.get(b"traceparent")
    found = None if given is None else TRACEPARENT.fullmatch(given)
    trace_id = found[1].decode() if found else f"{getrandbits(128):032x}"
    repeated = None if len(headers) == len(raw) else _repeated(raw)
    return Head(headers, query, trace_id, repeated, method, path, address)


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


def signed_request(head: Head) -> SignedRequest | None:
    """Returns what the signature of a request covers; ``None`` where it bears none."""
    if b"signature-input" not in head.headers and b"signature" not in head.headers:
        return None
    host = "http://signed.invalid"  # neither scheme nor host is covered: a proxy may have changed them
    query = b"?" + head.query if head.query else b""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers.items()}
    return SignedRequest(head.method, host + (head.path + query).decode("latin-1"), headers)


def signed_digest(head: Head) -> str | None:
    """Returns the digest that a body must have; ``None`` where none is given."""
    given = head.headers.get(DIGEST.encode())
    return None if given is None else given.decode("latin-1")


def _in_query(query: bytes) -> list[bytes]:
    try:
        keys = [value.encode() for name, value in urllib.parse.parse_qsl(query.decode("latin-1")) if name == "key"]
    except ValueError:  # too many fields
        return []
    if any(key.startswith(tuple(prefix.encode() for prefix in SECRET_PREFIXES)) for key in keys):
        msg = "a secret key must not be in an address; send it as `Authorization: Bearer`, and replace it: it is known"
        raise RefusedError(401, msg)
    return keys


def _repeated(raw: list[tuple[bytes, bytes]]) -> str | None:
    names = [name for name, _ in raw]
    return next((name.decode() for name in _ONCE if names.count(name) > 1), None)
