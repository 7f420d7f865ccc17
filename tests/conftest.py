"""Fixtures that all tests may use, and what makes a test say the same whoever ran before it and on any machine."""

import logging
import os
import signal
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings
from tests.brokers.fixtures import kafka_broker, kafka_topic

__all__ = ["kafka_broker", "kafka_topic"]

_LOADED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
"""How long an example takes depends on who else uses the machine: no reason to fail."""

settings.register_profile("same", derandomize=True, **_LOADED)
settings.register_profile("search", max_examples=1000, **_LOADED)
settings.load_profile("same")  # the same examples each time; `pytest --hypothesis-profile search` looks for new ones


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """Undoes what a command that ran in this process did to its logs."""
    root = logging.getLogger()
    handlers, before = root.handlers[:], _levels()
    yield
    root.handlers[:] = handlers
    for logger, level in before.items():
        logger.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(autouse=True)
def _process_as_it_was() -> Iterator[None]:
    """Undoes what a command that ran in this process, as if it were alone there, did to signals, files and errors."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    mask, hook = os.umask(0), sys.excepthook
    os.umask(mask)
    yield
    os.umask(mask)
    sys.excepthook = hook
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _levels() -> dict[logging.Logger, int]:
    root = logging.getLogger()
    made = (each for each in root.manager.loggerDict.values() if isinstance(each, logging.Logger))
    return {logger: logger.level for logger in (root, *made)}
