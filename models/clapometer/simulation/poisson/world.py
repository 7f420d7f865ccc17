"""The latent world of the second family, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gamma

from clapometer.simulation.poisson.config import PoissonConfig

__all__ = ["WEIGHTS", "PoissonWorld", "build_poisson", "examined", "poisson_truth", "reaction_rates"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Random = np.random.Generator

WEIGHTS = {"like": 1.0, "save": 1.5, "share": 1.5}
"""What a reaction is worth in the label."""
_SHARE_OF_RATE = {"like": 1.0, "save": 0.35, "share": 0.15}
_POINTS = 24
"""Of the quadrature over the luck of clips and the leniency of viewers."""


@dataclass(frozen=True, slots=True, eq=False)
class PoissonWorld:
    """A world of the second family.

    Attributes:
        config: Its size and what misleads.
        quality: Of each version, ``(n_models,)``, mean 1.
        ease: Of each prompt, ``(n_prompts,)``.
        model: Of each clip, ``(n_clips,)``.
        prompt: Of each clip.
        rate: Reactions per impression of each clip by a usual viewer on a usual day.
        shown_from: First day on which the clip can be shown.
        registered_day: Day on which it was registered, as the log tells.
        duration_ms: Of each clip.
        leniency: Of each viewer, mean 1.
        day_factor: Of all rates, ``(n_days,)``, mean 1.
        version_factor: The same for each version alone, ``(n_models, n_days)``.
    """

    config: PoissonConfig
    quality: Floats
    ease: Floats
    model: Ints
    prompt: Ints
    rate: Floats
    shown_from: Ints
    registered_day: Ints
    duration_ms: Floats
    leniency: Floats
    day_factor: Floats
    version_factor: Floats


def _draws(random: Random, spread: float, size: tuple[int, ...]) -> Floats:
    return random.gamma(1 / spread**2, spread**2, size) if spread else np.ones(size)


def build_poisson(config: PoissonConfig, seed: int) -> PoissonWorld:
    """The world of `seed`: the same arguments give the same world."""
    random = np.random.default_rng([seed, 2])
    quality = _draws(random, config.quality_spread, (config.n_models,))
    ease = _draws(random, config.prompt_spread, (config.n_prompts,))
    prompt, model = np.nonzero(random.random((config.n_prompts, config.n_models)) < config.rendered)
    luck = _draws(random, config.clip_spread, (len(prompt),))
    launch = np.array([config.launch_day(each) for each in range(config.n_models)])[model]
    wait = random.integers(0, config.publishing_days, len(model)) if config.publishing_days else 0
    shown_from = np.minimum(launch + wait, config.n_days - 1)
    days = np.arange(config.n_days)
    phase = random.uniform(0, 7)
    factor = 1 + config.week * np.sin(2 * np.pi * (days + phase) / 7)
    factor = factor * (1 + config.drift * (days / max(config.n_days - 1, 1) - 0.5))
    return PoissonWorld(
        config=config,
        quality=quality,
        ease=ease,
        model=model,
        prompt=prompt,
        rate=config.base_rate * quality[model] * ease[prompt] * luck,
        shown_from=shown_from,
        registered_day=np.zeros_like(shown_from) if config.registered_at_once else shown_from,
        duration_ms=random.gamma(6, 1_500, len(model)) + 1_000,
        leniency=_draws(random, config.viewer_spread, (config.n_viewers,)),
        day_factor=factor / factor.mean(),
        version_factor=_draws(random, config.version_drift, (config.n_models, config.n_days)),
    )


def examined(position: Ints) -> Floats:
    """How much a position is looked at, the first one being 1."""
    return np.asarray((1.0 + position) ** -0.35, np.float64)


def reaction_rates(rate: Floats) -> dict[str, Floats]:
    """Mean number of each reaction, by name, where the rate of them is `rate`."""
    return {name: share * rate for name, share in _SHARE_OF_RATE.items()}


def poisson_truth(world: PoissonWorld) -> Floats:
    """Mean label of each version over all prompts alike, shown by chance, of old clips on a usual day, ``(n_models,)``.

    Integrated over the luck of clips, the leniency of viewers and positions; never from a log.
    """
    config = world.config
    middle = (np.arange(_POINTS) + 0.5) / _POINTS

    def points(spread: float) -> Floats:
        found: Floats = gamma.ppf(middle, 1 / spread**2, scale=spread**2) if spread else np.ones(1)
        return np.asarray(found / found.mean(), np.float64)

    looked = examined(np.arange(config.positions))
    spread = np.multiply.outer(np.multiply.outer(points(config.clip_spread), points(config.viewer_spread)), looked)
    rate = np.multiply.outer(np.multiply.outer(config.base_rate * world.quality, world.ease), spread.ravel())
    chances = {name: -np.expm1(-each) for name, each in reaction_rates(rate).items()}
    truth: Floats = np.sum([WEIGHTS[name] * chance for name, chance in chances.items()], axis=0).mean((1, 2))
    return truth
