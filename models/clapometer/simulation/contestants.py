"""Ways to rank model versions from an observation: ours and those that everybody tries first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking import ClipAIPW, PromptFixedEffects, sum_by
from clapometer.simulation.observation import Observation

__all__ = ["CONTESTANTS", "Contestant", "Estimate"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """Contrasts of the model versions to their mean and standard errors, ``(n_models,)``; NaN is unranked."""

    effects: Floats
    standard_errors: Floats


@dataclass(frozen=True, slots=True)
class Contestant:
    """An estimator of the study.

    Attributes:
        name: As in the tables.
        estimate: From observation and number of model versions.
        own_scale: False when its numbers are on another scale than the label (a like rate): the study
            then stretches them by the factor that suits them best.
    """

    name: str
    estimate: Callable[[Observation, int], Estimate]
    own_scale: bool = True


def clip_aipw(seen: Observation, n_models: int) -> Estimate:
    """Clip AIPW scores compared within prompts: what Clapometer does."""
    scores = ClipAIPW().fit(seen.cells, seen.clips)
    known = None if scores.normalised_.any() else scores.opportunities_
    return _within_prompts(seen, scores.units_, scores.scores_, known, n_models)


def clip_ips(seen: Observation, n_models: int) -> Estimate:
    """Self-normalised inverse propensity scores of the shown clips, compared within prompts."""
    cells, clips = seen.cells, seen.clips
    unit = clips.unit[cells.clip]
    earned, weight = (
        sum_by(unit, column, len(clips)) for column in (cells.sum_weighted_label, cells.sum_weighted_exposure)
    )
    shown = np.flatnonzero(weight > 0)
    return _within_prompts(seen, shown, earned[shown] / weight[shown], None, n_models)


def without_prompts(seen: Observation, n_models: int) -> Estimate:
    """Means of the clip AIPW scores, prompts ignored."""
    scores = ClipAIPW().fit(seen.cells, seen.clips)
    return _means(seen.clips.model[scores.units_], scores.scores_, np.ones(len(scores.scores_)), n_models)


def _within_prompts(
    seen: Observation, units: NDArray[np.int64], scores: Floats, opportunity: Floats | None, n_models: int
) -> Estimate:
    clips = seen.clips
    X = np.column_stack([clips.model[units], clips.prompt[units], clips.strata[units]])
    fitted = PromptFixedEffects().fit(X, scores, opportunity=opportunity, n_items=n_models)
    effects, errors = np.full((2, n_models), np.nan)
    effects[fitted.items_] = fitted.effects_
    errors[fitted.items_] = np.sqrt(np.diag(fitted.covariance_))
    return Estimate(effects, errors)


def _means(model: NDArray[np.int64], value: Floats, weight: Floats, n_models: int) -> Estimate:
    total = sum_by(model, weight, n_models)
    mean = np.divide(sum_by(model, weight * value, n_models), total, out=np.full(n_models, np.nan), where=total > 0)
    spread = sum_by(model, (weight * (value - mean[model])) ** 2, n_models)
    error = np.divide(np.sqrt(spread), total, out=np.full(n_models, np.nan), where=total > 0)
    return Estimate(mean - np.nanmean(mean) if (total > 0).any() else mean, error)


def _model(seen: Observation) -> NDArray[np.int64]:
    model: NDArray[np.int64] = seen.clips.model[seen.log.clip]
    return model


def snips(seen: Observation, n_models: int) -> Estimate:
    """Self-normalised inverse propensity score of each model version, impressions as independent."""
    return _means(_model(seen), seen.label, seen.weight, n_models)


def exploration(seen: Observation, n_models: int) -> Estimate:
    """Mean label of the explored slots."""
    return _means(_model(seen), seen.label, seen.log.explored.astype(float), n_models)


def raw_label(seen: Observation, n_models: int) -> Estimate:
    """Mean label of all impressions."""
    return _means(_model(seen), seen.label, np.ones(len(seen.label)), n_models)


def raw_likes(seen: Observation, n_models: int) -> Estimate:
    """Like rate."""
    return _means(_model(seen), seen.log.like.astype(float), np.ones(len(seen.label)), n_models)


def raw_completions(seen: Observation, n_models: int) -> Estimate:
    """Completion rate."""
    return _means(_model(seen), seen.log.complete.astype(float), np.ones(len(seen.label)), n_models)


CONTESTANTS: Mapping[str, Contestant] = MappingProxyType(
    {
        contestant.name: contestant
        for contestant in (
            Contestant("clip AIPW + prompt effects", clip_aipw),
            Contestant("clip IPS + prompt effects", clip_ips),
            Contestant("clip AIPW, no prompt effects", without_prompts),
            Contestant("self-normalised IPS", snips),
            Contestant("exploration slice", exploration),
            Contestant("raw label mean", raw_label),
            Contestant("raw like rate", raw_likes, own_scale=False),
            Contestant("raw completion rate", raw_completions, own_scale=False),
        )
    }
)
