"""Model versions (or any items) compared within prompts: two-way fixed effects on clip scores."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from clapometer.domain import InputError
from clapometer.ranking.days.doubt import TimeDoubt
from clapometer.ranking.estimators.prompt_fits import bent, expected_levels, interaction_strength, least_squares
from clapometer.ranking.intervals import confidence_intervals, probability_best, rank_ranges, simultaneous_intervals
from clapometer.ranking.overlap import comparable, shared_prompts
from clapometer.ranking.results import Interval, Ranked, Reason, Unranked

__all__ = ["PromptFixedEffects"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CURVATURE_VARIANCE = 1 / 12
"""Of a curvature that is anywhere between 0 and 1."""


class PromptFixedEffects(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""Item effects with every prompt's difficulty absorbed.

    .. math:: s_c = b_{p(c)} + \beta_{m(c)} + \delta_{m(c),t(p(c))} + \varepsilon_c

    by weighted least squares, with a ridge on the item x stratum interactions :math:`\delta`. An item's
    effect is :math:`\beta_m + \sum_t \pi_t \delta_{m,t}` with the prompts' shares :math:`\pi_t`, minus the
    mean over items: what it would earn on *all* prompts, whichever it was used for. Standard errors are
    clustered by prompt, with the leave-one-prompt-out (CR3) correction.

    Weights come from the design, never from outcomes: the variance of a score is about
    :math:`\tau^2 + v / S_c` with the opportunity :math:`S_c`, so its weight is
    :math:`S_c / (S_c + v / \tau^2)`; the ratio is regressed from squared residuals of an equal-weight fit.

    **Curvature.** A label is a mean of chances, so an advantage moves it by more where prompts do well: the logistic
    link of `ClipAIPW`, with ceiling :math:`C`, has the slope :math:`h(b) = b (1 - b/C)`, and near the mean level
    :math:`\bar b` its relative slope is :math:`1 + \kappa (b - \bar b)/\bar b` with
    :math:`\kappa = (1 - 2 \bar b/C) / (1 - \bar b/C)`, which is 1/2 at :math:`C = 3 \bar b`. An item that was used
    for hard prompts would look worse than it is. So :math:`\kappa\,\hat\beta_m (\hat b_p - \bar b)/\bar b` is taken
    from every score before the last fit; being linear in the prompt levels, it costs some precision and no truth.
    What :math:`\kappa` is for these clips nobody has measured: between effects that are the same everywhere (0) and
    proportional ones (1) it is taken as uniform, so :math:`\frac1{12} g g'` with
    :math:`g = \partial\hat\beta / \partial\kappa` is added to the covariance. That is next to nothing where prompts
    were given out alike.

    **Borrowing.** Absorbing a prompt that has two or three clips of very unequal precision throws away about as much
    as it keeps. With `borrow` a prompt's level is a draw around what its mix of items, their number and its stratum
    predict, :math:`b_p = x_p'\psi + u_p`: whoever gives hard prompts to one item and easy ones to another does it by
    the items a prompt has, so what is left over, :math:`u_p`, favours nobody (correlated random effects). It enters
    as one more observation of each prompt, of strength :math:`\sigma^2 / \sigma_u^2`. The ridge on the interactions is
    then :math:`\sigma^2 / \sigma_\delta^2` where that is more than `interaction_ridge`. Both variances are moments,
    and what the ridge may have shrunk wrongly is in the covariance.

    Parameters:
        interaction_ridge: Clips that the prior :math:`\delta = 0` is worth per item and stratum; the least with
            `borrow`.
        curvature: :math:`\kappa`; 0 takes effects as the same on all prompts, 1 as proportional to the prompt's level.
        borrow: Learn from the mix of items what prompts' levels to expect, and how far interactions go.
        min_prompts: An item that meets others on fewer prompts is `Unranked`.
        level: Of the intervals and rank ranges.
        seed: For the draws behind rank ranges and probabilities.

    Attributes:
        items_: Indices of the ranked items, ``(n_ranked,)``; empty when nothing can be compared.
        effects_: Contrasts to the mean of the ranked items, ``(n_ranked,)``, label units.
        covariance_: Of `effects_`, ``(n_ranked, n_ranked)``.
        level_: Mean score over prompts and ranked items; ``effects_ + level_`` are the items' means.
        prompts_: Prompt index of each row of `prompt_scores_`.
        prompt_scores_: Each prompt's contribution to the error of `effects_`,
            ``(n_prompts, n_ranked)``: sampling covariance, bootstrap and influence are sums over its rows.
        time_variance_: Of `effects_`, because the data do not tell launches, days and novelty apart; zeros without
            `time`.
        curvature_slope_: Derivative of `effects_` by the curvature, ``(n_ranked,)``; zeros without curvature.
        n_clips_: Clips per ranked item.
        n_prompts_: Prompts on which a ranked item meets another.
        degrees_of_freedom_: Prompts with at least two clips, minus 1.
        unranked_: The others, each with its reason.

    References:
        Mundlak (1978), On the pooling of time series and cross section data, Econometrica 46. Chamberlain (1982),
        Multivariate regression models for panel data, J. Econometrics 18. Swamy, Arora (1972), Econometrica 40.
        Abowd, Kramarz, Margolis (1999), Econometrica 67. Cameron, Miller (2015), A practitioner's guide to
        cluster-robust inference, J. Human Resources 50. Bell, McCaffrey (2002), Survey Methodology 28.

    Example:
        >>> import numpy as np
        >>> prompt, model = (axis.ravel() for axis in np.meshgrid(np.arange(40), [0, 1], indexing="ij"))
        >>> score = 0.01 * prompt + 0.2 * model  # hard and easy prompts, model 1 is better by 0.2 on each
        >>> fit = PromptFixedEffects().fit(np.column_stack([model, prompt, 0 * prompt]), score)
        >>> fit.effects_.round(2).tolist()
        [-0.1, 0.1]
    """

    def __init__(  # noqa: PLR0917
        self,
        interaction_ridge: float = 4.0,
        min_prompts: int = 20,
        level: float = 0.95,
        seed: int = 0,
        curvature: float = 0.0,
        borrow: bool = False,
    ) -> None:
        self.curvature = curvature
        self.borrow = borrow
        self.interaction_ridge = interaction_ridge
        self.min_prompts = min_prompts
        self.level = level
        self.seed = seed

    def fit(  # noqa: PLR0917
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        opportunity: Any = None,
        n_items: int | None = None,
        time: TimeDoubt | None = None,
        shared: Floats | None = None,
    ) -> Self:
        """Fits clip scores.

        Args:
            X: Item, prompt and optionally stratum index of each clip, integers ``(n_clips, 2 or 3)``.
            y: Clip scores, ``(n_clips,)``.
            sample_weight: Outcome-independent weights; None is 1 each.
            opportunity: Clip opportunities, from which precision weights are learnt; None is equal
                precision.
            n_items: Number of items when some have no clip at all.
            time: What the scores owe to estimated effects of days and ages; None for nothing.
            shared: Covariance of errors of the items' scores that clips of different prompts share, of which prompt
                clusters see nothing, ``(k, k)`` for the items 0..k-1; None where there are none.

        Raises:
            InputError: Shapes differ, or scores or weights are NaN, infinite or negative.
        """
        X, y, weight = _checked(X, y, sample_weight, opportunity)
        size = int(max(n_items or 0, X[:, 0].max(initial=-1) + 1))
        used = weight > 0
        self.items_, self.unranked_ = comparable(X[used, 0], X[used, 1], size, self.min_prompts)
        if len(self.items_) and np.ptp(y[used]) <= 1e-12 * np.abs(y[used]).max():
            same = tuple(Unranked(int(item), Reason.NO_DIFFERENCE) for item in self.items_)
            self.items_, self.unranked_ = self.items_[:0], (*same, *self.unranked_)
        used &= np.isin(X[:, 0], self.items_)
        key, y, weight = self._keys(X[used]), y[used], weight[used]
        self._used, self.time_variance_ = used, np.zeros(len(self.items_))
        n = len(self.items_)
        self.n_clips_: Ints = np.bincount(key[:, 0], minlength=n)
        self.n_prompts_: Ints = shared_prompts(key[:, 0], key[:, 1], n)
        self.degrees_of_freedom_ = int((np.bincount(key[:, 1]) > 1).sum()) - 1
        if not n:
            self.effects_, self.covariance_ = np.zeros(0), np.zeros((0, 0))
            self.prompt_scores_, self.curvature_slope_, self.level_ = np.zeros((0, 0)), np.zeros(0), np.nan
            return self
        ridge = self.interaction_ridge
        fitted = least_squares(key, y, weight, ridge)
        if opportunity is not None:
            weight = weight * _precision(fitted.residual, np.asarray(opportunity, float)[used])
            fitted = least_squares(key, y, weight, ridge)
        if self.borrow:
            ridge = max(ridge, interaction_strength(fitted))
            fitted = least_squares(key, y, weight, ridge)
        straight, score = fitted, y
        if self.curvature:
            fitted, score = bent(fitted, key, y, weight, ridge=ridge, curvature=self.curvature)
        slope = (fitted.effects - straight.effects) / (self.curvature or 1.0)
        unknown = _CURVATURE_VARIANCE * np.outer(slope, slope)
        if self.borrow:
            fitted = least_squares(key, score, weight, ridge, expected_levels(fitted, key))
            unknown = unknown + fitted.shrinkage_covariance()
        self._fitted = fitted
        self.effects_, self.level_ = fitted.effects, fitted.level
        self.prompt_scores_, self.curvature_slope_ = fitted.prompt_scores(), slope
        if time is not None:
            unknown = unknown + self._doubt_time(time)
        self.covariance_ = self.prompt_scores_.T @ self.prompt_scores_ + unknown + self._shared(shared)
        return self

    def _doubt_time(self, time: TimeDoubt) -> Floats:
        """Adds the errors of time's effects to those of the prompts; returns the covariance of all else."""
        influence = np.column_stack([self.score_influence(item) for item in range(len(self.items_))])
        errors, others, unknown = time.errors(influence, self.prompts_)
        self.prompt_scores_ = self.prompt_scores_ + errors
        self.time_variance_ = np.diag(unknown).copy()
        return others + unknown

    def _shared(self, covariance: Floats | None) -> Floats:
        """The part of a covariance of all items that concerns contrasts of the ranked ones."""
        n = len(self.items_)
        if covariance is None:
            return np.zeros((n, n))
        centre = np.eye(n) - 1 / n
        found: Floats = centre @ covariance[np.ix_(self.items_, self.items_)] @ centre
        return found

    def score_influence(self, left: int, right: int | None = None) -> Floats:
        """What one unit more of each clip's score adds to the effect of `left` minus that of `right`.

        Args:
            left: Place in `items_`.
            right: Another one; the mean of all of them where None.

        Returns:
            ``(n_clips,)`` in the order of `fit`; 0 for clips that do not count. The estimate is linear in the
            scores but for the precision weights, which are taken as they are.
        """
        check_is_fitted(self)
        influence = np.zeros(len(self._used))
        if len(self.items_):
            influence[self._used] = self._fitted.score_influence(left, right)[: self._used.sum()]
        return influence

    def _keys(self, X: Ints) -> Ints:
        """Columns item, prompt, stratum renumbered from 0 without gaps, ``(n_clips, 3)``."""
        self.prompts_, prompt = np.unique(X[:, 1], return_inverse=True)
        stratum = np.unique(X[:, 2], return_inverse=True)[1] if X.shape[1] > 2 else np.zeros(len(X), np.int64)
        return np.column_stack([np.searchsorted(self.items_, X[:, 0]), prompt, stratum])

    def ranking(self) -> tuple[Ranked | Unranked, ...]:
        """Every item's place, best first, then the unranked ones."""
        check_is_fitted(self)
        ranges = rank_ranges(self.effects_, self.covariance_, self.level, self.seed)
        best = probability_best(self.effects_, self.covariance_, self.seed)
        degrees = max(self.degrees_of_freedom_, 1)
        low, high = confidence_intervals(self.effects_, self.covariance_, self.level, degrees)
        least, most = simultaneous_intervals(self.effects_, self.covariance_, self.level, degrees, seed=self.seed)
        order = np.argsort(-self.effects_, kind="stable")
        ranked = [
            Ranked(
                item=int(self.items_[i]),
                effect=float(self.effects_[i]),
                standard_error=float(np.sqrt(self.covariance_[i, i])),
                interval=Interval(float(low[i]), float(high[i]), self.level),
                joint=Interval(float(least[i]), float(most[i]), self.level),
                rank=place,
                rank_range=(int(ranges[i, 0]), int(ranges[i, 1])),
                probability_best=float(best[i]),
                n_clips=int(self.n_clips_[i]),
                n_prompts=int(self.n_prompts_[i]),
            )
            for place, i in enumerate(order, 1)
        ]
        return (*ranked, *self.unranked_)


def _checked(X: Any, y: Any, sample_weight: Any, opportunity: Any) -> tuple[Ints, Floats, Floats]:
    X, y = np.asarray(X), np.asarray(y, float)
    if X.ndim != 2 or X.shape[1] not in {2, 3} or X.shape[0] != len(y) or not np.issubdtype(X.dtype, np.integer):
        msg = f"must be integers of shape ({len(y)}, 2 or 3): item, prompt, stratum; got {X.dtype} {X.shape}"
        raise InputError(msg, "X")
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, float)
    for name, column in (("y", y), ("sample_weight", weight), ("opportunity", opportunity)):
        if column is None:
            continue
        if np.shape(column) != y.shape or not np.isfinite(column).all():
            msg = f"must be finite numbers of shape {y.shape}"
            raise InputError(msg, name)
        if name != "y" and (np.asarray(column) < 0).any():
            msg = "must not be negative"
            raise InputError(msg, name)
    return X, y, weight


def _precision(residual: Floats, opportunity: Floats) -> Floats:
    """Weights ``S / (S + k)`` from squared residuals regressed on ``(1, 1 / S)``, ``(n_clips,)``."""
    chance = np.maximum(opportunity, 0.5)
    root = np.sqrt(chance)
    design = np.column_stack([root, root / chance])
    spread, noise = np.linalg.lstsq(design, residual**2 * root, rcond=None)[0]
    k = np.clip(max(noise, 0.0) / max(spread, 1e-4 * (residual**2).mean(), 1e-30), 0.0, 40.0)
    weight: Floats = opportunity / (opportunity + k) if k > 0 else np.ones(len(opportunity))
    return weight
