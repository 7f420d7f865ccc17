"""A/A worlds: every model version goes by two names, so that any difference between the two is a false claim."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from clapometer.simulation.config import WorldConfig
from clapometer.simulation.world import Models, World, build_world

__all__ = ["build_twins"]


def build_twins(config: WorldConfig, seed: int) -> World:
    """The world of `seed` in which versions 2m and 2m + 1 are the same: a coin named each clip.

    All confounders stay on. `config.n_models` counts the versions; the names are twice as many.
    """
    world = build_world(config, seed)
    coin = np.random.default_rng([seed, 1]).integers(0, 2, len(world.clips.model))
    # A repost keeps its original's name, and so do all tries of one creator.
    coin = coin[world.clips.attempt]
    return replace(
        world,
        config=replace(config, n_models=2 * config.n_models),
        models=Models(**{name: np.repeat(getattr(world.models, name), 2, axis=0) for name in Models.__slots__}),
        prompts=replace(world.prompts, match=np.repeat(world.prompts.match, 2, axis=1)),
        clips=replace(world.clips, model=2 * world.clips.model + coin),
    )
