r"""How little it takes to change a ranking: impressions to lose, reactions to invent.

A clip's score moves with one impression by :math:`w_e (y_e - P_e m_c) / S_c` (see `ClipAIPW`), and a difference of
two effects with a clip's score by `PromptFixedEffects.score_influence`. The product is the *push* of an impression
towards the leading item; the fewest impressions whose pushes add up to the lead are those that push most. That is
exact to first order: what is left out is that the fit's weights and priors would be learnt anew.

Whoever buys a ranking is in its data: with made-up viewers :math:`A` among the honest ones, the estimate without
:math:`A` is the honest one. So a claim that stands without *any* set of viewers that a budget allows is not bought.
The worst set is found to first order, as `robustness` does: pushes of impressions, added up by viewer. Viewers of a
budget of days were all there within so many days, and nobody whose visits span more of them can be one of them: that,
and that a person's impressions push both ways, is why honest traffic allows little.

References:
    Broderick, Giordano, Meager (2020), An automatic finite-sample robustness metric, arXiv 2011.14999.
    Huang, Shen, Wei, Broderick (2025), Dropping just a handful of preferences can change top LLM rankings,
    arXiv 2508.11847. Min, Pang, Du, Liu, Cheng, Guo (2025), Improving your model ranking on Chatbot Arena by vote
    rigging, PMLR 267.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.ranking.grouping import sum_by

__all__ = ["BUCKETS_PER_OCTAVE", "Bought", "Budget", "Suspects", "fewest", "fewest_in_buckets", "invented_reactions"]

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


@dataclass(frozen=True)
class Budget:
    """What one person can make up, at most.

    Attributes:
        viewers: Viewers; with none nothing can be bought.
        impressions: That count, all of them together.
        days: Within which all of them come.
    """

    viewers: int = 200
    impressions: int = 2_000
    days: int = 3


@dataclass(frozen=True)
class Bought:
    """How far an estimate could have been moved, in its units, at least 0.

    Attributes:
        up: It could have been raised so much.
        down: It could have been lowered so much.
    """

    up: float = 0.0
    down: float = 0.0

    def scaled(self, factor: float) -> Bought:
        """Returns what it comes to where every impression counts `factor` times as much."""
        return Bought(self.up * factor, self.down * factor)


class Suspects:
    """Viewers whom one person could have made up, by stretch of days.

    Args:
        viewer: Of each impression that counts, numbered from 0, ``(n,)``.
        day: Of each.
        budget: What can be made up.
        every: Of the viewers, every how many are given.

    Attributes:
        rows: The impressions of theirs.
    """

    def __init__(self, viewer: Ints, day: Ints, budget: Budget, every: int = 1) -> None:
        n = int(viewer.max(initial=-1)) + 1
        shown, first, last = np.bincount(viewer, minlength=n), np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
        np.minimum.at(first, viewer, day)
        np.maximum.at(last, viewer, day)
        able = (shown > 0) & (last - first <= budget.days) & (shown <= budget.impressions) & (budget.viewers > 0)
        number = np.cumsum(able) - 1
        self.rows: Ints = np.flatnonzero(able[viewer])
        self._viewer, self._shown = number[viewer[self.rows]], shown[able]
        self._budget, self._every = budget, every
        self._stretches = self._by_stretch(first[able], last[able])

    def bought(self, push: Floats) -> Bought:
        """Returns how far the suspects could have moved an estimate that their impressions push, ``(n_rows,)``."""
        return self.bought_by(self.by_viewer(push))

    def by_viewer(self, push: Floats) -> Floats:
        """Returns what each suspect pushes, ``(n_suspects,)``, from what their impressions push."""
        pushed: Floats = sum_by(self._viewer, push, len(self._shown))
        return pushed

    def bought_by(self, by_viewer: Floats) -> Bought:
        """Returns how far the suspects could have moved an estimate that each of them pushes, ``(n_suspects,)``."""
        return Bought(self._worst(by_viewer), self._worst(-by_viewer))

    def fewest(self, push: Floats, gap: float) -> int | None:
        """Returns the fewest viewers without whom an estimate is lower by more than `gap`; None beyond the budget."""
        by_viewer = self.by_viewer(push)
        found = [fewest(gap / self._every, by_viewer[each]) for each in self._stretches]
        some = [each * self._every for each in found if each is not None]
        return min(some) if some and min(some) <= self._budget.viewers else None

    def _by_stretch(self, first: Ints, last: Ints) -> list[Ints]:
        """Returns the suspects that were there only within a stretch of days, for each day that somebody came first."""
        order = np.argsort(first, kind="stable")
        # so many times 24 hours touch one day more of the calendar
        came, went, days = first[order], last[order], self._budget.days + 1
        starts = np.unique(came)
        begins, ends = np.searchsorted(came, starts), np.searchsorted(came, starts + days)
        return [
            order[begin:end][went[begin:end] < start + days]
            for start, begin, end in zip(starts.tolist(), begins.tolist(), ends.tolist(), strict=True)
        ]

    def _worst(self, push: Floats) -> float:
        return max((self._most(push, stretch) for stretch in self._stretches), default=0.0)

    def _most(self, push: Floats, stretch: Ints) -> float:
        """Returns what the viewers of a stretch that push most push together, as many as the budget allows.

        Not more than the best of so many viewers, nor than the best of so many impressions if a viewer could be made
        up in part: the knapsack between the two is not larger than either.
        """
        push, shown = push[stretch], self._shown[stretch]
        helps = push > 0
        push, shown = push[helps], shown[helps]
        viewers, impressions = -(-self._budget.viewers // self._every), self._budget.impressions / self._every
        best = push if len(push) <= viewers else np.partition(push, len(push) - viewers)[len(push) - viewers :]
        most = float(best.sum())
        if shown.sum() > impressions:
            order = np.argsort(-push / shown, kind="stable")
            before = np.cumsum(shown[order]) - shown[order]
            part = np.clip((impressions - before) / shown[order], 0.0, 1.0)
            most = min(most, float(push[order] @ part))
        return most * self._every
