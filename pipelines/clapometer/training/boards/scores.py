"""Clip scores of a slice, and the fit of model versions to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.ranking import ClipAIPW, PromptFixedEffects, TimeDoubt, TimeOffsets
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.clips import Clips
from clapometer.training.parameters import Parameters

__all__ = ["NUMERIC", "Scores", "fit_models", "not_computed", "score_clips"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scores:
    """Clip scores of a slice; rows count in the slice.

    Attributes:
        units: Rows that have a score.
        values: The scores.
        opportunities: For precision weights; None where they are not known.
        chances: What the weights of an impression's label were divided by.
        prior_strength: Impressions that the mean is worth in them.
        reason: Why there is no score at all.
        offsets: What day and age do to a label.
        doubt: What the scores owe to errors of the offsets.
    """

    units: Ints
    values: Floats
    opportunities: Floats | None
    chances: Floats
    prior_strength: float
    reason: str = ""
    offsets: TimeOffsets | None = None
    doubt: TimeDoubt | None = None


def score_clips(part: Slice, parameters: Parameters) -> Scores:
    """Returns the scores of the clips of a slice, or why there are none."""
    prior = parameters.prior_strength
    estimator = ClipAIPW(parameters.ceiling_ratio, prior)
    if not len(part.cells.cells):
        return Scores(np.zeros(0, np.int64), np.zeros(0), None, np.zeros(0), prior, "no impression of any clip counts")
    try:
        fitted = estimator.fit(part.cells.cells, part.table)
    except InputError as error:
        return Scores(np.zeros(0, np.int64), np.zeros(0), None, np.zeros(0), prior, str(error))
    known = None if fitted.normalised_.any() else fitted.opportunities_
    return Scores(
        fitted.units_, fitted.scores_, known, fitted.opportunities_, prior,
        offsets=fitted.offsets_, doubt=fitted.time_doubt_,
    )  # fmt: skip


def fit_models(part: Slice, scores: Scores, clips: Clips, parameters: Parameters, seed: int) -> PromptFixedEffects:
    """Returns the fit of model versions to the clip scores of a slice, which has some."""
    units = scores.units
    X = np.column_stack([part.table.model[units], part.table.prompt[units], part.table.strata[units]])
    fit = PromptFixedEffects(
        parameters.interaction_ridge,
        parameters.min_prompts,
        parameters.level,
        seed,
        curvature=parameters.curvature,
        borrow=parameters.borrow,
    )
    n_items = len(clips.model.names)
    return fit.fit(X, scores.values, opportunity=scores.opportunities, n_items=n_items, time=scores.doubt)


NUMERIC = (InputError, ArithmeticError, ValueError)
"""What estimators raise of numbers that they cannot work with; numpy's own error of linear algebra is a ValueError."""


def not_computed(error: Exception) -> str:
    """Returns the reason of items that have no place because their numbers could not be computed."""
    return str(error) if isinstance(error, InputError) else f"it could not be computed: {error}"
