"""Pages of other origins: which may read our answers, and with which headers their browsers may ask."""

import re
from collections.abc import Collection

Headers = list[tuple[bytes, bytes]]

_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"POST"),
    (b"access-control-max-age", b"86400"),
    (b"vary", b"access-control-request-headers"),
]
_ALLOWED_HEADERS = (b"authorization", b"x-api-key", b"content-type", b"content-encoding", b"traceparent", b"tracestate")
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]{1,100}")
_MOST_REQUESTED = 50
_EXPOSED = (b"access-control-expose-headers", b"traceparent, retry-after")


def cross_origin(origin: bytes, allowed: Collection[str], named: Collection[str]) -> Headers:
    """Returns what lets a page of another origin read the answer, if it may.

    Args:
        origin: As its browser says it.
        allowed: Origins that may; ``*`` for all.
        named: Origins that keys name; they may as well.
    """
    if "*" in allowed:
        return [(b"access-control-allow-origin", b"*"), _EXPOSED]
    varies = (b"vary", b"origin")
    name = origin.decode("latin-1")
    if name in allowed or name in named:
        return [(b"access-control-allow-origin", origin), _EXPOSED, varies]
    return [varies]


def preflight(requested: bytes) -> Headers:
    """Returns what lets a page of an allowed origin send with the headers that its browser asks for.

    Tracers and monitors add some to every request of a page (``baggage``, ``sentry-trace``, ``x-datadog-…``, ``b3``).
    We read none of them and set no cookies: allowing them gives nobody anything, refusing them loses the page's events.
    """
    asked = requested.lower().split(b",")[:_MOST_REQUESTED]
    more = {name for each in asked if _HEADER_NAME.fullmatch(name := each.strip())} - {*_ALLOWED_HEADERS}
    return [*_PREFLIGHT, (b"access-control-allow-headers", b", ".join([*_ALLOWED_HEADERS, *sorted(more)]))]
