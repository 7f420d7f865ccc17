r"""How little it takes to change a ranking: impressions to lose, reactions to invent.

A clip's score moves with one impression by :math:`w_e (y_e - P_e m_c) / S_c` (see `ClipAIPW`), and a difference of
two effects with a clip's score by `PromptFixedEffects.score_influence`. The product is the *push* of an impression
towards the leading item; the fewest impressions whose pushes add up to the lead are those that push most. That is
exact to first order: what is left out is that the fit's weights and priors would be learnt anew.

References:
    Broderick, Giordano, Meager (2020), An automatic finite-sample robustness metric, arXiv 2011.14999.
    Huang, Shen, Wei, Broderick (2025), Dropping just a handful of preferences can change top LLM rankings,
    arXiv 2508.11847. Min, Pang, Du, Liu, Cheng, Guo (2025), Improving your model ranking on Chatbot Arena by vote
    rigging, PMLR 267.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError

__all__ = ["BUCKETS_PER_OCTAVE", "fewest", "fewest_in_buckets", "invented_reactions"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BUCKETS_PER_OCTAVE = 8
"""Pushes are counted in buckets of this many to a factor of two: within 5 % of what each of them is."""


def fewest(lead: float, push: Floats, capacity: Floats | None = None) -> int | None:
    """Fewest pushes that add up to more than `lead`, at least 1; None where all together do not.

    Args:
        lead: What is to be closed.
        push: Size of a push of each kind; those that are not positive help nobody.
        capacity: How many there are of each kind; None is 1 each.

    Raises:
        InputError: `lead` or a push is not a number.
    """
    if not np.isfinite(lead) or not np.isfinite(push).all():
        msg = "must be finite"
        raise InputError(msg, "push")
    order = np.argsort(-push, kind="stable")
    size = np.maximum(push[order], 0.0)
    there = np.ones(len(push)) if capacity is None else capacity[order]
    there = np.where(size > 0, there, 0.0)
    gained = np.cumsum(size * there)
    kind = int(np.searchsorted(gained, lead, side="right"))
    if kind == len(push):
        return None
    before = float(gained[kind - 1]) if kind else 0.0
    needed = float(there[:kind].sum()) + np.floor(max(lead - before, 0.0) / size[kind] + 1)
    return max(1, int(min(needed, there[: kind + 1].sum())))


def fewest_in_buckets(lead: float, bucket: Ints, count: Floats) -> int | None:
    """As `fewest`, for pushes counted in buckets of their logarithm: ``floor(log2(push) * BUCKETS_PER_OCTAVE)``.

    Counts are exact in any order of addition, so the answer does not depend on it.

    Args:
        lead: What is to be closed.
        bucket: ``(n_buckets,)``.
        count: Pushes in each.
    """
    middle = np.exp2((bucket + 0.5) / BUCKETS_PER_OCTAVE)
    return fewest(lead, middle, count)


def invented_reactions(lead: float, value: float, impressions: float, evidence: float) -> int | None:
    r"""Reactions that fake viewers must add to a shrunken mean until it has gained `lead`, at least 1.

    With :math:`n` impressions that carry the share `evidence` of the value, the mean behaves like
    :math:`N = n / \mathrm{evidence}` impressions; after :math:`k` more, each worth `value` more than the mean, it has
    gained :math:`k \cdot \mathrm{value} / (N + k)`.

    Args:
        lead: What is to be gained.
        value: What a fake impression is worth above the present mean, in label units.
        impressions: Behind the mean.
        evidence: Share of the prior variance that they removed, 0..1.

    Returns:
        None where no number of them is enough.
    """
    if value <= lead or evidence <= 0:
        return None
    return max(1, int(np.ceil(lead * impressions / evidence / (value - lead))))
