"""Fake accounts that like the clips of one model version without watching them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapometer.simulation.world import World

__all__ = ["bot_impressions", "bot_target"]

IMPRESSIONS_EACH = 150


def bot_target(world: World) -> int:
    """The model version that buys likes: a mediocre one."""
    return int(np.argsort(world.models.quality)[world.config.n_models // 3])


def bot_impressions(world: World, random: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    """Columns of `EngagementLog` for everything the fake accounts do."""
    config, clips = world.config, world.clips
    n = config.bots * IMPRESSIONS_EACH
    published = np.flatnonzero(clips.published)
    bought = published[clips.model[published] == bot_target(world)]
    on_target = random.random(n) < 0.7
    clip = np.where(on_target, random.choice(bought, n), random.choice(published, n))
    day = np.maximum(random.integers(0, config.n_days, n), clips.published_day[clip])
    available = np.searchsorted(np.sort(clips.published_day[published]), day, side="right")
    fake = config.n_viewers + random.integers(0, config.bots, n)
    return {
        "viewer": fake,
        "session": config.n_sessions + random.integers(0, n // 10 + 1, n),
        "clip": clip,
        "day": day,
        "second": random.integers(0, 86_400, n),
        "position": random.integers(0, config.slots_per_session, n),
        "surface": np.ones(n, np.int64),
        "explored": np.zeros(n, bool),
        "propensity": 1.0 / available,
        "candidates": available,
        "watched_ms": np.floor(random.random(n) * 800.0),
        "complete": random.random(n) < 0.05,
        "like": on_target & (random.random(n) < 0.95),
        "save": on_target & (random.random(n) < 0.3),
        "share": on_target & (random.random(n) < 0.3),
        "dislike": np.zeros(n, bool),
        "delay_days": np.zeros(n, np.int64),
        "returned": random.random(n) < 0.9,
        "bot": np.ones(n, bool),
    }
