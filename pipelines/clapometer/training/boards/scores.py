"""Clip scores of a slice, and the fit of model versions to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.labels import LabelRule, shared_lengths
from clapometer.ranking import (
    ClipAIPW,
    PromptFixedEffects,
    TimeDoubt,
    TimeOffsets,
    Views,
    WithinViewers,
    of_time,
    sum_by,
    within_viewers,
)
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.clips import Clips
from clapometer.training.evidence.evidence import Evidence, Sample
from clapometer.training.parameters import Parameters

__all__ = ["MOST_VIEWS", "NUMERIC", "Scores", "fit_models", "not_computed", "score_clips", "score_part", "views_of"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


MOST_VIEWS = 1_000_000
"""Of more impressions than these, those of every n-th viewer are compared within viewers."""
LEAST_SHARED = 0.5
"""Of a version's impressions, the share whose length other versions have, too, for it to be judged by watching."""
OWN_LENGTH = "its clips have a length that no other's have: it cannot be judged by watching, and nothing else counts"
NOT_ALL = "slots were filled from some of the clips, and nothing shows that the choice was the same for all viewers"


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
        ceiling: The most that a label can be of.
        shared: Covariance of the model versions' errors that clips of different prompts share.
        apart: Model versions that the label rule cannot compare, and why.
        unsupported: Why nothing may be claimed although propensities were logged; empty where it may.
    """

    units: Ints
    values: Floats
    opportunities: Floats | None
    chances: Floats
    prior_strength: float
    reason: str = ""
    offsets: TimeOffsets | None = None
    doubt: TimeDoubt | None = None
    ceiling: float = 0.0
    shared: Floats | None = None
    apart: Mapping[int, str] = field(default_factory=dict)
    unsupported: str = ""


def score_part(evidence: Evidence, part: Slice, clips: Clips, parameters: Parameters) -> Scores:
    """Returns the scores of a slice's clips that the label rule can compare.

    Without what viewers differ by, where not all clips were candidates.
    """
    scores = _of_shared_lengths(score_clips(part, parameters), part, clips, evidence.worths.rule)
    if part.whole or evidence.summary.tier == "C" or scores.reason:
        return scores
    where = None if part.of_clips else (part.segment, part.value)
    sample = evidence.sample(MOST_VIEWS, uniform=False, where=where)
    return _without_viewers(part, scores, sample, parameters.curvature)


def _of_shared_lengths(scores: Scores, part: Slice, clips: Clips, rule: LabelRule) -> Scores:
    """Leaves out model versions whose clips have a length of their own, where nothing but watching counts."""
    if not rule.by_watching or scores.reason:
        return scores
    table, cells = part.table, part.cells.cells
    n_items = int(table.model.max(initial=-1)) + 1
    shown = sum_by(table.unit[cells.clip], cells.impressions, len(table))
    lengths = clips.duration_bin[part.rows]
    shared = shared_lengths(table.model, lengths, np.where(table.is_canonical, shown, 0.0), n_items)
    apart = dict.fromkeys(np.flatnonzero(shared < LEAST_SHARED).tolist(), OWN_LENGTH)
    kept = np.flatnonzero(~np.isin(table.model[scores.units], list(apart)))
    if len(kept) == len(scores.units):
        return scores
    opportunities = None if scores.opportunities is None else scores.opportunities[kept]
    return replace(
        scores, units=scores.units[kept], values=scores.values[kept], opportunities=opportunities,
        chances=scores.chances[kept], doubt=_some(scores.doubt, kept), apart=apart,
        reason="" if len(kept) else OWN_LENGTH,
    )  # fmt: skip


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
        offsets=fitted.offsets_, doubt=fitted.time_doubt_, ceiling=fitted.ceiling_,
    )  # fmt: skip


def views_of(part: Slice, sample: Sample) -> tuple[Views, Ints, Ints]:
    """Returns a sample's impressions of a slice's clips, weighted by propensity and place, which, and their clips."""
    size = 1 + max(int(part.rows.max(initial=0)), int(sample.clip.max(initial=0)))
    unit = np.full(size, -1)
    unit[part.rows] = part.table.unit
    clip = unit[sample.clip]
    rows = np.flatnonzero((clip >= 0) & (sample.weight > 0) & (sample.examination > 0))
    clip = clip[rows]
    weight = sample.weight[rows] * sample.examination[rows]
    return Views(part.table.model[clip], part.table.prompt[clip], sample.viewer[rows], weight), rows, clip


def _without_viewers(part: Slice, scores: Scores, sample: Sample, curvature: float) -> Scores:
    assert scores.offsets is not None
    views, rows, clip = views_of(part, sample)
    score = np.full(len(part.table), np.nan)
    score[scores.units] = scores.values
    day = sample.day[rows]
    offset = scores.offsets.at(day, day - part.table.published_day[clip])
    label = sample.label[rows] / sample.examination[rows] - of_time(score[clip], offset, scores.ceiling)
    items, item = np.unique(views.item, return_inverse=True)
    fit = within_viewers(replace(views, item=item), label, len(items), curvature=curvature)
    values, mass = fit.clip_scores(views, clip, len(part.table))
    kept = np.flatnonzero(mass[scores.units] > 0)
    units = scores.units[kept]
    doubt = f"{NOT_ALL}: {fit.doubt}" if fit.doubt else ""
    return replace(
        scores, units=units, values=values[units], opportunities=mass[units], chances=mass[units] * sample.every,
        doubt=_some(scores.doubt, kept), shared=_of_all(fit, items), unsupported=doubt,
    )  # fmt: skip


def _some(doubt: TimeDoubt | None, kept: Ints) -> TimeDoubt | None:
    """What some of the scores owe to time."""
    return None if doubt is None else replace(doubt, slope=doubt.slope[kept], version=doubt.version[kept])


def _of_all(fit: WithinViewers, items: Ints) -> Floats:
    """Covariance of the model versions by their numbers; those that nobody saw are not ranked."""
    size = int(items.max(initial=-1)) + 1
    whole = np.zeros((size, size))
    whole[np.ix_(items, items)] = fit.covariance
    return whole


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
    return fit.fit(
        X, scores.values, opportunity=scores.opportunities, n_items=n_items, time=scores.doubt, shared=scores.shared
    )


NUMERIC = (InputError, ArithmeticError, ValueError)
"""What estimators raise of numbers that they cannot work with; numpy's own error of linear algebra is a ValueError."""


def not_computed(error: Exception) -> str:
    """Returns the reason of items that have no place because their numbers could not be computed."""
    return str(error) if isinstance(error, InputError) else f"it could not be computed: {error}"
