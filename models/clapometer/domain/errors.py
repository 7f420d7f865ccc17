"""The three kinds of failure; HTTP statuses and exit codes are chosen from them once, in ``services/``."""

from clapometer.domain.reasons import Code


class ClapometerError(Exception):
    """Base of every error that Clapometer raises on purpose."""


class InputError(ClapometerError):
    """The caller's fault: names the field, what is wrong with its value, and the fix.

    Attributes:
        field: Path of the field, such as ``data.propensity``; empty where the whole input is meant.
        reason: What is wrong and how to mend it.
        code: The kind of fault, where an event is refused for it.
    """

    def __init__(self, reason: str, field: str = "", *, code: Code = "other") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason
        self.code = code


class NotFoundError(ClapometerError):
    """What the caller names is not there; the message says what is nearest to it."""


class TerminalError(ClapometerError):
    """Retrying is useless: a person has to change something."""


class TransientError(ClapometerError):
    """Retrying is right: the other side is away, full or busy."""


class LogFullError(TransientError):
    """The event log has no room: nothing was written."""
