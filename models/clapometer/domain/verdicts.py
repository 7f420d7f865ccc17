"""The words of a decision: one vocabulary for rankings, comparisons, page, API, command line and views."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

__all__ = ["MEANINGS", "Against", "Verdict", "against", "verdict"]


class Verdict(StrEnum):
    """What a ranking says to do with an item, judged against the mean of the ranked items."""

    KEEP = "keep"
    STOP = "stop"
    EXPLORE = "explore"
    NOT_ENOUGH = "not enough evidence"


class Against(StrEnum):
    """What a comparison says of an item against another one, such as the champion that is live now."""

    BETTER = "better"
    WORSE = "worse"
    NOT_ENOUGH = "not enough evidence"


MEANINGS = MappingProxyType(
    {
        Verdict.KEEP: "better than the mean item, and not among the worst third",
        Verdict.STOP: "worse than the mean item, and not among the best third",
        Verdict.EXPLORE: "neither is certain, and it may be the best: show it more",
        Verdict.NOT_ENOUGH: "neither keep nor stop is certain; without logged chance nothing is claimed",
    }
)
"""What each verdict says; keep and stop hold for all items of a ranking at once, with 95 % confidence."""

_MAY_BE_BEST = 0.01
"""Least probability of being the best with which an item is worth exploring: below, readers see 0 %."""


def verdict(
    low: float, high: float, places: tuple[int, int], n_ranked: int, *, best: float, calibrated: bool
) -> Verdict:
    """Returns what to do with an item; never against its places or its probability of being the best.

    Args:
        low: Lower end of the interval of its effect that holds for all items at once.
        high: Upper end.
        places: First and last place that the data allow.
        n_ranked: Items with a place.
        best: Probability that no other item is better.
        calibrated: Whether intervals are known to hold.

    Example:
        >>> str(verdict(0.02, 0.10, (1, 2), 6, best=0.7, calibrated=True))
        'keep'
        >>> str(verdict(0.02, 0.10, (1, 2), 6, best=0.7, calibrated=False))
        'not enough evidence'
    """
    first, last = places
    if not calibrated:
        return Verdict.NOT_ENOUGH
    if low > 0 and 3 * last <= 2 * n_ranked:
        return Verdict.KEEP
    if high < 0 and 3 * (first - 1) >= n_ranked:
        return Verdict.STOP
    if first == 1 and best >= _MAY_BE_BEST:
        return Verdict.EXPLORE
    return Verdict.NOT_ENOUGH


def against(low: float | None, high: float | None, *, calibrated: bool) -> Against:
    """Returns what the interval of a difference says of the left item against the right one."""
    if low is None or high is None or not calibrated or low <= 0 <= high:
        return Against.NOT_ENOUGH
    return Against.BETTER if low > 0 else Against.WORSE
