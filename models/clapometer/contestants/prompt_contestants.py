"""Ways to value prompts from an observation: ours and those that everybody tries first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clapometer.contestants.baselines import (
    Baseline,
    bayesian_average,
    raw_mean,
    self_normalised_ips,
    wilson_lower_bound,
)
from clapometer.contestants.observation import Observation
from clapometer.ranking import ClipAIPW, ClipRates, HierarchicalBayes, clip_rates
from clapometer.simulation.world import World

__all__ = ["OURS", "PROMPT_CONTESTANTS", "PromptEstimate", "PromptFit", "fit_prompts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OURS = "hierarchical empirical Bayes"


@dataclass(frozen=True, slots=True, eq=False)
class PromptEstimate:
    """Value of every prompt, ``(n_prompts,)``, NaN where it has none, and standard errors where the method has any."""

    values: Floats
    standard_errors: Floats | None = None


class PromptFit(NamedTuple):
    """What the product fits to a world: the clips' rows, their rates, and the fit."""

    X: Ints
    rates: ClipRates
    bayes: HierarchicalBayes


def fit_prompts(world: World, seen: Observation) -> PromptFit:
    """Returns what `train` makes of an observation: prompts within templates and tasks, task x topic as stratum."""
    prompts = world.prompts
    offsets = ClipAIPW().fit(seen.cells, seen.clips).offsets_
    rates = clip_rates(seen.cells, seen.clips, offsets)
    X = np.column_stack([seen.clips.model[rates.unit], seen.clips.prompt[rates.unit]])
    task = prompts.from_image.astype(np.int64)
    bayes = HierarchicalBayes().fit(
        X, rates, factors=np.column_stack([prompts.template, task]), stratum=2 * prompts.topic + task
    )
    return PromptFit(X, rates, bayes)


def _likes(world: World, seen: Observation, rate: Callable[[Ints, Floats, int], Baseline]) -> PromptEstimate:
    liked = seen.log.like.astype(float)
    return PromptEstimate(rate(world.clips.prompt[seen.log.clip], liked, world.config.n_prompts).values)


def _label(world: World, seen: Observation) -> PromptEstimate:
    mean = raw_mean(world.clips.prompt[seen.log.clip], seen.label, world.config.n_prompts)
    return PromptEstimate(mean.values, mean.standard_errors)


def _completion(world: World, seen: Observation) -> PromptEstimate:
    completed = seen.log.complete.astype(float)
    return PromptEstimate(raw_mean(world.clips.prompt[seen.log.clip], completed, world.config.n_prompts).values)


def _snips(world: World, seen: Observation) -> PromptEstimate:
    prompt = world.clips.prompt[seen.log.clip]
    weighted = self_normalised_ips(prompt, seen.label, seen.weight, world.config.n_prompts)
    return PromptEstimate(weighted.values, weighted.standard_errors)


PROMPT_CONTESTANTS: Mapping[str, Callable[[World, Observation], PromptEstimate]] = MappingProxyType(
    {
        "raw like rate": lambda world, seen: _likes(world, seen, raw_mean),
        "Wilson lower bound of likes": lambda world, seen: _likes(world, seen, wilson_lower_bound),
        "Bayesian average of likes": lambda world, seen: _likes(world, seen, bayesian_average),
        "raw completion rate": _completion,
        "raw label mean": _label,
        "self-normalised IPS": _snips,
    }
)
"""The methods to compare with; ours is `fit_prompts`, because pair labels come from the same fit."""
