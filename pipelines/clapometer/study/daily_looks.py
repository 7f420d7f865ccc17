"""The part of the study about looking every day: how often is a difference claimed between two names of one version?

Every world is a whole log in which each version goes by two names. The estimator is fitted again every day to
all that is mature by then, as in production, and every pair of names is looked at every day.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from clapometer.contestants import Observation, observe
from clapometer.ranking import ClipAIPW, PromptFixedEffects, always_valid_multiplier
from clapometer.simulation import Scenario, WorldConfig, build_twins, compute_truth, fit_label, simulate_log
from clapometer.study.parts import LOG_SEED, Line, Part, Row, mean_and_error
from clapometer.training.parameters import DEFAULT_PARAMETERS

__all__ = ["LOOKS", "TWINS"]

Floats = NDArray[np.float64]

FIRST_LOOK = 4
"""The first day on which anything is mature."""
N_LOOKS = 60
KINDS = ("fixed", "always valid")
TWINS = WorldConfig(
    n_models=2, n_prompts=300, n_viewers=2000, n_days=FIRST_LOOK + N_LOOKS - 1,
    n_sessions=100 * (FIRST_LOOK + N_LOOKS - 1), bots=20,
)  # fmt: skip
"""Two versions of 300 prompts under four names, all confounders on, 1,000 impressions a day."""


def run(scenario: Scenario, seed: int) -> Line:
    """One world: which pairs each kind of interval claimed to differ, and which versions' truth it missed."""
    world = build_twins(scenario.config, seed)
    label = fit_label(world)
    truth = compute_truth(world, label).models
    log = simulate_log(world, seed + LOG_SEED)
    looks = [_look(observe(world, log, label, day), truth) for day in range(FIRST_LOOK, FIRST_LOOK + N_LOOKS)]
    claims, misses = (np.array([getattr(look, name) for look in looks]) for name in ("claims", "misses"))
    return {
        "claimed": claims.any(0).tolist(),
        "claimed_last": claims[-1].tolist(),
        "missed": misses.any(0).tolist(),
        "ranked_looks": N_LOOKS * float(np.mean([look.ranked for look in looks])),
        "width": looks[-1].width,
    }


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """What the kinds of interval say on one day.

    Attributes:
        claims: Whether they tell the names of a pair apart, ``(2, n_pairs)``.
        misses: Whether they miss a name's true contrast, ``(2, n_names)``.
        ranked: Share of the pairs that are ranked at all.
        width: Of always-valid intervals over fixed ones.
    """

    claims: NDArray[np.bool_]
    misses: NDArray[np.bool_]
    ranked: float
    width: float


def _look(seen: Observation, truth: Floats) -> _Look:
    fitted, n = _fit(seen, len(truth)), len(truth)
    claims, misses, ranked, width = np.zeros((2, n // 2), bool), np.zeros((2, n), bool), 0.0, np.nan
    if len(fitted.items_):
        true = truth[fitted.items_] - truth[fitted.items_].mean()
        errors = np.sqrt(np.diag(fitted.covariance_))
        misses[:, fitted.items_] = np.abs(fitted.effects_ - true) > _reach(errors, fitted) * errors
        both, contrasts = _twin_contrasts(fitted.items_, n)
        errors = np.sqrt(((contrasts @ fitted.covariance_) * contrasts).sum(1))
        reach = _reach(errors, fitted)
        claims[:, both] = np.abs(contrasts @ fitted.effects_) > reach * errors
        ranked = 2 * len(both) / n
        width = float((reach[1] / reach[0]).mean()) if len(both) else np.nan
    return _Look(claims, misses, ranked, width)


def _fit(seen: Observation, n_names: int) -> PromptFixedEffects:
    scores, clips = ClipAIPW().fit(seen.cells, seen.clips), seen.clips
    units = scores.units_
    X = np.column_stack([clips.model[units], clips.prompt[units], clips.strata[units]])
    fit = PromptFixedEffects(curvature=DEFAULT_PARAMETERS.curvature, borrow=DEFAULT_PARAMETERS.borrow)
    return fit.fit(X, scores.scores_, opportunity=scores.opportunities_, n_items=n_names, time=scores.time_doubt_)


def _twin_contrasts(ranked: NDArray[np.int64], n_names: int) -> tuple[NDArray[np.int64], Floats]:
    """Pairs of which both names are ranked, and their differences as rows over the ranked names."""
    one_hot = (ranked[:, None] == np.arange(n_names)).astype(float)
    both = np.flatnonzero(one_hot[:, 0::2].any(0) & one_hot[:, 1::2].any(0))
    return both, (one_hot[:, 0::2] - one_hot[:, 1::2]).T[both]


def _reach(error: Floats, fitted: PromptFixedEffects) -> Floats:
    """Standard errors that each kind of interval reaches, ``(2, n)``."""
    clusters, level = max(fitted.degrees_of_freedom_, 1), DEFAULT_PARAMETERS.level
    planned = DEFAULT_PARAMETERS.planned_error * fitted.level_
    always = always_valid_multiplier(error, planned, level, degrees_of_freedom=clusters)
    return np.stack([np.full(len(error), student.ppf(0.5 + level / 2, clusters)), always])


def summarise(scenario: Scenario, lines: list[Line]) -> list[Row]:
    """A row per kind of interval; `type1` is the share of pairs of equals that it told apart at any look."""
    rows = []
    for kind, name in enumerate(KINDS):
        type1, error = mean_and_error([float(np.mean(line["claimed"][kind])) for line in lines])
        rows.append(
            {
                "scenario": scenario.name,
                "intervals": name,
                "worlds": len(lines),
                "looks": N_LOOKS,
                "ranked_looks": mean_and_error([line["ranked_looks"] for line in lines])[0],
                "prompts": scenario.config.n_prompts,
                "impressions": scenario.config.n_sessions * scenario.config.slots_per_session,
                "type1": type1,
                "type1_error": error,
                "type1_at_the_end": mean_and_error([float(np.mean(line["claimed_last"][kind])) for line in lines])[0],
                "missed": mean_and_error([float(np.mean(line["missed"][kind])) for line in lines])[0],
                "width": mean_and_error([line["width"] for line in lines])[0] if kind else 1.0,
            }
        )
    return rows


LOOKS = Part((Scenario("daily looks", TWINS),), run, summarise)
"""Every version under two names, looked at on 60 days: ``type1`` may be 5 %."""
