r"""Were all viewers offered the same? A test on exposure alone, whatever viewers did with it.

Weighted by :math:`w = 1 / (pK)`, a version has the share of what a viewer saw that it has of the viewer's
candidates. If the sets of candidates do not depend on the viewer, two impressions of one viewer, of different prompts,
tell nothing of each other:

.. math:: T_m = \sum_v \sum_{p \ne p'} U_{vp} U_{vp'}, \quad U_{vp} = \sum_{e \in vp} w_e (1[m_e = m] - s_m(p_e, d_e))

has mean 0, with the share :math:`s_m` fitted to prompts and days, so that neither taste for topics nor the launch of a
version passes for leaning. Its variance is :math:`2 \sum_v \sum_{p \ne p'} U_{vp}^2 U_{vp'}^2`. One-sided, and the
smallest p-value of the versions times their number: a log whose sets are exchangeable is accused in no more than that
share of cases.

References:
    Fabijan et al. (2019), Diagnosing sample ratio mismatch in online controlled experiments, KDD. Swaminathan et al.
    (2017), Off-policy evaluation for slate recommendation, NeurIPS (sets of candidates as context).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from clapometer.ranking.grouping import sum_by
from clapometer.ranking.viewers.within_viewers import Views

__all__ = ["Leaning", "leaning"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leaning:
    """How far what viewers are offered depends on who they are.

    Attributes:
        item: That leans most surely; -1 where nothing could be tested.
        share: Of that item among what was offered.
        spread: Standard deviation over viewers of its share of their candidates, 0 where it is less than chance makes.
        p_value: Chance of as much, were viewers exchangeable.
    """

    item: int
    share: float
    spread: float
    p_value: float


def leaning(views: Views, day: Ints, n_items: int) -> Leaning:
    """Tests that sets of candidates do not depend on the viewer.

    Args:
        views: Impressions with their weights among the candidates.
        day: Of each.
        n_items: Items are 0..n_items-1.
    """
    weight = views.weight
    seen = Views(views.item, views.prompt, day, weight)
    keys, place = np.unique(views.viewer * (int(views.prompt.max(initial=0)) + 1) + views.prompt, return_inverse=True)
    viewer = keys // (int(views.prompt.max(initial=0)) + 1)
    mass = sum_by(place, weight)
    pairs = float((sum_by(viewer, mass) ** 2 - sum_by(viewer, mass**2)).sum())
    found = Leaning(-1, 0.0, 0.0, 1.0)
    for item in range(n_items):
        own = (views.item == item).astype(np.float64)
        pull = sum_by(place, weight * seen.apart(own)[0])
        squares = sum_by(viewer, pull**2)
        products = float((sum_by(viewer, pull) ** 2 - squares).sum())
        variance = 2 * float((squares**2 - sum_by(viewer, pull**4)).sum())
        if variance <= 0 or pairs <= 0:
            continue
        p_value = min(1.0, n_items * float(norm.sf(products / np.sqrt(variance))))
        if found.item < 0 or p_value < found.p_value:
            share = float(weight @ own) / float(weight.sum())
            found = Leaning(item, share, float(np.sqrt(max(products / pairs, 0.0))), p_value)
    return found
