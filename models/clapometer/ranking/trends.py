"""Shares that changed from one half of the days to the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

__all__ = ["ShareChange", "ViewerSumsOfHalf", "change_of_counts", "change_of_shares"]


@dataclass(frozen=True, slots=True)
class ViewerSumsOfHalf:
    """Sums over viewers of what they were shown and what was found on it, for a ratio whose viewers are clusters.

    Attributes:
        shown: Of impressions.
        found: Of those with the signal.
        found_found: Of squares.
        found_shown: Of products.
        shown_shown: Of squares.
    """

    shown: float
    found: float
    found_found: float
    found_shown: float
    shown_shown: float

    @property
    def share(self) -> float:
        """Of impressions with the signal; 0 for none."""
        return self.found / self.shown if self.shown else 0.0

    @property
    def variance(self) -> float:
        """Of `share`, by the delta method over viewers."""
        if not self.shown:
            return 0.0
        spread = self.found_found - 2 * self.share * self.found_shown + self.share**2 * self.shown_shown
        return max(spread, 0.0) / self.shown**2


@dataclass(frozen=True, slots=True)
class ShareChange:
    """A share before and after.

    Attributes:
        before: In the first half.
        after: In the second.
        p_rise: Chance of a rise as large, were there none.
    """

    before: float
    after: float
    p_rise: float

    @property
    def ratio(self) -> float:
        """After by before; infinite where there was nothing before."""
        return self.after / self.before if self.before else float("inf") if self.after else 1.0


def change_of_shares(before: ViewerSumsOfHalf, after: ViewerSumsOfHalf) -> ShareChange:
    """Returns how a share changed; viewers of both halves make the test cautious."""
    return _change(before.share, after.share, before.variance + after.variance)


def change_of_counts(before: tuple[int, int], after: tuple[int, int]) -> ShareChange:
    """Returns how a share changed whose cases are independent; each half is (cases, those with the signal)."""
    n, k = before[0] + after[0], before[1] + after[1]
    if not before[0] or not after[0]:
        return ShareChange(0.0, 0.0, 1.0)
    pooled = k / n
    return _change(before[1] / before[0], after[1] / after[0], pooled * (1 - pooled) * (1 / before[0] + 1 / after[0]))


def _change(before: float, after: float, variance: float) -> ShareChange:
    p = float(norm.sf((after - before) / np.sqrt(variance))) if variance > 0 else 1.0
    return ShareChange(before, after, p)
