"""What can be asked for and is not there."""

from collections.abc import Mapping, Sequence

from clapometer.domain import InputError, NotFoundError


class NoRunError(NotFoundError):
    """There is no ranking to show; the message says what to do."""


class NotPublishedError(NoRunError):
    """There is no published lake yet, so no ranking either."""

    def __init__(
        self, reason: str = "there is no published lake yet: send events and run `clapometer load`, or `clapometer up`"
    ) -> None:
        super().__init__(reason)


class UnknownItemError(NotFoundError):
    """The ranking does not know an item."""


class UnknownSegmentError(InputError):
    """No run computed this segment.

    Attributes:
        available: The segments and values that the run has.
    """

    def __init__(self, reason: str, field: str, available: Mapping[str, Sequence[str]]) -> None:
        super().__init__(reason, field)
        self.available = {segment: list(values) for segment, values in available.items()}
