"""The part of the study about label rules: how well does a label's own ranking agree with true satisfaction?

No estimator is at work here: the ranking of the model versions by the label's true expectation is compared with that
by true satisfaction, so what is missing to 1 is the label's fault alone, and no amount of data would mend it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import kendalltau

from clapometer.contestants import Observation, observe
from clapometer.labels import DEFAULT_RULE, FittedRule, LabelRule, SignalName, Weights, fit_to_outcome, fit_to_votes
from clapometer.simulation import (
    SCENARIOS,
    SIGNALS,
    Scenario,
    World,
    build_world,
    compute_truth,
    fit_label,
    simulate_log,
)
from clapometer.study.parts import LOG_SEED, Line, Part, Row, mean_and_error

__all__ = ["LABELS"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NAMES: tuple[SignalName, ...] = ("watch", "like", "save", "share", "dislike")
"""Signals of the rule, in the order of the simulator's."""
MIN_IMPRESSIONS = 30
VOTES = (250, 1_000, 5_000)
TIE_MARGIN = 0.1
JUDGEMENT = 1.5
REPEATS = 24


def run(scenario: Scenario, seed: int) -> Line:
    """One world: agreement of every rule's own ranking with true satisfaction."""
    world = build_world(scenario.config, seed)
    label = fit_label(world)
    seen = observe(world, simulate_log(world, seed + LOG_SEED), label)
    signals = _signals(world, seen)
    rules: dict[str, dict[str, Any]] = {name: {"rule": rule, "anchor": 0} for name, rule in _by_hand().items()}
    for n in VOTES:
        gaps, result = _votes(world, seen, signals, np.random.default_rng([seed, 7]), n)
        rules[f"fitted to {n:,} votes"] = _fitted(fit_to_votes(DEFAULT_RULE, NAMES, gaps, result))
    returned, viewer = seen.log.returned.astype(float), seen.log.viewer
    rules["fitted to returns the next day"] = _fitted(
        fit_to_outcome(DEFAULT_RULE, NAMES, signals, returned, group=viewer, what="returns")
    )
    return {"rules": {name: found | _agreement(world, found.pop("rule")) for name, found in rules.items()}}


def _by_hand() -> dict[str, LabelRule]:
    nothing = dict.fromkeys(Weights.__struct_fields__, 0.0)

    def rule(**weights: float) -> LabelRule:
        return msgspec.structs.replace(DEFAULT_RULE, weights=Weights(**(nothing | weights)))

    return {
        "default rule, no anchor": DEFAULT_RULE,
        "likes only": rule(like=1.0),
        "completions only": rule(watch=1.0),
        "equal weights": rule(watch=1.0, like=1.0, save=1.0, share=1.0, dislike=-1.0),
    }


def _fitted(fit: FittedRule) -> dict[str, Any]:
    return {"rule": fit.rule, "anchor": fit.n, "slope": round(fit.slope, 4)}


def _agreement(world: World, rule: LabelRule) -> dict[str, Any]:
    weights = tuple(rule.weights.of(name) for name in NAMES)
    truth = compute_truth(world, fit_label(world, weights), repeats=REPEATS)
    best = float(truth.utility.max() - truth.utility[np.argmax(truth.models)])
    return {
        "tau": round(float(kendalltau(truth.models, truth.utility)[0]), 6),
        "regret": round(best / float(truth.utility.std()), 6),
        "weights": [round(weight, 4) for weight in weights],
    }


def _signals(world: World, seen: Observation) -> Floats:
    """Signals of every impression, completion relative to what is usual for the length, ``(n, 5)``."""
    columns = np.stack([getattr(seen.log, name) for name in SIGNALS], axis=1).astype(float)
    label = fit_label(world)
    columns[:, 0] /= np.interp(world.clips.log_duration[seen.log.clip], label.log_duration, label.completion)
    return columns


def _votes(
    world: World, seen: Observation, signals: Floats, random: np.random.Generator, n: int
) -> tuple[Floats, Floats]:
    """Votes on random pairs of clips that were shown often: gaps of the clips' mean signals, and results."""
    unit, clips = world.clips.unit[seen.log.clip], len(world.clips.unit)
    looked = np.bincount(unit, seen.examination, clips)
    total = np.stack([np.bincount(unit, column, clips) for column in signals.T], axis=1)
    means: Floats = total / np.maximum(looked, 1e-9)[:, None]
    often = np.flatnonzero(np.bincount(unit, minlength=clips) >= MIN_IMPRESSIONS)
    left, right = random.choice(often, (2, n))
    left, right = left[left != right], right[left != right]
    gap = world.clips.appeal[left] - world.clips.appeal[right]
    said = (random.random(len(gap)) < expit(JUDGEMENT * gap)).astype(float)
    return means[left] - means[right], np.where(np.abs(gap) < TIE_MARGIN, 0.5, said)


def summarise(scenario: Scenario, lines: list[Line]) -> list[Row]:
    """Rows of the evidence: one per rule."""
    return [_row(scenario, name, [line["rules"][name] for line in lines]) for name in lines[0]["rules"]]


def _row(scenario: Scenario, name: str, found: list[dict[str, Any]]) -> Row:
    tau, error = mean_and_error([each["tau"] for each in found])
    regret, _ = mean_and_error([each["regret"] for each in found])
    slope, _ = mean_and_error([each.get("slope") for each in found])
    return {
        "scenario": scenario.name,
        "rule": name,
        "worlds": len(found),
        "anchor": round(float(np.mean([each["anchor"] for each in found]))),
        "tau": tau,
        "tau_error": error,
        "regret": regret,
        "calibration_slope": slope,
        "weights": dict(
            zip(NAMES, np.mean([each["weights"] for each in found], axis=0).round(3).tolist(), strict=True)
        ),
    }


LABELS = Part(tuple(scenario for scenario in SCENARIOS if scenario.name == "all together"), run, summarise)
"""Rules by hand and fitted ones, in worlds with every confounder."""
