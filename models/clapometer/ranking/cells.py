"""Sufficient statistics: what one SQL ``GROUP BY`` over the outcomes hands to the estimators.

Cells of disjoint sets of impressions add up, so a fit costs the same for a million impressions as
for a billion, and a new day is added without reading the old ones.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.ranking.grouping import sum_by

__all__ = ["ClipCells", "ClipTable", "opportunities"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ClipTable:
    """One row per registered clip; the row number is the clip's index everywhere.

    Attributes:
        unit: Row of the canonical clip, ``(n_clips,)``; its own row unless it is a repost.
        model: Index of the model version.
        prompt: Index of the prompt.
        stratum: Index of the topic (or any partition of the prompts); None is one stratum.
        published_day: Day from which the clip could be shown, in days since the first day.
        opportunity: Sum of ``1 / candidates`` over the slots with a logged propensity for which
            the clip was eligible (see `opportunities`): its number of impressions had exposure
            been uniform. None, or NaN for single clips, when it is unknown.
    """

    unit: Ints
    model: Ints
    prompt: Ints
    published_day: Ints
    stratum: Ints | None = None
    opportunity: Floats | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            column = getattr(self, field.name)
            if column is None:
                continue
            if np.shape(column) != np.shape(self.unit):
                msg = f"has shape {np.shape(column)}, unit has {np.shape(self.unit)}"
                raise InputError(msg, field.name)
        if len(self.unit) and (self.unit.min() < 0 or self.unit.max() >= len(self.unit)):
            msg = "points outside the table"
            raise InputError(msg, "unit")

    def __len__(self) -> int:
        return len(self.unit)

    @property
    def strata(self) -> Ints:
        """Stratum of every clip, ``(n_clips,)``; zeros when there is only one."""
        return np.zeros(len(self), np.int64) if self.stratum is None else self.stratum

    @property
    def is_canonical(self) -> NDArray[np.bool_]:
        """Which rows are not reposts, ``(n_clips,)``."""
        canonical: NDArray[np.bool_] = self.unit == np.arange(len(self))
        return canonical


@dataclass(frozen=True, slots=True, eq=False)
class ClipCells:
    """Sums over the impressions of one (clip, day, viewer fold), each column ``(n_cells,)``.

    Per impression: `y` the label, `P` the examination of its surface and position
    (`examination.position_curve`), `L` the viewer's leniency (1 when not estimated),
    ``w = 1 / (propensity * candidates)`` the uniform-exposure weight, 0 when the propensity is
    missing, and ``v = min(w, cap)``.

    Attributes:
        clip: Row in the `ClipTable`.
        day: Days since the first day.
        fold: Viewer fold 0..F-1, a hash of the viewer. Two folds are enough.
        impressions: Number of impressions.
        sum_label: Sum of ``y``.
        sum_exposure: Sum of ``P * L``.
        sum_weighted_label: Sum of ``w * y``.
        sum_weighted_exposure: Sum of ``w * P * L``.
        sum_capped_label: Sum of ``v * y``.
        sum_capped_exposure: Sum of ``v * P * L``.
    """

    clip: Ints
    day: Ints
    fold: Ints
    impressions: Floats
    sum_label: Floats
    sum_exposure: Floats
    sum_weighted_label: Floats
    sum_weighted_exposure: Floats
    sum_capped_label: Floats
    sum_capped_exposure: Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            column = np.asarray(getattr(self, field.name))
            if column.shape != np.shape(self.clip) or column.ndim != 1:
                msg = f"has shape {column.shape}, clip has {np.shape(self.clip)}"
                raise InputError(msg, field.name)
            if not np.isfinite(column).all():
                msg = "has NaN or infinite values"
                raise InputError(msg, field.name)

    def __len__(self) -> int:
        return len(self.clip)

    def __add__(self, other: Self) -> ClipCells:
        """Cells of both sets of impressions; equal keys may repeat, sums stay right."""
        return ClipCells(
            **{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)}
        )

    @classmethod
    def from_impressions(
        cls,
        clip: Ints,
        day: Ints,
        fold: Ints,
        *,
        label: Floats,
        examination: Floats,
        weight: Floats,
        leniency: Floats | None = None,
        cap: float = 10.0,
    ) -> ClipCells:
        """Aggregates single impressions as the SQL does.

        Args:
            clip: Row in the `ClipTable`, ``(n_impressions,)``.
            day: Days since the first day.
            fold: Viewer fold.
            label: ``y``.
            examination: ``P``, positive.
            weight: ``w``, 0 where the propensity is missing.
            leniency: ``L``, positive; 1 when None.
            cap: Largest weight in the capped sums.
        """
        lenient = np.ones(len(clip)) if leniency is None else leniency
        folds, days = int(fold.max(initial=0)) + 1, int(day.max(initial=0)) + 1
        key, cell = np.unique((clip * days + day) * folds + fold, return_inverse=True)
        capped = np.minimum(weight, cap)

        def total(values: Floats) -> Floats:
            return sum_by(cell, values, len(key))

        return cls(
            clip=key // (folds * days),
            day=key // folds % days,
            fold=key % folds,
            impressions=total(np.ones(len(clip))),
            sum_label=total(label),
            sum_exposure=total(examination * lenient),
            sum_weighted_label=total(weight * label),
            sum_weighted_exposure=total(weight * examination * lenient),
            sum_capped_label=total(capped * label),
            sum_capped_exposure=total(capped * examination * lenient),
        )


def opportunities(slots: Floats, published_day: Ints, withdrawn_day: Ints | None = None) -> Floats:
    """Each clip's opportunity, ``(n_clips,)``.

    Args:
        slots: Sum of ``1 / candidates`` over the impressions with a propensity, per day, ``(n_days,)``.
        published_day: First day on which the clip was eligible.
        withdrawn_day: First day on which it no longer was; None for never.
    """
    before = np.concatenate([[0.0], np.cumsum(slots)])
    first = np.clip(published_day, 0, len(slots))
    last = np.full_like(first, len(slots)) if withdrawn_day is None else np.clip(withdrawn_day, 0, len(slots))
    total: Floats = np.maximum(before[last] - before[first], 0.0)
    return total
