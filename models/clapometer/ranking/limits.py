"""Where an outlier begins: what one event may be before it is set aside, so that no single one decides a ranking.

An importance weight is as large as the chance behind it is small, and nothing in one event says which chances are
possible. The other events do: a limit is a multiple of the largest value that is left when the few largest are not
looked at. One event more moves it to a neighbouring value at most, and few are ever beyond it.

References:
    Ionides (2008), Truncated importance sampling, J. Computational and Graphical Statistics 17. Bottou et al. (2013),
    Counterfactual reasoning and learning systems, JMLR 14 (weights clipped at the fifth largest of another day).
    Crump, Hotz, Imbens, Mitnik (2009), Dealing with limited overlap in estimation of average treatment effects,
    Biometrika 96.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEW", "days_outside", "first_days", "outlier_limit", "share_left_out"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FEW = 3
"""Outliers that may be there at the same time, of however few values."""
_ONE_IN = 1_000
_PAUSE = 30
"""Days without traffic that set what is before or after them apart."""
_FEW_DAYS = 20
"""Impressions that are too few to be a time of their own, where they are less than one in a hundred."""


def share_left_out(n: int) -> int:
    """Returns how many of the largest of `n` values are not looked at: three, or one in a thousand; never most."""
    return min(max(FEW, n // _ONE_IN), n // 2)


def outlier_limit(parts: Sequence[Floats], factor: float) -> float:
    """Returns `factor` times the largest value, the few largest left out; infinity where there is none.

    Args:
        parts: The values, in any number of arrays.
        factor: By how much a value may exceed all that were looked at.

    Example:
        >>> outlier_limit([np.array([1.0, 2.0, 2.0, 3.0, 3.0, 1e12])], factor=10)
        20.0
    """
    n = sum(len(part) for part in parts)
    if not n:
        return np.inf
    k = share_left_out(n)
    largest = np.concatenate([
        np.partition(part, len(part) - k - 1)[-k - 1 :] if len(part) > k + 1 else part for part in parts
    ])  # fmt: skip
    return float(factor * np.partition(largest, len(largest) - k - 1)[-k - 1])


def first_days(item: Ints, day: Ints, impressions: Floats, n_items: int) -> Floats:
    """Returns the day up to which more than a few of each item's impressions were, infinity where it has none.

    A few are as many as `share_left_out` says: one impression with a wrong date makes no clip old.

    Args:
        item: Of each cell, ``(n_cells,)``.
        day: The same.
        impressions: The same.
        n_items: Items are 0..n_items-1.
    """
    order = np.lexsort((day, item))
    of, when, shown = item[order], day[order], impressions[order]
    total = np.bincount(item, impressions, n_items)
    before = np.concatenate([[0.0], np.cumsum(total)])[of]
    few = np.minimum(np.maximum(FEW, total // _ONE_IN), total // 2)
    reached = np.cumsum(shown) - before > few[of]
    first = np.full(n_items, np.inf)
    np.minimum.at(first, of[reached], when[reached])
    return first


def days_outside(day: Ints, impressions: Floats) -> Ints:
    """Returns the days that do not belong to the time that the impressions are from.

    Days that more than 30 days without any impression separate from the others are a time of their own. Beside the one
    with most impressions, it counts unless it has next to none: fewer than one in a thousand, or fewer than 20 that
    are fewer than one in a hundred.

    Args:
        day: Distinct days with impressions, in any order, ``(n_days,)``.
        impressions: On each.
    """
    if not len(day):
        return day
    order = np.argsort(day)
    time = np.cumsum(np.diff(day[order], prepend=day[order][0]) > _PAUSE)
    shown = np.bincount(time, impressions[order])
    total = shown.sum()
    alien = (shown < total / _ONE_IN) | ((shown < _FEW_DAYS) & (shown < total / 100))
    alien[shown.argmax()] = False
    outside: Ints = day[order][alien[time]]
    return outside
