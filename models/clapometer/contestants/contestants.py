"""Ways to rank model versions from an observation: ours and those that everybody tries first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from clapometer.contestants.baselines import (
    Baseline,
    naive_bradley_terry,
    online_elo,
    raw_mean,
    self_normalised_ips,
    session_pairs,
    wilson_lower_bound,
)
from clapometer.contestants.observation import Observation
from clapometer.ranking import ClipAIPW, PromptFixedEffects, TimeDoubt, sum_by

__all__ = ["CONTESTANTS", "Contestant", "Estimate"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


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
    return _within_prompts(seen, scores.units_, scores.scores_, known, n_models, scores.time_doubt_)


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
    return _contrasts(raw_mean(seen.clips.model[scores.units_], scores.scores_, n_models))


def _within_prompts(  # noqa: PLR0917
    seen: Observation,
    units: Ints,
    scores: Floats,
    opportunity: Floats | None,
    n_models: int,
    time: TimeDoubt | None = None,
) -> Estimate:
    clips = seen.clips
    X = np.column_stack([clips.model[units], clips.prompt[units], clips.strata[units]])
    estimator = PromptFixedEffects(curvature=0.5, borrow=True)
    fitted = estimator.fit(X, scores, opportunity=opportunity, n_items=n_models, time=time)
    effects, errors = np.full((2, n_models), np.nan)
    effects[fitted.items_] = fitted.effects_
    errors[fitted.items_] = np.sqrt(np.diag(fitted.covariance_))
    return Estimate(effects, errors)


def _model(seen: Observation) -> Ints:
    model: Ints = seen.clips.model[seen.log.clip]
    return model


def _contrasts(baseline: Baseline) -> Estimate:
    values = baseline.values
    known = values[~np.isnan(values)]
    return Estimate(values - known.mean() if len(known) else values, baseline.standard_errors)


def snips(seen: Observation, n_models: int) -> Estimate:
    """Self-normalised inverse propensity score of each model version, impressions as independent."""
    return _contrasts(self_normalised_ips(_model(seen), seen.label, seen.weight, n_models))


def exploration(seen: Observation, n_models: int) -> Estimate:
    """Mean label of the explored slots."""
    at_random = seen.log.explored
    return _contrasts(raw_mean(_model(seen)[at_random], seen.label[at_random], n_models))


def raw_label(seen: Observation, n_models: int) -> Estimate:
    """Mean label of all impressions."""
    return _contrasts(raw_mean(_model(seen), seen.label, n_models))


def raw_likes(seen: Observation, n_models: int) -> Estimate:
    """Like rate."""
    return _contrasts(raw_mean(_model(seen), seen.log.like.astype(float), n_models))


def raw_completions(seen: Observation, n_models: int) -> Estimate:
    """Completion rate."""
    return _contrasts(raw_mean(_model(seen), seen.log.complete.astype(float), n_models))


def wilson(seen: Observation, n_models: int) -> Estimate:
    """Lower end of Wilson's interval for the like rate."""
    return _contrasts(wilson_lower_bound(_model(seen), seen.log.like.astype(float), n_models))


def elo(seen: Observation, n_models: int) -> Estimate:
    """Elo ratings over random pairs of a session: the better label wins."""
    winner, loser = session_pairs(seen.log.session, _model(seen), seen.label)
    return _contrasts(online_elo(winner, loser, n_models))


def bradley_terry(seen: Observation, n_models: int) -> Estimate:
    """Bradley-Terry strengths of the same pairs."""
    winner, loser = session_pairs(seen.log.session, _model(seen), seen.label)
    return _contrasts(naive_bradley_terry(winner, loser, n_models))


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
            Contestant("Wilson lower bound of likes", wilson, own_scale=False),
            Contestant("online Elo", elo, own_scale=False),
            Contestant("naive Bradley-Terry", bradley_terry, own_scale=False),
        )
    }
)
