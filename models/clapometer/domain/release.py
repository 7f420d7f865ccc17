"""Whether a release may go out: a question to the interval of a difference, with three answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["Answer", "Decision", "Requirement", "decide"]

Requirement = Literal["better", "not-worse"]
_MOST_DAYS = 3_650


class Answer(StrEnum):
    """What the data say to a requirement."""

    YES = "yes"
    NO = "no"
    NOT_ENOUGH = "not enough evidence"


@dataclass(frozen=True)
class Decision:
    """An answer, and how much longer to look where there is none yet.

    Attributes:
        answer: Whether the requirement is met.
        least: What the difference has to exceed.
        days_more: Days of the same traffic after which the interval would tell; ``None`` where it tells, or where no
            number of days that anybody waits would.
    """

    answer: Answer
    least: float
    days_more: int | None = None


def decide(
    requirement: Requirement,
    margin: float,
    *,
    difference: float,
    low: float,
    high: float,
    calibrated: bool,
    days: int | None = None,
) -> Decision:
    """Returns whether ``left`` is better than ``right`` by more than a margin, or not worse by more than it.

    Args:
        requirement: ``better``: left less right exceeds ``margin``; ``not-worse``: it exceeds ``-margin``.
        margin: In label units, at least 0.
        difference: Left less right.
        low: Lower end of its interval.
        high: Upper end.
        calibrated: Whether the interval is known to hold; where it is not, nothing is decided.
        days: Days of traffic that the interval was made from.
    """
    least = margin if requirement == "better" else -margin
    if not calibrated:
        return Decision(Answer.NOT_ENOUGH, least)
    if low > least:
        return Decision(Answer.YES, least)
    if high <= least:
        return Decision(Answer.NO, least)
    return Decision(Answer.NOT_ENOUGH, least, _days_more(difference - least, difference - low, high - difference, days))


def _days_more(distance: float, below: float, above: float, days: int | None) -> int | None:
    """Returns the days until the end of an interval that narrows with the root of the days has come to ``distance``."""
    half = below if distance > 0 else above
    if not days or not math.isfinite(half) or abs(distance) * math.sqrt(1 + _MOST_DAYS / days) < half:
        return None
    return max(1, math.ceil(days * ((half / distance) ** 2 - 1)))
