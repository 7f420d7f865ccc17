"""One log for all processes: structured lines on standard error, each naming its part."""

import logging
import sys
from typing import Any, Literal, TextIO

import structlog

from clapometer.domain.printable import printable_lines

Level = Literal["debug", "info", "warning", "error"]


class StandardErrorHandler(logging.StreamHandler[TextIO]):
    """Writes to what is standard error *when a line is written*: whoever exchanges or closes it later breaks no log."""

    def __init__(self) -> None:
        """Holds no stream of its own."""
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override] # looked up each time, as `logging.lastResort` does
        """Standard error of now."""
        return sys.stderr


def configure_logging(part: str, level: Level, form: Literal["text", "json"]) -> None:
    """Sends structlog and the standard library's loggers of this process to standard error.

    Args:
        part: Name of the process, such as ``collector``; stands on every line.
        level: Least level that is written.
        form: ``text`` for people, ``json`` for machines.
    """

    def add_part(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["part"] = part
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_part,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )

    def _harmless(_logger: object, _method: str, line: Any) -> str:
        return line if form == "json" else printable_lines(line)  # JSON escapes by itself

    handler = StandardErrorHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
                _harmless,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("uvicorn.access", "apscheduler", "httpx", "kafka"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(root.level),
        cache_logger_on_first_use=True,
    )
