"""Clip scores under uniform exposure, from logged propensities: one-step AIPW."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, logit
from sklearn.base import BaseEstimator

from clapometer.domain import InputError
from clapometer.ranking.cells import ClipCells, ClipTable
from clapometer.ranking.days.doubt import TimeDoubt
from clapometer.ranking.days.offsets import TimeCells, TimeOffsets, fit_time_offsets
from clapometer.ranking.days.prior import AGE_EDGES, age_bucket
from clapometer.ranking.grouping import sum_by

__all__ = ["ClipAIPW"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LEAST_SLOPE = 0.25
"""A label of a bad day says at most so many times less of the clip than one of an average day: 1 / it times."""
_LEAST_CHANCE = 0.05
"""Of the median opportunity: what one impression of a clip that had hardly any is divided by."""


class ClipAIPW(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""What every clip would earn per impression if all clips were shown alike.

    With the prior mean :math:`\mu_c` of the clip, fitted on the other viewer fold, the examination
    :math:`P`, the leniency :math:`L`, the time offset :math:`o` and the opportunity :math:`S_c`,

    .. math:: s_c = \mu_c + \frac1{S_c} \sum_{e \in c} w_e \frac{y_e - P_e L_e\, m_c(o_e)}{h_c(o_e)},
        \qquad m_c(o) = C\, \mathrm{expit}(x_c + o),\; x_c = \mathrm{logit}(\mu_c / C),\;
        h_c = \frac{\partial m_c(o)}{\partial m_c(0)}.

    :math:`E\sum w P L = S_c` whatever the policy does, so the score is unbiased when the propensities are
    right, however wrong :math:`\mu_c`, P and L are; good ones make it precise. A clip that was never
    shown has its prior mean as score: leaving it out would select on popularity.

    One impression moves the score by at most :math:`w\,|y - P L m| / (S\,h)`, and all three are bounded: :math:`w` by
    whoever makes the cells (`clapometer.ranking.limits`), :math:`h` from below by 1/4, and :math:`S` by a twentieth of
    the median clip's; what a clip with less opportunity earned is shrunk towards its prior mean by as much.

    Parameters:
        ceiling_ratio: :math:`C` as a multiple of the mean label.
        prior_strength: Impressions that the model version x stratum x exposure mean is worth in :math:`\mu_c`.

    Attributes:
        units_: Rows of the clip table that have a score, ``(n_units,)``; canonical clips only.
        scores_: In label units per impression, ``(n_units,)``.
        opportunities_: Of the canonical clip itself (reposts are a consequence of success, so their
            opportunity must not weight anything), ``(n_units,)``.
        impressions_: Including those of reposts, ``(n_units,)``.
        offsets_: Fitted `TimeOffsets`.
        time_doubt_: What the scores owe to their errors, a row for each of `units_`.
        ceiling_: :math:`C`.
        normalised_: True where the opportunity was unknown and the sum of ``w P L`` stands in,
            ``(n_units,)``: consistent, no longer unbiased.

    References:
        Robins, Rotnitzky, Zhao (1994), JASA 89. Dudik, Langford, Li (2011), Doubly robust policy
        evaluation and learning, ICML. Chernozhukov et al. (2018), Double/debiased machine learning.

    Example:
        >>> import numpy as np
        >>> from clapometer.ranking import ClipCells, ClipTable
        >>> clip, day, fold = (axis.ravel() for axis in np.meshgrid([0, 1, 2], [0, 1], [0, 1], indexing="ij"))
        >>> shown = np.full(12, 50.0)  # by chance: every weight is 1
        >>> liked = shown * np.array([0.6, 0.4, 0.2])[clip]
        >>> cells = ClipCells(clip, day, fold, shown, liked, shown, liked, shown, liked, shown)
        >>> number, none = np.arange(3), np.zeros(3, int)
        >>> clips = ClipTable(number, number, none, none, opportunity=np.full(3, 200.0))
        >>> ClipAIPW().fit(cells, clips).scores_.round(1).tolist()
        [0.6, 0.4, 0.2]
    """

    def __init__(self, ceiling_ratio: float = 3.0, prior_strength: float = 6.0) -> None:
        self.ceiling_ratio = ceiling_ratio
        self.prior_strength = prior_strength

    def fit(self, cells: ClipCells, clips: ClipTable, y: Any = None) -> Self:  # noqa: ARG002
        """Scores every canonical clip of `clips`.

        Raises:
            InputError: There is no impression, or the mean label is not positive.
        """
        mean = cells.sum_label.sum() / max(cells.sum_exposure.sum(), 1e-12)
        if not len(cells) or mean <= 0:
            msg = f"cannot score {len(cells)} cells with a mean label of {mean:.3g}: it must be positive"
            raise InputError(msg, "sum_label")
        self.ceiling_ = float(self.ceiling_ratio * mean)
        unit = clips.unit[cells.clip]
        group = _groups(clips)
        age = cells.day - clips.published_day[cells.clip]
        # Reposts are good clips with a young age: they would pass for novelty.
        first = clips.is_canonical[cells.clip]
        of = unit[first]
        seen = TimeCells(
            prompt=clips.prompt[of], version=clips.model[of], group=group[of], day=cells.day[first], age=age[first],
            label=cells.sum_capped_label[first], exposure=cells.sum_capped_exposure[first],
        )  # fmt: skip
        time = fit_time_offsets(seen, ceiling=self.ceiling_, n_days=int(cells.day.max()) + 1)
        self.offsets_: TimeOffsets = time.offsets
        score, weight, slope = self._one_step(cells, unit, time.offsets.at(cells.day, age), group, _chances(clips))
        opportunity, self_normalised = _fallback(_chances(clips), weight)
        own = np.full(len(clips), np.nan) if clips.opportunity is None else clips.opportunity
        keep = clips.is_canonical & (opportunity > 0) & ~(own <= 0)
        self.units_: Ints = np.flatnonzero(keep)
        self.scores_: Floats = score[keep]
        self.opportunities_: Floats = self._enough(np.where(np.isnan(own), opportunity, own)[keep])
        self.impressions_: Floats = sum_by(unit, cells.impressions, len(clips))[keep]
        self.normalised_: NDArray[np.bool_] = self_normalised[keep]
        n, bucket = len(time.columns.time), age_bucket(age)
        young = bucket < len(AGE_EDGES)
        place = np.concatenate([time.columns.of_day[cells.day], n + bucket[young]])
        entries = np.concatenate([slope, slope[young]]), (np.concatenate([unit, unit[young]]), place)
        slopes = sparse.csr_matrix(entries, (len(clips), n + len(AGE_EDGES)))
        self.time_doubt_ = TimeDoubt(time, slopes[self.units_], clips.model[self.units_])
        return self

    def _one_step(
        self, cells: ClipCells, unit: Ints, offset: Floats, group: Ints, chance: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Scores and sums of weights per row of the clip table, cross-fitted over viewer folds; each cell's slope."""
        n, C = len(group), self.ceiling_
        # The prior only needs to be near the truth, so a multiplicative stand-in for the link is enough.
        exposure = cells.sum_exposure * np.exp(0.6 * offset)
        n_folds = int(cells.fold.max()) + 1
        share = sum_by(cells.fold, cells.impressions, n_folds) / cells.impressions.sum()
        prior, correction, lift = np.zeros(n), np.zeros(n), np.zeros(len(cells))
        for fold in range(n_folds):
            own = cells.fold == fold
            other = ~own if n_folds > 1 else own
            mean = self._prior(unit[other], cells.sum_label[other], exposure[other], group, chance)
            x = logit(mean / C)[unit[own]]
            moved, still = expit(x + offset[own]), expit(x)
            slope = np.maximum(moved * (1 - moved) / (still * (1 - still)), _LEAST_SLOPE)
            residual = cells.sum_weighted_label[own] - cells.sum_weighted_exposure[own] * C * moved
            correction += sum_by(unit[own], residual / slope, n)
            lift[own] = cells.sum_weighted_exposure[own] * C * moved * (1 - moved) / slope
            prior += share[fold] * mean
        weight = sum_by(unit, cells.sum_weighted_exposure, n)
        enough = self._enough(_fallback(chance, weight)[0])
        return prior + correction / enough, weight, -lift / enough[unit]

    @staticmethod
    def _enough(opportunity: Floats) -> Floats:
        """Opportunities, none of which is next to nothing beside the median, ``(n_clips,)``."""
        some = opportunity[opportunity > 0]
        least = _LEAST_CHANCE * float(np.median(some)) if len(some) else 1.0
        enough: Floats = np.maximum(opportunity, least)
        return enough

    def _prior(self, unit: Ints, label: Floats, exposure: Floats, group: Ints, chance: Floats) -> Floats:
        """Clip means shrunk to what their model version x stratum and their exposure predict, ``(n_clips,)``."""
        observed, expected = (sum_by(unit, column, len(group)) for column in (label, exposure))
        # A clip that was shown everywhere must not stand for its whole group.
        capped = np.minimum(1.0, 8.0 / np.maximum(expected, 1e-9))
        band = _exposure_bands(expected, chance)
        typical = _margins(observed * capped, expected * capped, group, band)
        k = self.prior_strength
        shrunk = (observed + k * typical) / (expected + k)
        return np.clip(shrunk, 0.01 * self.ceiling_, 0.95 * self.ceiling_)


def _exposure_bands(exposure: Floats, chance: Floats, most: int = 8) -> Ints:
    """Quantile band of each clip's exposure per opportunity, ``(n_clips,)``; one band when unknown.

    How much the feed shows a clip says what the feed thinks of it: the best predictor of a clip that
    few have seen. It comes from the other viewer fold, like everything in the prior.
    """
    known = chance > 0
    n_bands = int(np.clip(known.sum() // 50, 1, most))
    ratio = np.divide(exposure, chance, out=np.zeros(len(chance)), where=known)
    edges = np.quantile(ratio[known], np.linspace(0, 1, n_bands + 1)[1:-1]) if n_bands > 1 else np.zeros(0)
    band: Ints = np.searchsorted(edges, ratio)
    return band


def _margins(observed: Floats, expected: Floats, group: Ints, band: Ints, rounds: int = 20) -> Floats:
    """Group times band, fitted to the observed margins by iterative proportional fitting, ``(n_clips,)``."""
    overall = max(observed.sum() / max(expected.sum(), 1e-9), 1e-9)
    by_group, by_band = np.ones(int(group.max()) + 1), np.ones(int(band.max()) + 1)
    for _ in range(rounds):
        seen, due = sum_by(group, observed), sum_by(group, expected * by_band[band])
        by_group = np.maximum(seen + 2 * overall, 0.05 * overall) / (due + 2)
        seen, due = sum_by(band, observed), sum_by(band, expected * by_group[group])
        by_band = np.maximum(np.divide(seen, due, out=np.ones(len(due)), where=due > 0), 0.05)
    typical: Floats = by_group[group] * by_band[band]
    return typical


def _groups(clips: ClipTable) -> Ints:
    strata = clips.strata
    group: Ints = clips.model * (int(strata.max(initial=0)) + 1) + strata
    return group


def _chances(clips: ClipTable) -> Floats:
    """Opportunity per canonical clip, reposts included; NaN where any part is unknown."""
    if clips.opportunity is None:
        return np.full(len(clips), np.nan)
    return sum_by(clips.unit, clips.opportunity, len(clips))


def _fallback(chance: Floats, weight: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    unknown = np.isnan(chance)
    return np.where(unknown, weight, chance), unknown
