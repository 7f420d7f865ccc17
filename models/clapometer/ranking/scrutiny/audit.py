"""Doubts about a ranking, as numbers: placebo, influence, overlap, power, sample ratio.

References:
    Broderick, Giordano, Meager (2020), An automatic finite-sample robustness metric, arXiv 2011.14999.
    Fabijan et al. (2019), Diagnosing sample ratio mismatch in online controlled experiments, KDD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2, norm

from clapometer.domain import InputError
from clapometer.ranking.estimators.fixed_effects import PromptFixedEffects

__all__ = [
    "Flip",
    "Placebo",
    "days_until_visible",
    "effective_sample_size",
    "fake_reactions_to_flip",
    "fewest_to_flip",
    "placebo",
    "sample_ratio_p_value",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Placebo:
    """How often a ranking of shuffled labels claims a difference.

    Attributes:
        repeats: Number of shuffles.
        intervals: Intervals in all.
        false_positives: Those that exclude 0, the truth after a shuffle.
        p_value: Chance of a false-positive rate that far above the nominal one.
    """

    repeats: int
    intervals: int
    false_positives: int
    p_value: float

    @property
    def rate(self) -> float:
        """Share of intervals that exclude the truth; the nominal one is 1 minus the level."""
        return self.false_positives / self.intervals if self.intervals else float("nan")


def placebo(
    X: Ints,
    scores: Floats,
    *,
    seed: int,
    opportunity: Floats | None = None,
    repeats: int = 100,
    estimator: PromptFixedEffects | None = None,
) -> Placebo:
    """Permutes the items within each prompt, so that no difference is real, and fits again.

    Intervals of one shuffle are dependent, so the test counts shuffles by one item each, drawn by `seed`.

    Args:
        X: Item, prompt and optionally stratum, ``(n_clips, 2 or 3)``.
        scores: ``(n_clips,)``.
        seed: Of the permutations.
        opportunity: As for `PromptFixedEffects.fit`.
        repeats: Shuffles.
        estimator: Settings to audit; the default ones when None.
    """
    fitted = PromptFixedEffects() if estimator is None else estimator
    random = np.random.default_rng(seed)
    missed, drawn = [], []
    order = np.argsort(X[:, 1], kind="stable")
    for _ in range(repeats):
        shuffled = X.copy()
        # Sorting by (prompt, chance) permutes within prompts only.
        within = np.lexsort([random.random(len(X)), X[:, 1]])
        shuffled[order, 0] = X[within, 0]
        fitted.fit(shuffled, scores, opportunity=opportunity)
        if not len(fitted.items_):
            continue
        out = np.abs(fitted.effects_) > norm.ppf(0.5 + fitted.level / 2) * np.sqrt(np.diag(fitted.covariance_))
        missed.append(out)
        drawn.append(bool(out[random.integers(len(out))]))
    total, wrong = sum(map(len, missed)), int(sum(out.sum() for out in missed))
    p = binomtest(sum(drawn), len(drawn), 1 - fitted.level, alternative="greater").pvalue if drawn else 1.0
    return Placebo(repeats, total, wrong, float(p))


@dataclass(frozen=True, slots=True, eq=False)
class Flip:
    """The smallest set of clusters whose removal, to first order, makes the second item first.

    Attributes:
        first: The leading item.
        second: The item that overtakes it.
        removed: The clusters to drop, most influential first; None when dropping all that favour the
            leader is not enough.
        share: Of all clusters, NaN when there is no such set.
    """

    first: int
    second: int
    removed: Ints | None
    share: float


def fewest_to_flip(items: Ints, effects: Floats, influence: Floats) -> Flip:
    """The cheapest way to dethrone the leader, over all rivals.

    Args:
        items: Item of each effect, ``(n,)``.
        effects: ``(n,)``.
        influence: Change of each effect by the presence of each cluster (prompt, viewer or impression),
            ``(n_clusters, n)``, for instance `PromptFixedEffects.prompt_scores_`.

    Raises:
        InputError: There are fewer than two items.

    Example:
        >>> influence = np.array([[0.2, -0.1], [0.1, 0.0], [0.05, 0.0]])  # of three prompts on two models
        >>> fewest_to_flip(np.array([7, 9]), np.array([0.3, 0.1]), influence).removed.tolist()  # without it 9 leads
        [0]
    """
    if len(effects) < 2:
        msg = "needs at least two ranked items"
        raise InputError(msg, "effects")
    first = int(np.argmax(effects))
    rivals = [i for i in np.argsort(-effects, kind="stable") if i != first]
    removals = [
        _removal(effects[first] - effects[rival], influence[:, first] - influence[:, rival]) for rival in rivals
    ]
    sizes = [np.inf if removed is None else len(removed) for removed in removals]
    easiest = int(np.argmin(sizes))
    removed = removals[easiest]
    share = float("nan") if removed is None else len(removed) / len(influence)
    return Flip(int(items[first]), int(items[rivals[easiest]]), removed, share)


def _removal(lead: float, push: Floats) -> Ints | None:
    """Fewest clusters whose pushes add up to more than `lead`; None when all together do not."""
    order = np.argsort(-push, kind="stable")
    gained = np.cumsum(np.maximum(push[order], 0.0))
    needed = int(np.searchsorted(gained, lead, side="right")) + 1
    return order[:needed] if needed <= len(push) else None


def fake_reactions_to_flip(lead: float, largest_influence: float) -> int:
    """Fake reactions that close a lead when each is put where it moves most, at least 1.

    Args:
        lead: Effect of the leader minus that of the rival.
        largest_influence: Change of the difference by one added reaction on the best clip for it:
            label weight x uniform-exposure weight x influence of that clip's score / its opportunity.

    Raises:
        InputError: `largest_influence` is not positive.
    """
    if not largest_influence > 0:
        msg = "must be positive"
        raise InputError(msg, "largest_influence")
    return max(1, int(np.ceil(lead / largest_influence)))


def effective_sample_size(weight: Floats) -> float:
    r"""Kish's :math:`(\sum w)^2 / \sum w^2`: equally weighted impressions of the same precision; 0 for none.

    Example:
        >>> round(effective_sample_size(np.array([9.0, 1.0, 1.0, 1.0])), 2)
        1.71
    """
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def days_until_visible(
    standard_error: float, days: float, difference: float, *, level: float = 0.95, power: float = 0.8
) -> float:
    r"""Days of the same traffic until a difference is visible with the given power.

    :math:`n = d\,(\sigma (z_{1-\alpha/2} + z_{\mathrm{power}}) / \Delta)^2`, as variances fall with the days.

    Args:
        standard_error: Of the difference, today.
        days: Of traffic behind it.
        difference: That should be seen, in label units, not 0.
        level: Of the interval.
        power: Chance of seeing it.

    Raises:
        InputError: `difference` is 0 or not a number.

    Example:
        >>> round(days_until_visible(standard_error=0.02, days=7, difference=0.02))
        55
    """
    if not abs(difference) > 0:
        msg = "must not be 0"
        raise InputError(msg, "difference")
    reach = norm.ppf(0.5 + level / 2) + norm.ppf(power)
    return float(days * (standard_error * reach / difference) ** 2)


def sample_ratio_p_value(observed: Mapping[str, int], planned: Mapping[str, float]) -> float:
    """Chance of shares so far from the plan: below 0.001 something loses or duplicates impressions.

    Args:
        observed: Units (viewers, not impressions) per arm.
        planned: Share of each arm, in any unit.

    Raises:
        InputError: Arms differ, a planned share is not positive, or nothing was observed.

    Example:
        >>> sample_ratio_p_value({"old": 5000, "new": 5400}, {"old": 1, "new": 1}) < 0.001
        True
    """
    if observed.keys() != planned.keys() or min(planned.values(), default=0) <= 0:
        msg = f"arms {sorted(observed)} need positive planned shares, got {dict(planned)}"
        raise InputError(msg, "planned")
    counts = np.array([observed[arm] for arm in planned], float)
    if counts.sum() <= 0:
        msg = "nothing was observed"
        raise InputError(msg, "observed")
    share = np.array(list(planned.values()), float)
    expected = counts.sum() * share / share.sum()
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), len(counts) - 1))
