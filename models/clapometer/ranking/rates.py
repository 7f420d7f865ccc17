"""Observed against expected: what empirical Bayes is given about each clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.ranking.cells import ClipCells, ClipTable
from clapometer.ranking.days.offsets import TimeOffsets
from clapometer.ranking.grouping import sum_by

__all__ = ["ClipRates", "clip_rates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FOLDS = 2


@dataclass(frozen=True, slots=True, eq=False)
class ClipRates:
    """Label earned and exposure received, per clip and viewer fold.

    Attributes:
        unit: Rows of the clip table, ``(n_units,)``.
        label: Sum of the label, ``(n_units, 2)``.
        exposure: Impressions that an average slot on an average day would have counted for as much,
            ``(n_units, 2)``.
        weighted_label: The label weighted by the inverse propensity, ``(n_units, 2)``.
        weighted_exposure: The exposure weighted alike; 0 where no propensity was logged.
        impressions: ``(n_units,)``.
    """

    unit: Ints
    label: Floats
    exposure: Floats
    weighted_label: Floats
    weighted_exposure: Floats
    impressions: Floats

    def __post_init__(self) -> None:
        for name in ("label", "exposure", "weighted_label", "weighted_exposure"):
            column = getattr(self, name)
            if column.shape != (len(self.unit), FOLDS):
                msg = f"has shape {column.shape}, must be {(len(self.unit), FOLDS)}"
                raise InputError(msg, name)
            if not np.isfinite(column).all():
                msg = "has NaN or infinite values"
                raise InputError(msg, name)


def clip_rates(cells: ClipCells, clips: ClipTable, offsets: TimeOffsets | None = None) -> ClipRates:
    """Sums the cells of every canonical clip, reposts included, in two viewer folds.

    Args:
        cells: Sufficient statistics.
        clips: The clips; those that were never eligible (opportunity 0) are left out.
        offsets: What day and age do to a label (`ClipAIPW.offsets_`); None for nothing.
    """
    unit = clips.unit[cells.clip]
    shift = np.zeros(len(cells))
    if offsets is not None:
        # Between a log link (1.0) and a saturated one (0.0): labels are mostly far from their ceiling.
        shift = 0.8 * offsets.at(cells.day, cells.day - clips.published_day[cells.clip])
    key, n = unit * FOLDS + cells.fold % FOLDS, len(clips)

    def total(values: Floats) -> Floats:
        return sum_by(key, values, n * FOLDS).reshape(n, FOLDS)

    keep = clips.is_canonical
    if clips.opportunity is not None:
        keep = keep & ~(clips.opportunity <= 0)
    rows = np.flatnonzero(keep)
    return ClipRates(
        unit=rows,
        label=total(cells.sum_label)[rows],
        exposure=total(cells.sum_exposure * np.exp(shift))[rows],
        weighted_label=total(cells.sum_weighted_label)[rows],
        weighted_exposure=total(cells.sum_weighted_exposure * np.exp(shift))[rows],
        impressions=total(cells.impressions).sum(1)[rows],
    )
