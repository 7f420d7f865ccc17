"""Shrunken values with their intervals, best first: what `empirical_bayes` says of prompts, templates and tasks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from clapometer.ranking.results import Interval, Reason, Unranked

__all__ = ["Estimate", "listed"]

Floats = NDArray[np.float64]


class Estimate(NamedTuple):
    """A shrunken value with its posterior interval.

    Attributes:
        item: Index of the prompt, or of the level of a factor.
        value: Expected label per impression of an average slot.
        standard_error: Posterior standard deviation.
        interval: Central posterior interval of `value`.
        evidence: Share of the value's prior variance that the item's own data removed, 0..1.
        n_clips: Clips that were shown.
        impressions: Their impressions.
    """

    item: int
    value: float
    standard_error: float
    interval: Interval
    evidence: float
    n_clips: int
    impressions: float


def listed(rows: Floats, level: float, min_evidence: float) -> tuple[Estimate | Unranked, ...]:
    """Items best first; those without enough evidence of their own last, with the reason.

    Args:
        rows: Value, standard error, evidence, clips and impressions of each item, ``(n_items, 5)``.
        level: Of the intervals.
        min_evidence: Least share of the prior variance that an item's own data must have removed.
    """
    reach = float(norm.ppf(0.5 + level / 2))
    ranked: list[Estimate | Unranked] = []
    unranked: list[Estimate | Unranked] = []
    alone = int((rows[:, 3] > 0).sum()) == 1
    for item in np.argsort(-rows[:, 0], kind="stable").tolist():
        value, error, evidence, clips, impressions = rows[item].tolist()
        if not clips:
            unranked.append(Unranked(item, Reason.NO_CLIPS))
        elif alone:
            unranked.append(Unranked(item, Reason.ONE_ITEM))
        elif evidence < min_evidence:
            unranked.append(Unranked(item, Reason.TOO_LITTLE_EVIDENCE))
        else:
            interval = Interval(value - reach * error, value + reach * error, level)
            ranked.append(Estimate(item, value, error, interval, evidence, int(clips), impressions))
    return (*ranked, *unranked)
