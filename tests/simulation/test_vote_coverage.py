"""Rankings by votes hold what they promise where the truth is known: heavy voters, fixed sides, a hopeless model."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from clapometer.ranking import BradleyTerry, confidence_intervals
from clapometer.training.boards.compared import Compared, Strengths, fit_strengths
from clapometer.training.parameters import Parameters

Floats = NDArray[np.float64]

MODELS, PROMPTS, VOTERS, VOTES, WORLDS = 7, 60, 300, 3_000, 60
TIES, HARD = 0.15, 0.5
SIDE = 0.5
"""How much more people like what is on the left, log-odds, where sides are fixed by name."""


def world(kind: str, seed: int) -> tuple[Strengths, Floats]:
    """Returns what votes say of model versions, and what very many voters would say of those that are ranked."""
    rng = np.random.default_rng(seed)
    strength, taste_sd = rng.normal(0, 0.4, MODELS), 0.5 if kind == "heavy voters" else 0.3
    weight = rng.lognormal(0, 1, VOTERS)
    if kind == "heavy voters":
        weight = np.where(np.arange(VOTERS) < 60, 40.0, 1.0)
    if kind == "one always loses":
        strength[-1] = -50
    taste, hard = rng.normal(0, taste_sd, (VOTERS, MODELS)), rng.normal(0, HARD, (PROMPTS, MODELS))
    voter, prompt = rng.choice(VOTERS, VOTES, p=weight / weight.sum()), rng.integers(0, PROMPTS, VOTES)
    left = rng.integers(0, MODELS, VOTES)
    right = (left + rng.integers(1, MODELS, VOTES)) % MODELS
    if kind == "sides by name":
        left, right = np.minimum(left, right), np.maximum(left, right)
    appeal = [strength[of] + taste[voter, of] + hard[prompt, of] for of in (left, right)]
    margin = appeal[0] - appeal[1] + SIDE * (kind == "sides by name")
    result = (rng.random(VOTES) < expit(margin)).astype(np.float64)
    hopeless = (kind == "one always loses") & ((left == MODELS - 1) | (right == MODELS - 1))
    result[(rng.random(VOTES) < TIES) & ~hopeless] = 0.5
    pair = np.column_stack([left, right])
    clip = pair * PROMPTS + prompt[:, None]
    said = Compared(np.arange(MODELS), pair, result, clip, prompt, voter, np.ones(VOTES))
    found = fit_strengths(said, Parameters())
    spread = np.sqrt(2 * (taste_sd**2 + HARD**2))
    return found, limit(strength[found.compared.items], rng.normal(0, spread, 20_000))


def limit(strength: Floats, differences: Floats) -> Floats:
    """Returns the strengths that votes of ever more people on ever more prompts come to."""
    left, right = np.triu_indices(len(strength), 1)
    chance = expit((strength[left] - strength[right])[:, None] + differences).mean(1) * (1 - TIES) + TIES / 2
    pairs, ones = np.column_stack([left, right]), np.ones(len(left))
    fit = BradleyTerry().fit(np.vstack([pairs, pairs]), np.concatenate([ones, 0 * ones]), np.append(chance, 1 - chance))
    return fit.strengths_


@pytest.mark.parametrize("kind", ["plain", "heavy voters", "sides by name", "one always loses"])
def test_intervals_of_strengths_cover_what_everybody_would_say(kind: str) -> None:
    covered: list[bool] = []
    for seed in range(WORLDS):
        found, truth = world(kind, seed)
        assert len(found.unranked) == (kind == "one always loses")
        assert len(truth) == MODELS - len(found.unranked)
        fit = found.fit
        assert fit is not None
        low, high = confidence_intervals(fit.strengths_, fit.covariance_, 0.95, found.compared.degrees)
        covered += ((low <= truth) & (truth <= high)).tolist()
    assert 0.91 <= np.mean(covered) <= 0.98
