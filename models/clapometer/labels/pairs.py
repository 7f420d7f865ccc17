"""Pair labels: two clips of one prompt, how likely the left one is better, and how far to trust that.

Tier A is what somebody said: a vote, or a creator's choice among the clips of a prompt. Tier B comes from
clip values that logged propensities keep honest, tier C from clip values without them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc
from scipy.stats import norm

from clapometer.domain import InputError
from clapometer.ranking import HierarchicalBayes, sum_by

__all__ = ["PairLabels", "Said", "creator_choices", "explicit_pairs", "pairs_of_prompts", "posterior_pairs"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Tier = Literal["A", "B", "C"]


@dataclass(frozen=True, slots=True, eq=False)
class PairLabels:
    """Preference labels, ``(n_pairs,)`` each.

    Attributes:
        left: Row of the left clip.
        right: Row of the right clip.
        p_left: Probability that the left clip is better.
        margin: Expected difference: label units for tiers B and C, share of the vote for tier A.
        weight: What the label tells, in bits: 1 for a certain one, 0 for a toss-up.
        left_evidence: Impressions of the left clip, or explicit comparisons for tier A.
        right_evidence: The same for the right one.
        tier: Of all of them.
    """

    left: Ints
    right: Ints
    p_left: Floats
    margin: Floats
    weight: Floats
    left_evidence: Floats
    right_evidence: Floats
    tier: Tier

    def __len__(self) -> int:
        return len(self.left)

    def where(self, keep: NDArray[np.bool_]) -> PairLabels:
        """The labels that `keep` selects."""
        columns = {f.name: getattr(self, f.name)[keep] for f in fields(self) if f.name != "tier"}
        return PairLabels(**columns, tier=self.tier)


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Explicit comparisons, one row each: the clip rows and 1 (left), 0 (right) or 0.5 (tie) as result.

    Attributes:
        voter: Number of who said it; None where each row is of somebody else.
    """

    left: Ints
    right: Ints
    result: Floats
    voter: Ints | None = None


def pairs_of_prompts(prompt: Ints, impressions: Floats, max_per_prompt: int = 20) -> tuple[Ints, Ints]:
    """Returns rows of clips to compare: of one prompt, both shown, the most shown ones first.

    Within a prompt the clips are put in the order of their impressions, and each is paired with the next, the
    second next and so on, until ``max_per_prompt`` pairs; which side is left alternates. Cost is linear in
    the clips however many share a prompt.

    Args:
        prompt: Of each clip, ``(n_clips,)``.
        impressions: Of each clip; those without any are left out.
        max_per_prompt: Most pairs of one prompt.
    """
    shown = np.flatnonzero(impressions > 0)
    order = shown[np.lexsort((shown, -impressions[shown], prompt[shown]))]
    group = prompt[order]
    first = np.concatenate([[True], np.diff(group) != 0])[: len(group)]
    place = np.arange(len(order)) - np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
    left, right, rank = [], [], []
    for lag in range(1, min(max_per_prompt, int(place.max(initial=0))) + 1):
        k = np.flatnonzero(place[:-lag] + lag == place[lag:])
        k = k[group[k] == group[k + lag]]
        left.append(order[k])
        right.append(order[k + lag])
        rank.append(place[k])
    if not left:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    a, b = np.concatenate(left), np.concatenate(right)
    chosen = _first_of_each(prompt[a], max_per_prompt)
    a, b, turn = a[chosen], b[chosen], np.concatenate(rank)[chosen] % 2 == 0
    return np.where(turn, a, b), np.where(turn, b, a)


def posterior_pairs(fitted: HierarchicalBayes, left: Ints, right: Ints, impressions: Floats) -> PairLabels:
    """Returns labels from clip values: rows of the fit, tier B with logged propensities and C without.

    Raises:
        InputError: A clip is compared with itself.
    """
    if (left == right).any():
        msg = "a clip is not compared with itself"
        raise InputError(msg, "left")
    margin, spread = fitted.differences(left, right)
    chance: Floats = norm.cdf(margin / spread)
    tier: Tier = "B" if fitted.tier_ == "B" else "C"
    return PairLabels(left, right, chance, margin, _bits(chance), impressions[left], impressions[right], tier)


def explicit_pairs(said: Said) -> PairLabels:
    r"""Returns tier A labels: one per pair of clips that was compared, in the order of the rows' numbers.

    With *k* of *n* comparisons for the left clip (ties count half), the probability that most people prefer it
    is :math:`P(q > 1/2)` for :math:`q \sim \mathrm{Beta}(k + 1, n - k + 1)`.

    Raises:
        InputError: A result is neither 1, 0 nor 0.5, or a clip was compared with itself.
    """
    if not np.isin(said.result, (0.0, 0.5, 1.0)).all():
        msg = "must be 1 (left), 0 (right) or 0.5 (tie)"
        raise InputError(msg, "result")
    if (said.left == said.right).any():
        msg = "a clip is not compared with itself"
        raise InputError(msg, "left")
    flipped = said.left > said.right
    low, high = np.where(flipped, said.right, said.left), np.where(flipped, said.left, said.right)
    result = np.where(flipped, 1 - said.result, said.result)
    pairs, pair = np.unique(np.column_stack([low, high]), axis=0, return_inverse=True)
    pairs, pair = pairs.reshape(-1, 2), pair.ravel()
    n, won = sum_by(pair, np.ones(len(pair)), len(pairs)), sum_by(pair, result, len(pairs))
    chance: Floats = 1 - betainc(won + 1, n - won + 1, 0.5)
    return PairLabels(pairs[:, 0], pairs[:, 1], chance, 2 * won / np.maximum(n, 1) - 1, _bits(chance), n, n, "A")


def creator_choices(chosen: Ints, shown: Ints) -> Said:
    """Returns the comparisons in a creator's choice: the chosen clip against each other one that was shown.

    Args:
        chosen: Row of the chosen clip, repeated for every clip it was shown with, ``(n,)``.
        shown: Row of that clip; the chosen one itself may be among them.
    """
    other = chosen != shown
    return Said(chosen[other], shown[other], np.ones(int(other.sum())))


def _bits(chance: Floats) -> Floats:
    p = np.clip(chance, 1e-12, 1 - 1e-12)
    bits: Floats = np.clip(1 + p * np.log2(p) + (1 - p) * np.log2(1 - p), 0.0, 1.0)
    return bits


def _first_of_each(group: Ints, most: int) -> Ints:
    """Rows such that each group has its first ``most`` rows, in their order."""
    order = np.argsort(group, kind="stable")
    start = np.concatenate([[True], np.diff(group[order]) != 0])[: len(order)]
    place = np.arange(len(order)) - np.maximum.accumulate(np.where(start, np.arange(len(order)), 0))
    return np.sort(order[place < most])
