"""The part of the study about prompts and pair labels: are single prompts and clips told apart, and how surely?"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.stats import norm, spearmanr
from sklearn.linear_model import LogisticRegression

from clapometer.contestants import (
    OURS,
    PROMPT_CONTESTANTS,
    Observation,
    PromptEstimate,
    PromptFit,
    fit_prompts,
    observe,
)
from clapometer.labels import pairs_of_prompts, posterior_pairs
from clapometer.simulation import (
    SCENARIOS,
    Scenario,
    World,
    build_world,
    clip_values,
    fit_label,
    prompt_values,
    simulate_log,
)
from clapometer.study.parts import LOG_SEED, Line, Part, Row, mean_and_error

__all__ = ["PROMPTS"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TOP = 100
DUELS = 20_000
Z = float(norm.ppf(0.975))
CLOSEST = 0.01
"""Predicted chances are cut to [0.01, 0.99], for all methods alike: one sure mistake must not decide the mean."""
OUR_PAIRS = "posterior of the clips' values"
PROMPT_MEASURES = ("spearman", "precision_at_100", "log_loss", "coverage")
PAIR_MEASURES = ("log_loss", "slope", "ece")


def run(scenario: Scenario, seed: int) -> Line:
    """One world: how every method does with its prompts and with pairs of its clips."""
    world = build_world(scenario.config, seed)
    label = fit_label(world)
    seen = observe(world, simulate_log(world, seed + LOG_SEED), label)
    fit = fit_prompts(world, seen)
    truth, _ = prompt_values(world, label)
    random = np.random.default_rng(seed)
    ours = PromptEstimate(fit.bayes.prompts_, fit.bayes.prompt_errors_)
    estimates = {OURS: ours} | {name: method(world, seen) for name, method in PROMPT_CONTESTANTS.items()}
    duels = _duels(truth, random)
    return {
        "prompts": {name: _judge(estimate, truth, duels, ours=name == OURS) for name, estimate in estimates.items()},
        "pairs": _pairs(world, seen, fit, clip_values(world, label)),
    }


def _duels(truth: Floats, random: np.random.Generator) -> tuple[Ints, Ints]:
    left, right = random.integers(0, len(truth), (2, DUELS))
    apart = truth[left] != truth[right]
    return left[apart], right[apart]


def _judge(estimate: PromptEstimate, truth: Floats, duels: tuple[Ints, Ints], *, ours: bool) -> dict[str, float | None]:
    """Rank correlation, the best hundred, log loss of "which of two prompts is better", coverage."""
    known = ~np.isnan(estimate.values)
    values = np.where(known, estimate.values, estimate.values[known].mean())
    best, chosen = (set(np.argsort(-column, kind="stable")[:TOP].tolist()) for column in (truth, values))
    return {
        "spearman": _plain(spearmanr(values, truth)[0]),
        "precision_at_100": len(best & chosen) / TOP,
        "log_loss": _duel_loss(estimate, values, truth, duels, ours=ours),
        "coverage": _coverage(estimate, truth),
    }


def _duel_loss(
    estimate: PromptEstimate, values: Floats, truth: Floats, duels: tuple[Ints, Ints], *, ours: bool
) -> float:
    """Ours says how likely it is; all others are given the logistic scale that suits them best in this very world."""
    left, right = duels
    gap, better = values[left] - values[right], truth[left] > truth[right]
    if ours and estimate.standard_errors is not None:
        spread = np.hypot(estimate.standard_errors[left], estimate.standard_errors[right])
        return _plain(_log_loss(norm.cdf(gap / spread), better))
    scaled = gap / max(float(gap.std()), 1e-12)
    found = minimize_scalar(
        lambda power: _log_loss(expit(np.exp(power) * scaled), better), bounds=(-8.0, 5.0), method="bounded"
    )
    return _plain(found.fun)


def _coverage(estimate: PromptEstimate, truth: Floats) -> float | None:
    if estimate.standard_errors is None:
        return None
    known = ~np.isnan(estimate.values + estimate.standard_errors)
    gap = estimate.values[known] - truth[known]
    return _plain(np.mean(np.abs(gap - gap.mean()) <= Z * estimate.standard_errors[known]))


def _pairs(world: World, seen: Observation, fit: PromptFit, truth: Floats) -> dict[str, dict[str, float]]:
    """Labels of pairs of clips of one prompt; clips that are equally good by construction are left out."""
    unit = fit.rates.unit
    left, right = pairs_of_prompts(fit.X[:, 1], fit.rates.impressions)
    gap = truth[unit[left]] - truth[unit[right]]
    left, right, better = left[gap != 0], right[gap != 0], (gap > 0)[gap != 0]
    ours = posterior_pairs(fit.bayes, left, right, fit.rates.impressions).p_left
    likes, shown = _likes(world, seen)
    rate = likes[unit] / np.maximum(shown[unit], 1)
    chances = {
        OUR_PAIRS: ours,
        "likes, each rate a beta posterior": _beta(likes[unit], shown[unit], left, right),
        "like rate, the higher one wins": 0.5 + 0.45 * np.sign(rate[left] - rate[right]),
    }
    return {name: _calibration(chance, better) for name, chance in chances.items()}


def _likes(world: World, seen: Observation) -> tuple[Floats, Floats]:
    unit, n = world.clips.unit[seen.log.clip], len(world.clips.unit)
    return np.bincount(unit, seen.log.like, n).astype(float), np.bincount(unit, minlength=n).astype(float)


def _beta(likes: Floats, shown: Floats, left: Ints, right: Ints) -> Floats:
    mean = (likes + 0.5) / (shown + 1)
    variance = mean * (1 - mean) / (shown + 1)
    chance: Floats = norm.cdf((mean[left] - mean[right]) / np.sqrt(variance[left] + variance[right]))
    return chance


def _calibration(chance: Floats, better: NDArray[np.bool_]) -> dict[str, float]:
    """Log loss, slope of the truth on the predicted log-odds (1 is calibrated), and expected calibration error."""
    p = np.clip(chance, CLOSEST, 1 - CLOSEST)
    odds = np.log(p / (1 - p))[:, None]
    bins = np.minimum((p * 10).astype(int), 9)
    return {
        "log_loss": _plain(_log_loss(p, better)),
        "slope": _plain(LogisticRegression(C=1e6).fit(odds, better).coef_[0, 0]),
        "ece": _plain(np.abs(np.bincount(bins, p - better, 10)).sum() / len(p)),
        "pairs": len(p),
    }


def _log_loss(chance: Floats, better: NDArray[np.bool_]) -> float:
    p = np.clip(chance, CLOSEST, 1 - CLOSEST)
    return float(-np.mean(np.where(better, np.log(p), np.log(1 - p))))


def _plain(value: Any) -> float:
    return round(float(value), 6)


def summarise(scenario: Scenario, lines: list[Line]) -> list[Row]:
    """Rows of the evidence: means over worlds with their standard errors."""
    return [
        _row(scenario, subject, name, [line[subject][name] for line in lines], measures)
        for subject, measures in (("prompts", PROMPT_MEASURES), ("pairs", PAIR_MEASURES))
        for name in lines[0][subject]
    ]


def _row(
    scenario: Scenario, subject: str, name: str, found: list[dict[str, float | None]], measures: tuple[str, ...]
) -> Row:
    row: Row = {
        "scenario": scenario.name,
        "subject": subject,
        "estimator": name,
        "tier": scenario.tier,
        "worlds": len(found),
    }
    for measure in measures:
        row[measure], row[f"{measure}_error"] = mean_and_error([each[measure] for each in found])
    return row


PROMPTS = Part(SCENARIOS, run, summarise)
"""Prompts and pair labels in every scenario of the study."""
