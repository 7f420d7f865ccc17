"""What is true of a world, computed from its latent variables and never from its log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clapometer.simulation.behaviour import SIGNALS, Seen, signal_chances
from clapometer.simulation.log import EngagementLog
from clapometer.simulation.world import DURATION_SPREAD, Tries, World, creator_tries, draw_tries

__all__ = ["Label", "Truth", "clip_truth", "compute_truth", "fit_label"]

Floats = NDArray[np.float64]
Random = np.random.Generator

DEFAULT_WEIGHTS = (0.25, 1.0, 1.5, 1.5, -1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Label:
    """A weighted sum of signals, completion relative to what is usual for the duration.

    Attributes:
        weights: In the order of `SIGNALS`.
        log_duration: Grid of the completion curve, ``(n_grid,)``.
        completion: Usual completion on the grid relative to the overall one.
    """

    weights: tuple[float, ...]
    log_duration: Floats
    completion: Floats

    def combine(self, signals: Floats, log_duration: Floats) -> Floats:
        """Label, or expected label, from signals or their chances ``(5, n)``, ``(n,)``."""
        factor = np.array(self.weights)[:, None] * np.ones_like(signals)
        factor[0] /= np.interp(log_duration, self.log_duration, self.completion)
        total: Floats = (factor * signals).sum(0)
        return total

    def of(self, world: World, log: EngagementLog) -> Floats:
        """Label of every impression of `log`, ``(n_impressions,)``."""
        signals = np.stack([getattr(log, name) for name in SIGNALS]).astype(float)
        return self.combine(signals, world.clips.log_duration[log.clip])


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Expected values under uniform exposure, over all prompts alike, on an average day, without novelty.

    Attributes:
        models: Expected label of each model version's published clips, ``(n_models,)``: the estimand.
        utility: Expected satisfaction, ``(n_models,)``: what one would like to know.
        prompts: Expected label of each prompt over model versions alike, ``(n_prompts,)``.
        prompt_utility: Expected satisfaction of each prompt.
    """

    models: Floats
    utility: Floats
    prompts: Floats
    prompt_utility: Floats


def fit_label(world: World, weights: tuple[float, ...] = DEFAULT_WEIGHTS, seed: int = 1) -> Label:
    """The label of `weights` with the world's true completion curve."""
    random = np.random.default_rng(seed)
    grid = np.linspace(-1.6, 1.6, 17)
    n = 4000
    clip = random.choice(np.flatnonzero(world.clips.published), n)
    completion = np.empty(len(grid))
    for i, log_duration in enumerate(grid):
        seen = _shown(world, np.random.default_rng(seed), world.prompts.topic[world.clips.prompt[clip]])
        seen = _with_clip(seen, world.clips.appeal[clip], world.clips.hook[clip], np.full(n, log_duration))
        completion[i] = signal_chances(world.config, seen)[0].mean()
    usual = np.interp(world.clips.log_duration[clip], grid, completion).mean()
    return Label(weights, grid, completion / usual)


def compute_truth(world: World, label: Label, seed: int = 2, repeats: int = 24) -> Truth:
    """Integrates over viewers, sessions, positions and fresh clips of every prompt and model version.

    Draws are common to all model versions and antithetic in clip luck and mood, which makes the error of
    a contrast about 1 % of the spread of the truth at 5,000 prompts.

    Args:
        world: The latent world.
        label: The label whose expectation is wanted.
        seed: Of the integration.
        repeats: Fresh clips per prompt and model version.
    """
    n_models, n_prompts = world.config.n_models, world.config.n_prompts
    value = np.zeros((n_models, n_prompts))
    utility = np.zeros((n_models, n_prompts))
    for repeat in range(repeats // 2):
        random = np.random.default_rng([seed, repeat])
        shown = _shown(world, random, world.prompts.topic)
        chance = _chance(world, random)
        for model in range(n_models):
            for seen in _fresh_clips(world, chance, model, shown):
                value[model] += label.combine(signal_chances(world.config, seen), seen.log_duration)
                utility[model] += expit(seen.appeal)
    n = repeats // 2 * 2
    return Truth(value.mean(1) / n, utility.mean(1) / n, value.mean(0) / n, utility.mean(0) / n)


def clip_truth(world: World, label: Label, seed: int = 3, repeats: int = 50) -> Floats:
    """Expected label of every existing clip under uniform exposure, ``(n_clips,)``."""
    clips, random = world.clips, np.random.default_rng(seed)
    value = np.zeros(len(clips.appeal))
    for _ in range(repeats):
        shown = _shown(world, random, world.prompts.topic[clips.prompt])
        seen = _with_clip(shown, clips.appeal, clips.hook, clips.log_duration)
        value += label.combine(signal_chances(world.config, seen), seen.log_duration)
    return value / repeats


def _shown(world: World, random: Random, topic: NDArray[np.int64]) -> Seen:
    """Random viewers, sessions and slots under uniform exposure; `appeal` holds the viewers' taste."""
    config, n = world.config, len(topic)
    viewer = random.choice(config.n_viewers, n, p=world.viewers.activity)
    zeros = np.zeros(n)
    return Seen(
        appeal=world.viewers.taste[viewer, topic],
        leniency=world.viewers.leniency[viewer],
        mood=random.normal(0, config.mood_spread, n),
        hook=zeros,
        log_duration=zeros,
        shift=zeros,
        position=random.integers(0, config.slots_per_session, n).astype(float),
        surface=(random.random(n) < 0.4).astype(float),
    )


def _with_clip(shown: Seen, appeal: Floats, hook: Floats, log_duration: Floats, flip_mood: bool = False) -> Seen:
    return Seen(
        appeal=shown.appeal + appeal,
        leniency=shown.leniency,
        mood=-shown.mood if flip_mood else shown.mood,
        hook=hook,
        log_duration=log_duration,
        shift=shown.shift,
        position=shown.position,
        surface=shown.surface,
    )


class _Chance(NamedTuple):
    """What makes two clips of one prompt and model version differ, ``(n_prompts, ...)`` each."""

    tries: Tries
    mirrored: Tries
    hook: Floats
    duration: Floats


def _chance(world: World, random: Random) -> _Chance:
    config, n = world.config, world.config.n_prompts
    tries = draw_tries(config, random, n)
    # Choosing the best of several tries is not symmetric in luck: then the mirror image is drawn anew.
    mirrored = draw_tries(config, random, n) if config.selective_publishing else Tries(-tries.luck, None)
    return _Chance(tries, mirrored, random.normal(0, 0.5, n), random.normal(0, DURATION_SPREAD, n))


def _fresh_clips(world: World, chance: _Chance, model: int, shown: Seen) -> tuple[Seen, Seen]:
    """A new published clip of `model` for every prompt, and its mirror image in luck and mood."""
    models, prompts = world.models, world.prompts
    merit = models.quality[model] + models.by_topic[model, prompts.topic] + prompts.match[:, model]
    spread, rows = np.full(len(merit), models.clip_spread[model]), np.arange(len(merit))
    hook = models.hook[model] + chance.hook * world.config.hooks
    log_duration = chance.duration + models.log_duration[model] + 0.15 * prompts.from_image
    (luck, chosen), (mirrored, chosen_mirrored) = (
        creator_tries(tries, merit, spread) for tries in (chance.tries, chance.mirrored)
    )
    first = merit + prompts.ease + luck[rows, chosen]
    second = merit + prompts.ease + mirrored[rows, chosen_mirrored]
    return (
        _with_clip(shown, first, hook, log_duration),
        _with_clip(shown, second, hook, log_duration, flip_mood=True),
    )
