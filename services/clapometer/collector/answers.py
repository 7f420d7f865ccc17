"""What the collector answers: verdicts, problems (RFC 9457), and their status."""

import http

import msgspec

from clapometer.domain import Code
from clapometer.http.headers import NO_PAGE

Headers = list[tuple[bytes, bytes]]

RESPOND = "clapometer.respond"
"""ASGI extension of our server: its ``write`` takes status, headers and body and may write them at once."""

ALWAYS_SAFE: list[tuple[str, str]] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),  # the key of a beacon is in its address
]
"""On every answer, also on those that the server gives without asking us."""
SAFE_HEADERS: Headers = [(name.lower().encode(), value.encode()) for name, value in NO_PAGE.items()]
"""On every answer that is no page."""


class Verdict(msgspec.Struct, frozen=True):
    """Why an event of the request was refused.

    Attributes:
        index: Its place in the request, from 0.
        id: Its id, where it could be read.
        code: The kind of fault, of a closed list.
        field: Path of the field that is wrong; empty where all of the event is meant.
        reason: What is wrong, and how to mend it.
    """

    index: int
    id: str | None
    code: Code
    field: str
    reason: str


class Caution(msgspec.Struct, frozen=True):
    """What the sender should know of an event that was stored.

    Attributes:
        index: Its place in the request, from 0.
        id: Its id.
        reason: What to know, and what to do about it.
    """

    index: int
    id: str
    reason: str


class Answer(msgspec.Struct, frozen=True):
    """What became of the events of a request, every one of which is durable now.

    Attributes:
        accepted: How many were taken, repeats of earlier ones included.
        rejected: Why each of the others was refused.
        warnings: What to know of some that were taken.
    """

    accepted: int
    rejected: list[Verdict] = []
    warnings: list[Caution] = []


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why nothing of a request was accepted.

    Attributes:
        title: The status in words.
        status: HTTP status.
        detail: What is wrong, and how to mend it.
        trace_id: Trace of the request (W3C Trace Context); name it when you ask for help.
        rejected: Why each event was refused, where there are events to tell of.
    """

    title: str
    status: int
    detail: str
    trace_id: str
    rejected: list[Verdict] = []


class RefusedError(Exception):
    """Ends a request with a 4xx or 5xx answer.

    Attributes:
        status: HTTP status.
        detail: What is wrong and how to mend it.
        headers: Headers that belong to the status.
        rejected: Verdicts, where there are events to give them on.
    """

    def __init__(
        self, status: int, detail: str, *, headers: Headers | None = None, rejected: list[Verdict] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or []
        self.rejected = rejected or []

    def freed(self) -> "RefusedError":
        """Returns itself without a trace: who keeps it in a variable of the trace's frames makes a cycle of them."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


def problem_body(refused: RefusedError, trace_id: str) -> bytes:
    """Returns the ``application/problem+json`` of a refusal."""
    return msgspec.json.encode(
        Problem(
            title=http.HTTPStatus(refused.status).phrase,
            status=refused.status,
            detail=refused.detail,
            trace_id=trace_id,
            rejected=refused.rejected,
        )
    )


def retry_later(status: int, detail: str, seconds: float) -> RefusedError:
    """Returns a refusal that tells the sender when to try again."""
    return RefusedError(status, detail, headers=[(b"retry-after", str(max(1, round(seconds + 0.5))).encode())])
