r"""What clip scores, and effects made of them, owe to offsets that are estimates.

A score moves with the offset of a day by minus the share of the clip's opportunity that was on that day, times its
slope. Added up over the clips that make an effect, that says how an error of the offsets passes into it. Their chance
part is added prompt by prompt to what prompts add themselves, so that both are in one sandwich: what was earned on a
day moves the scores of that day and the offset that is taken from them. What the prior pulled
wrongly comes on top, and what a day did to one version alone.

References:
    Murphy, Topel (1985), Estimation and inference in two-step econometric models, J. Business and Economic
    Statistics 3. Newey, McFadden (1994), Large sample estimation and hypothesis testing, Handbook of Econometrics 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clapometer.ranking.days.offsets import TimeFit

__all__ = ["TimeDoubt"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TimeDoubt:
    """How scores depend on the effects of time, and how well those are known.

    Attributes:
        fit: The effects.
        slope: Derivative of each score by each effect, ``(n_clips, n_effects)``.
        version: Model version of each score.
    """

    fit: TimeFit
    slope: sparse.csr_matrix
    version: Ints

    def errors(self, influence: Floats, prompts: Ints) -> tuple[Floats, Floats, Floats]:
        """What prompts add to errors of items by the offsets; covariances of other prompts' part and of all else.

        Args:
            influence: Of each score on each item, ``(n_clips, n_items)``.
            prompts: Some prompts, in order; the others' part is in the covariance.
        """
        errors = self.fit.errors_by_prompt(self.slope.T @ influence)
        known = np.isin(self.fit.prompts, prompts)
        of_prompts = np.zeros((len(prompts), errors.shape[1]))
        of_prompts[np.searchsorted(prompts, self.fit.prompts[known])] = errors[known]
        return of_prompts, errors[~known].T @ errors[~known], self._unknown(influence)

    def _unknown(self, influence: Floats) -> Floats:
        covariance = self.fit.unknown_of(self.slope.T @ influence)
        n = len(self.fit.columns.time)
        for version in np.unique(self.version) if self.fit.whim else ():
            own = np.flatnonzero(self.version == version)
            slope = self.slope[own][:, :n].T @ influence[own]
            covariance = covariance + self.fit.whim * (slope.T @ slope)
        return covariance
