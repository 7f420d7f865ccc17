"""Engagement simulated from real human scores, shown by a feed that has favourites: does the order come back?

Every world draws prompts with replacement, so that the human scores are a sample of a known population. The feed
prefers one model's clips, the more so in upper slots and for viewers who like everything; a tenth of the slots is
filled uniformly at random, and propensities are logged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import kendalltau

from clapometer.contestants import naive_bradley_terry, raw_mean, session_pairs
from clapometer.ranking import (
    ClipAIPW,
    ClipCells,
    ClipTable,
    PromptFixedEffects,
    confidence_intervals,
    opportunities,
    position_curve,
)

__all__ = ["Recovery", "recover_scores"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SLOTS = 8
EXPLORE = 0.1
EXAMINED = 1 / (1 + 0.15 * np.arange(SLOTS))
LENIENCY = np.array([-0.8, 0.8])


@dataclass(frozen=True, slots=True, eq=False)
class Recovery:
    """What came back, per world.

    Attributes:
        tau: Kendall's tau of our effects with the truth, ``(n_worlds,)``.
        right: Whether the whole order is right.
        covered: Share of the models whose interval covers the truth.
        others: Tau of raw like rate and naive Bradley-Terry.
    """

    tau: Floats
    right: Floats
    covered: Floats
    others: dict[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class _Log:
    """Impressions; ``clip`` is ``prompt * n_models + model``."""

    clip: Ints
    viewer: Ints
    session: Ints
    position: Ints
    explored: NDArray[np.bool_]
    propensity: Floats
    label: Floats


def recover_scores(scores: Floats, *, worlds: int, seed: int, prompts: int = 1_500, sessions: int = 30_000) -> Recovery:
    """Returns how often our chain finds the order that the scores imply.

    Args:
        scores: Mean human score, ``(n_prompts, n_models)``.
        worlds: Simulated logs.
        seed: Of the first; the others follow.
        prompts: Drawn with replacement for every world.
        sessions: Of eight slots each, per world.
    """
    found = [_world(scores, np.random.default_rng([seed, k]), prompts, sessions) for k in range(worlds)]
    tau, right, covered, like, duel = np.array(found).T
    return Recovery(tau, right, covered, {"raw like rate": like, "naive Bradley-Terry on session pairs": duel})


def _chance(scores: Floats, leniency: Floats) -> Floats:
    """Chance of a like by a viewer who looks: a quarter for a middling clip."""
    chance: Floats = expit(-1.1 + 0.9 * (scores - 3) + leniency)
    return chance


def _world(scores: Floats, random: np.random.Generator, prompts: int, sessions: int) -> tuple[float, ...]:
    drawn = scores[random.integers(0, len(scores), prompts)]
    truth = np.mean([_chance(scores, lenient).mean(0) for lenient in LENIENCY], axis=0) * EXAMINED.mean()
    log = _simulate(drawn, random, sessions)
    n_models = scores.shape[1]
    fit = _ours(log, drawn.shape)
    gap = truth - truth.mean()
    low, high = confidence_intervals(fit.effects_, fit.covariance_, 0.95, fit.degrees_of_freedom_)
    model = log.clip % n_models
    duels = session_pairs(log.session, model, log.label)
    return (
        float(kendalltau(fit.effects_, truth)[0]),
        float((np.argsort(fit.effects_) == np.argsort(truth)).all()),
        float(((low <= gap) & (gap <= high)).mean()),
        float(kendalltau(raw_mean(model, log.label, n_models).values, truth)[0]),
        float(kendalltau(naive_bradley_terry(*duels, n_models).values, truth)[0]),
    )


def _simulate(scores: Floats, random: np.random.Generator, sessions: int) -> _Log:
    prompts, n_models = scores.shape
    n_clips = scores.size
    # The worst model is pushed, the best one held back, and single clips have luck with the feed.
    push = np.linspace(-0.7, 0.7, n_models)[np.argsort(np.argsort(-scores.mean(0)))]
    liking = np.tile(push, prompts) + random.normal(0, 0.7, n_clips)
    cohort = random.integers(0, 2, sessions // 6 + 1)
    viewer = random.integers(0, len(cohort), sessions)
    clip, propensity = np.empty((sessions, SLOTS), np.int64), np.empty((sessions, SLOTS))
    explored = random.random((sessions, SLOTS)) < EXPLORE
    for position in range(SLOTS):
        for kind in (0, 1):
            rows = np.flatnonzero(cohort[viewer] == kind)
            weight = np.exp(liking * (1.2 - 0.1 * position) * (0.6 + 0.8 * kind))
            share = weight / weight.sum()
            chosen = random.choice(n_clips, len(rows), p=share)
            anything = random.integers(0, n_clips, len(rows))
            clip[rows, position] = np.where(explored[rows, position], anything, chosen)
            propensity[rows, position] = EXPLORE / n_clips + (1 - EXPLORE) * share[clip[rows, position]]
    chance = _chance(scores.ravel()[clip], LENIENCY[cohort[viewer]][:, None]) * EXAMINED
    return _Log(
        clip=clip.ravel(),
        viewer=np.repeat(viewer, SLOTS),
        session=np.repeat(np.arange(sessions), SLOTS),
        position=np.tile(np.arange(SLOTS), sessions),
        explored=explored.ravel(),
        propensity=propensity.ravel(),
        label=(random.random(clip.shape) < chance).astype(float).ravel(),
    )


def _ours(log: _Log, shape: tuple[int, ...]) -> PromptFixedEffects:
    n_clips, n_models = shape[0] * shape[1], shape[1]
    day = np.zeros(len(log.clip), np.int64)
    counts = np.bincount(log.position).astype(float)
    curve = position_curve(
        np.zeros(SLOTS, np.int64),
        np.arange(SLOTS),
        counts / n_clips,
        np.bincount(log.position, log.explored).astype(float),
        np.bincount(log.position, log.explored * log.label).astype(float),
    )
    weight = 1 / (log.propensity * n_clips)
    cells = ClipCells.from_impressions(
        log.clip, day, log.viewer % 2, label=log.label, examination=curve[log.position], weight=weight
    )
    rows = np.arange(n_clips)
    published = np.zeros(n_clips, np.int64)
    slots = np.array([len(log.clip) / n_clips])
    table = ClipTable(rows, rows % n_models, rows // n_models, published, opportunity=opportunities(slots, published))
    scores = ClipAIPW().fit(cells, table)
    X = np.column_stack([table.model[scores.units_], table.prompt[scores.units_]])
    return PromptFixedEffects().fit(X, scores.scores_, opportunity=scores.opportunities_, time=scores.time_doubt_)
