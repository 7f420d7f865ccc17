"""What moves engagement without being about the clip: its place; day and age are in `days`.

The examination hypothesis: an impression's expected label is the examination of its surface and
position times what the clip would earn when seen. The curve comes from explored slots, in which the
clip is random, because elsewhere good clips sit on top.

References:
    Richardson, Dominowska, Ragno (2007), Predicting clicks, WWW.
    Joachims, Swaminathan, Schnabel (2017), Unbiased learning-to-rank with biased feedback, WSDM.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking.limits import share_left_out

__all__ = ["position_curve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PRIOR_SLOTS = 2.0
"""Explored slots of the mean label that every place is worth before its own."""


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
