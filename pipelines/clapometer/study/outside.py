"""The part of the study outside our own worlds: the shipping estimators in the second family of worlds.

Every world is judged by what a reader would act on: the claims that versions differ, the intervals, of old versions
and of those that came later, and the tier.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from clapometer.contestants import Observation, observe_poisson
from clapometer.ranking import (
    ClipAIPW,
    Exposure,
    PromptFixedEffects,
    Views,
    always_valid_multiplier,
    of_time,
    sum_by,
    within_viewers,
)
from clapometer.simulation.poisson import (
    OUTSIDE,
    PoissonScenario,
    build_poisson,
    poisson_truth,
    simulate_poisson,
)
from clapometer.study.model_versions import kendall_tau
from clapometer.study.parts import LOG_SEED, Line, Part, Row, mean_and_error
from clapometer.training.evidence.tiers import Chances, contradiction
from clapometer.training.parameters import DEFAULT_PARAMETERS

__all__ = ["OUTSIDE_PART", "run", "summarise"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def run(scenario: PoissonScenario, seed: int) -> Line:
    """One world: what is true, what the shipping chain says, and what it claims of pairs."""
    world = build_poisson(scenario.config, seed)
    seen = observe_poisson(world, simulate_poisson(world, seed + LOG_SEED))
    fit = _fit(seen, scenario.config.n_models)
    truth = poisson_truth(world)
    left, right = np.triu_indices(len(fit.items_), 1)
    spread = np.sqrt(_pair_variances(fit, left, right))
    gap = fit.effects_[left] - fit.effects_[right]
    true = truth[fit.items_][left] - truth[fit.items_][right]
    once = float(student.ppf(0.5 + fit.level / 2, max(fit.degrees_of_freedom_, 1)))
    always = always_valid_multiplier(
        np.maximum(spread, 1e-12), DEFAULT_PARAMETERS.planned_error * fit.level_, fit.level,
        max(fit.degrees_of_freedom_, 1),
    ) if len(gap) else np.zeros(0)  # fmt: skip
    equal = np.abs(true) < 1e-9
    reach = once * np.sqrt(np.diag(fit.covariance_))
    return {
        "doubt": _doubt(seen),
        "truth": truth.tolist(),
        "items": fit.items_.tolist(),
        "effects": fit.effects_.tolist(),
        "reach": reach.tolist(),
        "claimed": (np.abs(gap) > once * spread)[equal].tolist(),
        "claimed_always": (np.abs(gap) > always * spread)[equal].tolist(),
        "wrong": ((np.abs(gap) > once * spread) & (np.sign(gap) != np.sign(true)) & ~equal).tolist(),
    }


def _doubt(seen: Observation) -> str:
    """Why the ranking would be of tier C; empty where it would be of tier B."""
    log, clips = seen.log, seen.clips
    key, row = np.unique(log.clip * 2 + log.viewer % 2, return_inverse=True)
    columns = (np.ones(len(log)), seen.weight, seen.weight**2, log.explored.astype(float))
    exposure = Exposure(key >> 1, key & 1, *(sum_by(row, column, len(key)) for column in columns))
    if clips.opportunity is None:
        return contradiction(exposure)
    _, batch = np.unique(np.column_stack([clips.model, clips.published_day]), axis=0, return_inverse=True)
    n_days = int(log.day.max()) + 1
    first = np.full(int(clips.model.max()) + 1, n_days)
    np.minimum.at(first, clips.model, clips.published_day)
    names = [f"version {version}" for version in range(len(first))]
    slack = np.where(first > 0, 0.1 + 1 / np.maximum(n_days - first, 1), 0.1)
    return contradiction(exposure, Chances(clips.model, names, clips.opportunity, batch.ravel(), slack))


def _fit(seen: Observation, n_models: int) -> PromptFixedEffects:
    scores, clips = ClipAIPW().fit(seen.cells, seen.clips), seen.clips
    units = scores.units_
    X = np.column_stack([clips.model[units], clips.prompt[units], clips.strata[units]])
    fit = PromptFixedEffects(curvature=DEFAULT_PARAMETERS.curvature, borrow=DEFAULT_PARAMETERS.borrow)
    if clips.opportunity is None:
        return _within_viewers(seen, scores, fit, n_models)
    known = None if scores.normalised_.any() else scores.opportunities_
    return fit.fit(X, scores.scores_, opportunity=known, n_items=n_models, time=scores.time_doubt_)


def _within_viewers(seen: Observation, scores: ClipAIPW, fit: PromptFixedEffects, n_models: int) -> PromptFixedEffects:
    """The fit where slots were filled from some of the clips, as `clapometer.training.boards.offered` does it."""
    log, clips = seen.log, seen.clips
    views = Views(clips.model[log.clip], clips.prompt[log.clip], log.viewer, seen.weight * seen.examination)
    usual = np.full(len(clips), np.nan)
    usual[scores.units_] = scores.scores_
    offset = scores.offsets_.at(log.day, log.day - clips.published_day[log.clip])
    label = seen.label / seen.examination - of_time(usual[log.clip], offset, scores.ceiling_)
    within = within_viewers(views, label, n_models, curvature=DEFAULT_PARAMETERS.curvature)
    values, mass = within.clip_scores(views, log.clip, len(clips))
    units, doubt = scores.units_, scores.time_doubt_
    X = np.column_stack([clips.model[units], clips.prompt[units], clips.strata[units]])
    return fit.fit(X, values[units], opportunity=mass[units], n_items=n_models, time=doubt, shared=within.covariance)


def _pair_variances(fit: PromptFixedEffects, left: Ints, right: Ints) -> Floats:
    own = np.diag(fit.covariance_)
    spread: Floats = np.maximum(own[left] + own[right] - 2 * fit.covariance_[left, right], 0.0)
    return spread


def summarise(scenario: PoissonScenario, lines: list[Line]) -> list[Row]:
    """A row per scenario; `late` are versions that came in the last third of the log."""
    config = scenario.config
    late = np.array([config.launch_day(model) > 2 * config.n_days / 3 for model in range(config.n_models)])
    each = [_judged(line) for line in lines]
    same = not config.quality_spread
    return [
        {
            "scenario": scenario.name,
            "worlds": len(lines),
            "tier": scenario.tier,
            "tier_c": mean_and_error([float(bool(line["doubt"])) for line in lines])[0],
            "ranked": mean_and_error([float(len(line["items"])) / config.n_models for line in lines])[0],
            "false_claims": mean_and_error([_share(line["claimed"]) for line in lines])[0] if same else None,
            "false_claims_always": mean_and_error([_share(line["claimed_always"]) for line in lines])[0]
            if same
            else None,
            "wrong_claims": mean_and_error([_share(line["wrong"]) for line in lines])[0],
            "coverage": mean_and_error([_share(held[~np.isnan(held)]) for held, _, _ in each])[0],
            "coverage_error": mean_and_error([_share(held[~np.isnan(held)]) for held, _, _ in each])[1],
            "coverage_late": mean_and_error([_share(held[late & ~np.isnan(held)]) for held, _, _ in each])[0],
            "tau": None if same else mean_and_error([tau for _, tau, _ in each])[0],
            "error": mean_and_error([error for _, _, error in each])[0],
            "width": mean_and_error(
                [2 * float(np.mean(line["reach"])) / float(np.mean(line["truth"])) for line in lines]
            )[0],
        }
    ]


def _judged(line: Line) -> tuple[Floats, float, float]:
    """Whether each version's interval holds, NaN where it has none; tau; root mean square error over the mean label."""
    truth, items = np.array(line["truth"]), np.array(line["items"], int)
    held = np.full(len(truth), np.nan)
    if not len(items):
        return held, np.nan, np.nan
    gap = truth[items] - truth[items].mean()
    error = np.array(line["effects"]) - gap
    held[items] = np.abs(error) <= np.array(line["reach"])
    tau = float(kendall_tau(gap[None], np.array(line["effects"])[None])[0])
    return held, tau, float(np.sqrt((error**2).mean()) / truth.mean())


def _share(flags: object) -> float | None:
    found = np.asarray(flags, float)
    return float(found.mean()) if len(found) else None


OUTSIDE_PART = Part(OUTSIDE, run, summarise)
"""The second family of worlds."""
