"""Traces: what a request's ``traceparent`` says (W3C Trace Context), and spans for OpenTelemetry (extra ``otel``).

Spans are made of what is known once something is done, so that nothing is paid for those that nobody asked for.
"""

import re
import time
from collections.abc import Callable, Mapping
from random import getrandbits  # trace ids have to differ, not to be secret
from typing import TYPE_CHECKING

import msgspec

from clapometer.domain import InputError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-([0-9a-f]{2})")
Attributes = Mapping[str, str | int | float]


class Handled(msgspec.Struct, frozen=True):
    """A request that was answered.

    Attributes:
        name: Method and route, never the path: paths are endless.
        given: Its ``traceparent``, as it came; ``None`` where there was none.
        answered: The ``traceparent`` of the answer, which names the request's own span.
        status: HTTP status.
        seconds: From the head of the request to its answer.
        append_seconds: How long it waited for the event log; ``None`` where it did not.
    """

    name: str
    given: bytes | None
    answered: bytes
    status: int
    seconds: float
    append_seconds: float | None = None


Traced = Callable[[Handled], object]
"""Is told of every request that was answered, where requests are traced."""


def answer_traceparent(given: bytes | None) -> bytes:
    """Returns the ``traceparent`` of an answer: the sender's trace or a new one, and our part of it."""
    found = None if given is None else TRACEPARENT.fullmatch(given)
    trace_id = found[1].decode() if found else f"{getrandbits(128):032x}"
    return f"00-{trace_id}-{getrandbits(64):016x}-01".encode()


class Spans:
    """Sends spans in the background; what it cannot send in time is dropped, and nothing waits for it.

    Args:
        exporter: Where spans go.
        part: Name of the process, such as ``collector``.
        version: Of the product.
        share: Of the traces, 0 to 1. A trace that its sender records is recorded here too; one that it does not
            record is not.
    """

    def __init__(self, exporter: "SpanExporter", part: str, version: str, share: float) -> None:
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra

        self._processor = BatchSpanProcessor(exporter)
        self._resource = Resource.create({"service.name": f"clapometer-{part}", "service.version": version})
        self._bound = round(share * 2**64)

    def request(self, handled: Handled) -> None:
        """Sends the span of a request, and within it that of the append."""
        found = None if handled.given is None else TRACEPARENT.fullmatch(handled.given)
        trace_id = int(handled.answered[3:35], 16)
        if not self._records(trace_id, found):
            return
        own, end = int(handled.answered[36:52], 16), time.time_ns()
        parent = int(found[2], 16) if found else None
        said: Attributes = {
            "http.request.method": handled.name.partition(" ")[0],
            "http.route": handled.name.partition(" ")[2],
            "http.response.status_code": handled.status,
        }
        self._send(
            handled.name, (trace_id, own, parent), handled.seconds, end, attributes=said, failed=handled.status >= 500,
            server=True,
        )  # fmt: skip
        if handled.append_seconds is not None:
            self._send("append", (trace_id, getrandbits(64) or 1, own), handled.append_seconds, end, failed=False)

    def job(self, name: str, seconds: float, attributes: Attributes, *, failed: bool = False) -> None:
        """Sends the span of a commit or a training that ended now, in a trace of its own."""
        ids = (getrandbits(128) or 1, getrandbits(64) or 1, None)
        self._send(name, ids, seconds, time.time_ns(), attributes=attributes, failed=failed)

    def close(self) -> None:
        """Sends what waits, and ends; twice is harmless."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _records(self, trace_id: int, found: "re.Match[bytes] | None") -> bool:
        """Returns whether a trace is recorded; every process decides alike on the same trace."""
        if found is not None:
            return bool(int(found[3], 16) & 1)
        return trace_id & (2**64 - 1) < self._bound

    def _send(
        self,
        name: str,
        ids: tuple[int, int, int | None],
        seconds: float,
        end: int,
        *,
        attributes: Attributes | None = None,
        failed: bool,
        server: bool = False,
    ) -> None:
        from opentelemetry import trace  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 - an extra

        trace_id, own, parent = ids
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED)

        def context(span_id: int, *, remote: bool) -> trace.SpanContext:
            return trace.SpanContext(trace_id, span_id, is_remote=remote, trace_flags=flags)

        span: ReadableSpan = ReadableSpan(
            name=name,
            context=context(own, remote=False),
            parent=None if parent is None else context(parent, remote=server),
            resource=self._resource,
            attributes=dict(attributes or {}),
            kind=trace.SpanKind.SERVER if server else trace.SpanKind.INTERNAL,
            status=trace.Status(trace.StatusCode.ERROR if failed else trace.StatusCode.UNSET),
            start_time=end - round(seconds * 1e9),
            end_time=end,
        )
        self._processor.on_end(span)


def open_spans(address: str, part: str, version: str, share: float) -> Spans:
    """Returns spans that go to ``address`` over OTLP/HTTP.

    Raises:
        InputError: The extra is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "traces need OpenTelemetry; pip install 'clapometer[otel]', or leave the setting out"
        raise InputError(msg, "traces") from error
    return Spans(OTLPSpanExporter(endpoint=address), part, version, share)
