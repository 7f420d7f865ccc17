"""Prompts, templates and clips by hierarchical empirical Bayes: little data borrows from what it resembles."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.base import BaseEstimator

from clapometer.domain import InputError
from clapometer.ranking.estimators.estimates import Estimate, listed
from clapometer.ranking.estimators.fixed_effects import PromptFixedEffects
from clapometer.ranking.estimators.moments import across, co_moment, information, makers_of, shared_and_own
from clapometer.ranking.grouping import sum_by
from clapometer.ranking.rates import ClipRates
from clapometer.ranking.results import Unranked

__all__ = ["HierarchicalBayes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TINY = 1e-12
_STEPS = 8
_SWEEPS = 4
_FEWEST_DEGREES = 4.0
_CURVATURE = 0.5
"""Of effects by level, between additive (0) and proportional (1); see `PromptFixedEffects`."""
_PRIOR_CLIPS = 5.0
"""Clips that the dispersion of a Poisson count, 1, is worth."""


class HierarchicalBayes(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""Clips within prompts within templates, topics and tasks, made by model versions.

    With the label total :math:`O_c` and the exposure :math:`E_c` of clip *c*,

    .. math:: \frac{O_c}{E_c} = f_c + h(f_c) \,(u_{p(c)} + \xi_c) + e_c, \qquad
        f_c = \mu + \sum_k b_{k,\ell_k(c)}, \qquad h(f) = \tfrac12 (\mu + f), \qquad
        \mathrm{Var}(e_c) = \phi\, h(f_c + h(f_c)\, u_{p(c)}) / E_c

    where the factors *k* are the model version, model version x stratum, and any partition of the prompts
    (template, topic, task). Luck and noise grow halfway with the level, because good clips differ by more than bad
    ones and bad ones still earn dislikes (see `PromptFixedEffects`, curvature). Every variance is a moment: that of
    clips from the two viewer folds of the same clip, that of prompts from different clips of a prompt, that of a
    factor from different prompts of a level; noise enters none of them. Factors and luck are fitted together by
    backfitting, so cost and memory are linear in the clips, and a model version that was given hard prompts does
    not answer for them.

    Exposure follows quality in any feed that knows something, and then observed over expected exaggerates.
    Where propensities are logged, the slope of the inverse-propensity-weighted rate on the estimate, taken across
    viewer folds and between model versions (clips of one share how it suits the prompt), says by how much, and what is
    a clip's own is shrunk by it (`slope_`). Lenient viewers and hard prompts are not shared out evenly among model
    versions either: the prompt fixed effects of what the weighted rates leave unexplained, shrunk by their own noise,
    are added to the differences, and the errors of model versions to their spread.

    Parameters:
        min_evidence: An item whose own data removed a smaller share of its prior variance is `Unranked`.
        level: Of the intervals.

    Attributes:
        prompts_: Value of each prompt over model versions alike, ``(n_prompts,)``.
        prompt_errors_: Posterior standard deviations.
        prompt_evidence_: See `Estimate.evidence`.
        clips_: Value of each clip, ``(n_clips,)``.
        factors_: Effects of the levels of each column of `factors`, a list of ``(n_levels,)``.
        factor_errors_: Their posterior standard deviations.
        factor_variances_: Of each column's effects.
        level_: Mean value.
        dispersion_: :math:`\phi`.
        prompt_variance_: Of :math:`u`.
        clip_variance_: Of :math:`\xi`.
        slope_: What differences between clips are multiplied by; 1 where it cannot be known.
        tier_: B with propensities, C without.

    References:
        Efron, Morris (1975), JASA 70. Morris (1983), Parametric empirical Bayes inference, JASA 78.
        Robinson (1991), That BLUP is a good thing, Statistical Science 6.
        Buja, Hastie, Tibshirani (1989), Linear smoothers and additive models, Annals of Statistics 17.
        Clayton, Kaldor (1987), Empirical Bayes estimates of age-standardized relative risks, Biometrics 43.
        Satterthwaite (1946), An approximate distribution of estimates of variance components, Biometrics Bulletin 2.

    Example:
        >>> import numpy as np
        >>> from clapometer.ranking import ClipRates
        >>> prompt, model = np.repeat(np.arange(30), 2), np.tile([0, 1], 30)
        >>> shown = np.full((60, 2), 40.0)  # in each viewer fold
        >>> luck = np.random.default_rng(0).normal(0, 1, (60, 2))
        >>> liked = np.where(prompt < 3, 20.0, 8.0)[:, None] + luck  # the first three prompts are twice as good
        >>> rates = ClipRates(np.arange(60), liked, shown, liked, shown, shown.sum(1))
        >>> HierarchicalBayes().fit(np.column_stack([model, prompt]), rates).prompts_[:5].round(1).tolist()
        [0.5, 0.5, 0.4, 0.2, 0.2]
    """

    def __init__(self, min_evidence: float = 0.1, level: float = 0.95) -> None:
        self.min_evidence = min_evidence
        self.level = level

    def fit(self, X: Any, y: ClipRates, factors: Any = None, stratum: Any = None) -> Self:
        """Fits the clips of `y`.

        Args:
            X: Model version and prompt of each clip, integers ``(n_clips, 2)``.
            y: Their rates.
            factors: Partitions of the prompts, integers ``(n_prompts, n_factors)``, negative for "none".
            stratum: Partition of the prompts in which model versions may differ in rank, ``(n_prompts,)``.

        Raises:
            InputError: Shapes differ, nothing was shown, or the mean label is not positive.
        """
        X = np.asarray(X, np.int64).reshape(len(y.unit), -1)
        self._check(X, y)
        self._prompt = X[:, 1]
        n_prompts = int(X[:, 1].max()) + 1
        partitions = np.zeros((n_prompts, 0), np.int64) if factors is None else np.asarray(factors, np.int64)
        strata = np.zeros(n_prompts, np.int64) if stratum is None else np.asarray(stratum, np.int64)
        if min(len(partitions), len(strata)) < n_prompts:
            msg = f"has rows for {min(len(partitions), len(strata))} prompts, the clips name {n_prompts}"
            raise InputError(msg, "factors")
        self._n_prompts = max(n_prompts, len(partitions) if factors is not None else 0)
        n_strata = int(strata.max(initial=0)) + 1
        levels = [X[:, 0]]
        if n_strata > 1:
            levels.append(X[:, 0] * n_strata + strata[X[:, 1]])
        self._first = len(levels)
        levels += [
            np.where(column[X[:, 1]] < 0, column.max(initial=-1) + 1, column[X[:, 1]]) for column in partitions.T
        ]
        self._rates(y)
        self._iterate(levels)
        self._posterior(y, levels, partitions, strata)
        self._calibrate(y)
        self._gap, self._gap_variance = self._audience(X, y)
        return self

    def _check(self, X: Ints, y: ClipRates) -> None:
        if X.ndim != 2 or X.shape[1] != 2 or (X < 0).any():
            msg = f"must be non-negative integers of shape {(len(y.unit), 2)}, is {X.shape}"
            raise InputError(msg, "X")
        shown, earned = y.exposure.sum(), y.label.sum()
        if shown <= 0 or earned <= 0:
            msg = f"nothing to learn from {shown:.3g} impressions with a label total of {earned:.3g}"
            raise InputError(msg, "y")

    def _rates(self, y: ClipRates) -> None:
        exposure = y.exposure.sum(1)
        self.level_ = float(y.label.sum() / exposure.sum())
        self._shown = exposure > 0.05
        self._exposure = np.where(self._shown, exposure, 1.0)
        self._rate = np.where(self._shown, y.label.sum(1) / self._exposure, self.level_)
        both = (y.exposure > 0.3).all(1)
        gap = np.diff(y.label[both] / y.exposure[both], axis=1).ravel() ** 2 / (1 / y.exposure[both]).sum(1)
        # The folds of a clip differ by noise alone; without clips in both folds the label counts like a Poisson.
        # A prior worth a few clips, or three that agree by luck would make everybody sure of everything.
        prior = _PRIOR_CLIPS * self.level_
        self.dispersion_ = float((gap.sum() + prior) / (self._stretch(self._rate[both]).sum() + prior))

    def _stretch(self, value: Floats) -> Floats:
        """What a unit of luck is worth at a value, and a Poisson count's variance: halfway to the mean level."""
        stretched: Floats = self.level_ + _CURVATURE * (value - self.level_)
        return stretched

    def _iterate(self, levels: list[Ints]) -> None:
        """Alternates between effects and variances until both have settled."""
        mean = self.level_
        self._variances = [0.02 * mean**2] * len(levels)
        self._effects = [np.zeros(int(level.max(initial=0)) + 1) for level in levels]
        self._base, self._luck = mean, np.zeros(self._n_prompts)
        fitted, between, within = np.full(len(self._rate), mean), 0.1, 0.1
        for _ in range(_STEPS):
            # On average over prompts: to trust a clip the more the worse its prompt looks would favour bad luck.
            scale = self._stretch(fitted)
            noise = self.dispersion_ * scale / self._exposure
            weight = np.where(self._shown, 1 / ((within + between) * scale**2 + noise), 0.0)
            own = np.where(self._shown, 1 / (within * scale**2 + noise), 0.0)
            total = self._backfit(levels, own, scale, between)
            self._variances = [
                across(level, self._prompt, weight, self._rate - total + effect[level])
                for level, effect in zip(levels, self._effects, strict=True)
            ]
            fitted = np.clip(total, 0.2 * mean, None)
            residual, relative = (self._rate - fitted) / scale, noise / scale**2
            relative_weight = np.where(self._shown, 1 / (within + between + relative), 0.0)
            errors = self._factor_errors(levels, own, between * scale**2, self._variances, self._effects)
            lost = np.sum([error[level] ** 2 for level, error in zip(levels, errors, strict=True)], axis=0) / scale**2
            shared = shared_and_own(
                self._prompt, levels[0], relative_weight, residual, noise=relative, lost=lost, size=self._n_prompts
            )
            between, within = shared.between, shared.within
        self._between, self.clip_variance_, self._clip_variance_error = between, within, shared.within_error
        self._luck, self._prompt_spread = shared.mean, shared.spread
        self._fitted, self._scale, self._relative = fitted, scale, relative
        # What a prompt is worth includes how it suits those who made its clips: any two of its clips tell of it.
        worth = shared_and_own(
            self._prompt,
            np.arange(len(fitted)),
            relative_weight,
            residual,
            noise=relative,
            lost=lost,
            size=self._n_prompts,
        )
        self.prompt_variance_, self._variance_error = worth.between, worth.error
        self._worth, self._worth_spread = worth.mean, worth.spread

    def _backfit(self, levels: list[Ints], weight: Floats, scale: Floats, between: float) -> Floats:
        """Updates the factors' effects in turn; returns their sum with the base, ``(n_clips,)``.

        The prompts' luck takes its turn too, or model versions would answer for the prompts they were given.

        Args:
            levels: Level of each clip, per factor.
            weight: Precision of each clip's rate, given its prompt's luck.
            scale: What a unit of luck does to each clip's rate.
            between: Variance of the luck.
        """
        mass = weight.sum()
        parts = [effect[level] for level, effect in zip(levels, self._effects, strict=True)]
        total = np.sum(parts, axis=0)
        pulled = sum_by(self._prompt, weight * scale**2, self._n_prompts) + 1 / max(between, _TINY)
        for _ in range(_SWEEPS):
            luck = sum_by(self._prompt, weight * scale * (self._rate - self._base - total), self._n_prompts) / pulled
            rate = self._rate - scale * luck[self._prompt]
            self._base = float((weight * (rate - total)).sum() / mass)
            for k, level in enumerate(levels):
                rest = rate - self._base - total + parts[k]
                size = len(self._effects[k])
                pull = sum_by(level, weight, size) + 1 / max(self._variances[k], _TINY)
                effect = sum_by(level, weight * rest, size) / pull
                effect -= (weight * effect[level]).sum() / mass
                total = total - parts[k] + effect[level]
                self._effects[k], parts[k] = effect, effect[level]
        fitted: Floats = self._base + total
        return fitted

    def _posterior(self, y: ClipRates, levels: list[Ints], partitions: Ints, strata: Ints) -> None:
        own = self._luck[self._prompt]
        # What is known of the prompt says how far its clips are apart, and how much chance there is in their rates.
        self._expects = self._fitted + self._scale * own
        self._apart = np.maximum(self._stretch(self._expects), 0.2 * self.level_)
        noise = self.dispersion_ * self._apart / self._exposure
        variance = self.clip_variance_ * self._apart**2
        self._trust = np.where(self._shown, variance / (variance + noise), 0.0)
        self.clips_: Floats = self._expects + self._trust * (self._rate - self._expects)
        self.factors_ = self._effects[self._first :]
        self.factor_variances_ = self._variances[self._first :]
        own_error = (self.clip_variance_ + self._relative) * self._scale**2
        precision, common = np.where(self._shown, 1 / own_error, 0.0), self.prompt_variance_ * self._scale**2
        self.factor_errors_ = self._factor_errors(
            levels[self._first :], precision, common, self.factor_variances_, self.factors_
        )
        self._made_by = levels[: self._first]
        between = self._between * self._scale**2
        self._made_by_errors = self._factor_errors(
            self._made_by, precision, between, self._variances[: self._first], self._effects[: self._first]
        )
        expected = self._expected(partitions, strata)
        scale = self._stretch(expected)
        self.prompts_: Floats = expected + scale * self._worth
        # An error of its template's effect is an error of the prompt as far as its own data have not replaced it.
        own_variance = self.clip_variance_ * self._apart**2 + noise
        told = sum_by(self._prompt, np.where(self._shown, self._scale**2 / own_variance, 0.0), self._n_prompts)
        left = self._doubt(self.prompt_variance_, self._variance_error) ** 2 / (
            told + 1 / max(self.prompt_variance_, _TINY)
        )
        borrowed = self._worth_spread / max(self.prompt_variance_, _TINY)
        self.prompt_errors_: Floats = np.sqrt(scale**2 * left + borrowed**2 * self._factor_spread(partitions))
        self.prompt_evidence_: Floats = 1 - self._worth_spread / max(self.prompt_variance_, _TINY)
        self._clips_of = sum_by(self._prompt, self._shown.astype(float), self._n_prompts)
        self._impressions_of = sum_by(self._prompt, y.impressions, self._n_prompts)
        self._levels_of = [
            (sum_by(level, self._shown.astype(float)), sum_by(level, y.impressions)) for level in levels[self._first :]
        ]

    def _doubt(self, variance: float, error: float) -> float:
        """What errors are multiplied by because their variance is an estimate that all prompts, or clips, share.

        As wide as Student's t with the degrees of freedom that the variance is worth (Satterthwaite 1946).
        """
        freedom = 2 * (variance / max(error, _TINY)) ** 2
        upper = 0.5 + self.level / 2
        return float(student.ppf(upper, max(freedom, _FEWEST_DEGREES)) / norm.ppf(upper))

    def _expected(self, partitions: Ints, strata: Ints) -> Floats:
        """Value of each prompt before its own data: its factors, over model versions alike."""
        value = np.full(self._n_prompts, self._base + float(self._effects[0].mean()))
        if self._first > 1:
            n_strata = int(strata.max()) + 1
            crossed = np.zeros(len(self._effects[0]) * n_strata)
            crossed[: len(self._effects[1])] = self._effects[1]
            value += crossed.reshape(-1, n_strata).mean(0)[strata[: self._n_prompts]]
        for column, effect in zip(partitions.T, self.factors_, strict=True):
            padded = np.append(effect, 0.0)
            value += padded[np.where(column < 0, -1, np.minimum(column, len(effect)))]
        return np.clip(value, 0.2 * self.level_, None)

    def _factor_errors(
        self, levels: list[Ints], precision: Floats, common: Floats, variances: list[float], effects: list[Floats]
    ) -> list[Floats]:
        """Posterior standard deviations of the factors' effects; see `information` for precision and common."""
        return [
            np.sqrt(1 / (information(level, self._prompt, precision, common, len(effect)) + 1 / max(variance, _TINY)))
            for level, effect, variance in zip(levels, effects, variances, strict=True)
        ]

    def _factor_spread(self, partitions: Ints) -> Floats:
        """Variance of what the factors of each prompt add, ``(n_prompts,)``."""
        spread = np.zeros(self._n_prompts)
        for column, error in zip(partitions.T, self.factor_errors_, strict=True):
            known = (column[: self._n_prompts] >= 0) & (column[: self._n_prompts] < len(error))
            spread += np.where(known, np.append(error, 0.0)[np.where(known, column[: self._n_prompts], -1)] ** 2, 0.0)
        return spread

    def _calibrate(self, y: ClipRates) -> None:
        """Slope of unbiased rates in one viewer fold on estimates from the other, within prompts."""
        self.slope_, self.tier_ = 1.0, "C"
        used: NDArray[np.bool_] = np.all(y.weighted_exposure > 0.5, axis=1)
        if not used.any():
            return
        self.tier_ = "B"
        mass = np.where(used, y.weighted_exposure.min(1), 1.0)
        weight = np.where(used, 1 / (self.clip_variance_ * self.level_**2 + self.level_ / mass), 0.0)
        unbiased = np.where(used[:, None], y.weighted_label / np.maximum(y.weighted_exposure, _TINY), 0.0)
        truth, guess = unbiased - self._fitted[:, None], self._halves(y)
        of, cell = self._prompt, makers_of(self._prompt, self._made_by[0])
        together = co_moment(of, cell, weight, guess, truth[:, ::-1])
        alone = co_moment(of, cell, weight, guess, guess)
        if alone > 0:
            self.slope_ = float(np.clip(together / alone, 0.2, 1.0))

    def _audience(self, X: Ints, y: ClipRates) -> tuple[Floats, Floats]:
        """What each clip's model version owes to its audience or its prompts, and the variance of that, per clip."""
        size = int(X[:, 0].max()) + 1
        gap, variance = np.zeros(size), np.zeros(size)
        mass = y.weighted_exposure.sum(1)
        used = mass > 0.5
        if self.tier_ == "B" and used.any():
            unbiased = y.weighted_label[used].sum(1) / mass[used]
            weight = 1 / (self.clip_variance_ * self.level_**2 + self.level_ / mass[used])
            fit = PromptFixedEffects().fit(X[used], unbiased - self._moderate()[used], weight, n_items=size)
            noise = np.diag(fit.covariance_)
            spread = max(float((fit.effects_**2 - noise).mean()), 0.0) if len(noise) else 0.0
            share = spread / np.maximum(spread + noise, _TINY)
            gap[fit.items_], variance[fit.items_] = share * fit.effects_, share * noise
        return gap[X[:, 0]], variance[X[:, 0]]

    def _moderate(self) -> Floats:
        """Values of the clips with what is their own, and not their factors', multiplied by the slope."""
        moderate: Floats = self._fitted + self.slope_ * (self.clips_ - self._fitted)
        return moderate

    def _halves(self, y: ClipRates) -> Floats:
        """Deviation of each clip from its factors as each viewer fold alone estimates it, ``(n_clips, 2)``."""
        shown = y.exposure > 0.05
        exposure = np.where(shown, y.exposure, 1.0)
        noise = self.dispersion_ / exposure / self._apart[:, None]
        trust = np.where(shown, self.clip_variance_ / (self.clip_variance_ + noise), 0.0)
        halves: Floats = trust * (y.label / exposure - self._fitted[:, None])
        return halves

    def differences(self, left: Ints, right: Ints) -> tuple[Floats, Floats]:
        """Posterior mean and standard deviation of clip `left` minus clip `right`, rows of the fit."""
        doubt = self._doubt(self.clip_variance_, self._clip_variance_error)
        own = doubt**2 * self.clip_variance_ * (1 - self._trust) * self._apart**2
        # The prompts' luck enters both clips; what the clip's own data replaced of it does not cancel.
        share = self._scale * (1 - self._trust)
        shared = (share[left] - share[right]) ** 2 * self._prompt_spread[self._prompt[left]]
        apart = self._prompt[left] != self._prompt[right]
        spread = self._prompt_spread[self._prompt]
        shared = np.where(apart, share[left] ** 2 * spread[left] + share[right] ** 2 * spread[right], shared)
        # Two clips of one cell share the error of their factors like that of their prompt.
        for level, error in zip(self._made_by, self._made_by_errors, strict=True):
            other, variance = level[left] != level[right], error[level] ** 2
            kept = 1 - self._trust
            shared = shared + np.where(
                other, kept[left] ** 2 * variance[left] + kept[right] ** 2 * variance[right],
                (kept[left] - kept[right]) ** 2 * variance[left],
            )  # fmt: skip
        value = self._moderate() + self._gap
        # An exaggeration by scale alone would shrink the spread by the slope, one by error alone not at all.
        spread = self.slope_ * (own[left] + own[right]) + shared + self._gap_variance[left] + self._gap_variance[right]
        return value[left] - value[right], np.sqrt(np.maximum(spread, _TINY))

    def ranking(self) -> tuple[Estimate | Unranked, ...]:
        """Prompts, best first; those without enough evidence of their own last, with the reason."""
        columns = (self.prompts_, self.prompt_errors_, self.prompt_evidence_, self._clips_of, self._impressions_of)
        return listed(np.column_stack(columns), self.level, self.min_evidence)

    def factor_ranking(self, k: int) -> tuple[Estimate | Unranked, ...]:
        """Levels of column `k` of `factors`, best first: what they add, everything else alike."""
        clips, impressions = self._levels_of[k]
        error, variance = self.factor_errors_[k], max(self.factor_variances_[k], _TINY)
        value = np.clip(self._base + self._effects[0].mean() + self.factors_[k], 0, None)
        rows = np.column_stack([value, error, 1 - error**2 / variance, clips, impressions])
        return listed(rows, self.level, self.min_evidence)
