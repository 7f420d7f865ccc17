"""What moves engagement without being about the clip: position, calendar day, age.

The examination hypothesis: an impression's expected label is the examination of its surface and
position times what the clip would earn when seen. The curve comes from explored slots, in which the
clip is random, because elsewhere good clips sit on top.

References:
    Richardson, Dominowska, Ragno (2007), Predicting clicks, WWW.
    Joachims, Swaminathan, Schnabel (2017), Unbiased learning-to-rank with biased feedback, WSDM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from clapometer.ranking.grouping import sum_by
from clapometer.ranking.limits import share_left_out

__all__ = ["TimeOffsets", "fit_time_offsets", "position_curve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AGE_EDGES = (1, 2, 3, 5)
"""Ages in days at which a new bucket starts; clips older than the last edge are the reference."""
_PRIOR_SLOTS = 2.0
"""Explored slots of the mean label that every place is worth before its own."""
MOST_SHIFT = 1.5
"""Log-odds by which a day, and an age, may move a label at most: beyond that it is their having next to no data."""


def position_curve(surface: Ints, position: Ints, slots: Floats, explored: Floats, explored_label: Floats) -> Floats:
    """Examination of each (surface, position), mean 1 over the slots, ``(n_slots,)``.

    A quadratic in ``log(1 + position)`` per surface on the log of the explored slots' mean label,
    weighted by the label total (the Poisson variance of a log rate). Surfaces without exploration get a
    flat curve. Positions at and beyond which there are next to no explored slots are taken for the one before them: a
    parabola says nothing of where it was not fitted.

    Args:
        surface: Surface index, one row per (surface, position), ``(n_slots,)``.
        position: 0 is the top.
        slots: Sum of ``1 / candidates`` over the slot's impressions with a propensity (any multiple of
            the number of slots will do when candidates hardly vary).
        explored: Impressions that were filled uniformly at random.
        explored_label: Sum of the label over the explored ones. The label may be negative for some
            impressions, its mean per slot should not be.
    """
    overall = explored_label.sum() / max(explored.sum(), 1.0)
    rate = (explored_label + _PRIOR_SLOTS * overall) / (explored + _PRIOR_SLOTS)
    curve = np.ones(len(surface))
    if overall <= 0:
        return curve
    rate = np.maximum(rate, 0.02 * overall)
    for here in (surface == s for s in np.unique(surface)):
        known = np.minimum(position, _last_known(position[here], explored[here]))
        seen = here & (explored > 0)
        degree = min(len(np.unique(known[seen])) - 1, 2)
        if degree < 0:
            curve[here] = overall
            continue
        basis = np.vander(np.log1p(known), degree + 1)
        scale = np.sqrt(explored[seen] * rate[seen])
        slope = np.linalg.lstsq(basis[seen] * scale[:, None], np.log(rate[seen]) * scale, rcond=None)[0]
        curve[here] = np.exp(basis[here] @ slope)
    mean: float = (curve * slots).sum() / max(slots.sum(), 1e-300)
    return curve / mean if mean > 0 else np.ones(len(surface))


def _last_known(position: Ints, explored: Floats) -> int:
    """Largest position at or beyond which there are more than a few of the explored slots of a surface."""
    order = np.argsort(-position, kind="stable")
    beyond = np.cumsum(explored[order])
    few = share_left_out(int(explored.sum()))
    return int(position[order][min(int(np.searchsorted(beyond, few, side="right")), len(order) - 1)])


@dataclass(frozen=True, slots=True, eq=False)
class TimeOffsets:
    """Shifts of a clip's log-odds by calendar day (0 on an average impression's) and by age (0 for old clips).

    Attributes:
        day: ``(n_days,)``.
        age: ``(n_buckets,)``, the last is 0.
    """

    day: Floats
    age: Floats

    def at(self, day: Ints, age: Ints) -> Floats:
        """Offset of an impression on `day` of a clip that is `age` days old."""
        shift: Floats = self.day[day] + self.age[age_bucket(age)]
        return shift


def age_bucket(age: Ints) -> Ints:
    """Bucket of an age in days; ages below 0 (clock skew) count as 0."""
    bucket: Ints = np.searchsorted(AGE_EDGES, age, side="right")
    return bucket


def fit_time_offsets(
    group: Ints,
    day: Ints,
    age: Ints,
    *,
    label: Floats,
    exposure: Floats,
    ceiling: float,
    n_days: int,
    knots: int = 4,
    ridge: float = 1.0,
) -> TimeOffsets:
    """Day spline and age steps common to all groups, by quasi-Poisson scoring.

    ``E[label] = exposure * ceiling * expit(level[group] + offset(day, age))``: labels are bounded, so
    an evening effect moves a weak clip by more in ratio and by less in points than a middling one.
    Group levels are absorbed.

    The curve's time is traffic, not the calendar: a day is as long as its share of the exposure. A day with next to no
    data moves neither the bends nor the zero, however far from the others it is, and a pause takes no time.

    Args:
        group: Model version x stratum of each cell, ``(n_cells,)``.
        day: Days since the first day.
        age: Days since the clip's publication.
        label: Sum of the capped-weight label.
        exposure: Sum of the capped-weight exposure.
        ceiling: Label at which the logistic link saturates.
        n_days: Length of the day curve.
        knots: Bends of the piecewise linear day curve.
        ridge: Penalty on squared log-odds, in fully examined impressions of a label of `ceiling`: without it a day of
            which every label is 0 would be infinitely bad.
    """
    share = sum_by(day, np.maximum(exposure, 0.0), n_days)
    share /= max(share.sum(), 1e-300)
    cell, label, exposure = _collapse((group * n_days + day) * 5 + age_bucket(age), label, exposure)
    groups, days, ages = cell // (n_days * 5), cell // 5 % n_days, cell % 5
    basis = _day_basis(np.cumsum(share) - share / 2, knots)
    design = np.column_stack([basis[days], ages[:, None] == np.arange(len(AGE_EDGES))])
    shift = _scoring(design, groups, label, exposure * ceiling, ridge * ceiling)
    curve = basis @ shift[: basis.shape[1]]
    of_age = np.append(shift[basis.shape[1] :], 0.0)
    return TimeOffsets(
        day=np.clip(curve - curve @ share, -MOST_SHIFT, MOST_SHIFT), age=np.clip(of_age, -MOST_SHIFT, MOST_SHIFT)
    )


def _collapse(key: Ints, label: Floats, exposure: Floats) -> tuple[Ints, Floats, Floats]:
    """Adds up rows with the same key and drops those without exposure."""
    keys, cell = np.unique(key, return_inverse=True)
    labels, exposures = sum_by(cell, label, len(keys)), sum_by(cell, exposure, len(keys))
    used = exposures > 0
    return keys[used], labels[used], exposures[used]


def _day_basis(time: Floats, knots: int) -> Floats:
    """Piecewise linear functions of a time from 0 to 1, ``(n_days, 1 + knots)``."""
    bends = np.linspace(0, 1, knots + 2)[1:-1]
    return np.column_stack([time, np.maximum(time[:, None] - bends, 0.0)])


def _scoring(design: Floats, group: Ints, label: Floats, full: Floats, ridge: float, *, steps: int = 50) -> Floats:
    """Shift of ``label ~ full * expit(level[group] + design @ shift)`` by Fisher scoring.

    The group levels are eliminated from every step: their block is diagonal. Both they and the shift have a `ridge`:
    a group of which every label is 0 would otherwise go on falling, and no step would be short enough for the others.
    """
    n_groups = int(group.max(initial=0)) + 1

    def by_group(values: Floats) -> Floats:
        return sum_by(group, values, n_groups)

    rate = by_group(label) / np.maximum(by_group(full), 1e-12)
    overall = max(label.sum() / max(full.sum(), 1e-12), 1e-6)
    usual = logit(min(overall, 0.9))
    level = logit(np.clip(rate, min(0.02 * overall, 0.9), 0.9))
    shift = np.zeros(design.shape[1])
    for _ in range(steps):
        chance = expit(level[group] + design @ shift)
        residual = label - full * chance
        information = full * chance * (1 - chance)
        own, pull = by_group(information) + ridge, by_group(residual) - ridge * (level - usual)
        cross = np.column_stack([by_group(information * column) for column in design.T])
        schur = (design.T * information) @ design - cross.T @ (cross / own[:, None])
        gradient = design.T @ residual - ridge * shift - cross.T @ (pull / own)
        step = np.linalg.solve(schur + ridge * np.eye(len(shift)), gradient)
        lift = (pull - cross @ step) / own
        size = max(np.abs(step).max(initial=0.0), np.abs(lift).max(initial=0.0))
        damping = min(1.0, 1.0 / max(size, 1e-12))
        shift, level = shift + damping * step, level + damping * lift
        if size < 1e-7:
            break
    return shift
