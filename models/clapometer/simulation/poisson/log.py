"""The log of a world of the second family, in the columns of `EngagementLog`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapometer.simulation.log import EngagementLog
from clapometer.simulation.poisson.feed import fill
from clapometer.simulation.poisson.world import WEIGHTS, PoissonWorld, examined, reaction_rates

__all__ = ["label_of", "simulate_poisson"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Random = np.random.Generator

_DISLIKED = 0.01


def simulate_poisson(world: PoissonWorld, seed: int) -> EngagementLog:
    """The log of `world`, in which each day's feed learns from the days before."""
    random = np.random.default_rng([seed, 3])
    shown, liked = np.zeros((2, len(world.model)))
    days = []
    for day in range(world.config.n_days):
        rows = _day(world, random, day, ((liked + 1) / (shown + 1 / world.config.base_rate)) ** world.config.favour)
        shown += np.bincount(rows["clip"], minlength=len(shown))
        liked += np.bincount(rows["clip"], rows["like"], len(liked))
        days.append(rows)
    return EngagementLog(**{name: np.concatenate([rows[name] for rows in days]) for name in EngagementLog.__slots__})


def label_of(log: EngagementLog) -> Floats:
    """Label of every impression of a log of this family, ``(n_impressions,)``."""
    label: Floats = np.sum([weight * getattr(log, name) for name, weight in WEIGHTS.items()], axis=0)
    return label


def _day(world: PoissonWorld, random: Random, day: int, favour: Floats) -> dict[str, NDArray[np.generic]]:
    config = world.config
    n = config.slots_a_day
    session = np.arange(n) // config.positions
    viewer = random.integers(0, config.n_viewers, session[-1] + 1)[session]
    position = np.arange(n) % config.positions
    shown = fill(world, random, viewer, np.flatnonzero(world.shown_from <= day), favour)
    rows = {
        "viewer": viewer,
        "session": session + day * n,
        "clip": shown.clip,
        "day": np.full(n, day),
        "second": np.sort(random.integers(0, 86_400, n)),
        "position": position,
        "surface": np.zeros(n, np.int64),
        "explored": shown.explored,
        "propensity": shown.propensity,
        "candidates": shown.candidates,
        "delay_days": np.zeros(n, np.int64),
        "returned": np.zeros(n, bool),
        "bot": np.zeros(n, bool),
    }
    return rows | _answers(world, random, shown.clip, _rate(world, viewer, shown.clip, position, day))


def _rate(world: PoissonWorld, viewer: Ints, clip: Ints, position: Ints, day: int) -> Floats:
    age = day - world.shown_from[clip]
    novelty = 1 + world.config.novelty * np.exp(-age / world.config.novelty_days)
    here = world.day_factor[day] * world.version_factor[world.model[clip], day]
    rate: Floats = world.rate[clip] * world.leniency[viewer] * examined(position) * novelty * here
    return rate


def _answers(world: PoissonWorld, random: Random, clip: Ints, rate: Floats) -> dict[str, NDArray[np.generic]]:
    """What viewers do, whose rate of reactions is `rate`; whoever reacts more watches longer."""
    n = len(clip)
    duration = world.duration_ms[clip]
    watched = random.exponential(4_000 + 40_000 * np.minimum(rate, 1.0), n)
    reactions = {name: random.poisson(each) > 0 for name, each in reaction_rates(rate).items()}
    return reactions | {
        "dislike": random.poisson(_DISLIKED, n) > 0,
        "watched_ms": np.floor(np.minimum(watched, duration)),
        "complete": watched >= duration,
    }
