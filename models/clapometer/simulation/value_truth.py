"""What is true of single prompts and clips, precisely enough to judge an order of thousands of them.

`compute_truth` integrates over viewers of its own for every prompt: right for model versions, whose values are
means over all prompts, but at its usual size two such integrations of the same prompts correlate at 0.78 only.
Here all prompts meet the same viewers, moods and slots, so that what differs between two of them is themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clapometer.simulation.behaviour import Seen, signal_chances
from clapometer.simulation.truth import Label, _chance, _fresh_clips, _with_clip
from clapometer.simulation.world import World

__all__ = ["clip_values", "prompt_values"]

Floats = NDArray[np.float64]
Random = np.random.Generator

SECOND_SURFACE = 0.4
"""Share of the sessions that are on the second surface."""


def prompt_values(world: World, label: Label, seed: int = 4, draws: int = 160) -> tuple[Floats, Floats]:
    """Expected label and expected satisfaction of each prompt over model versions alike, ``(n_prompts,)`` each.

    Args:
        world: The latent world.
        label: The label whose expectation is wanted.
        seed: Of the integration.
        draws: Viewers with slots, and fresh clips of every prompt, per model version. The error is about 2 % of
            the spread between prompts.
    """
    n_models, n_prompts = world.config.n_models, world.config.n_prompts
    value, utility = np.zeros((2, n_prompts))
    random = np.random.default_rng(seed)
    for turn in range(draws // 2):
        for model in range(n_models):
            shown = _one_viewer(world, random, turn * n_models + model, world.prompts.topic)
            for seen in _fresh_clips(world, _chance(world, random), model, shown):
                value += label.combine(signal_chances(world.config, seen), seen.log_duration)
                utility += expit(seen.appeal)
    n = draws // 2 * 2 * n_models
    return value / n, utility / n


def clip_values(world: World, label: Label, seed: int = 5, draws: int = 200) -> Floats:
    """Expected label of every existing clip under uniform exposure, ``(n_clips,)``.

    Args:
        world: The latent world.
        label: The label whose expectation is wanted.
        seed: Of the integration.
        draws: Viewers with slots, the same for all clips.
    """
    clips, random = world.clips, np.random.default_rng(seed)
    value = np.zeros(len(clips.appeal))
    for turn in range(draws):
        shown = _one_viewer(world, random, turn, world.prompts.topic[clips.prompt])
        seen = _with_clip(shown, clips.appeal, clips.hook, clips.log_duration)
        value += label.combine(signal_chances(world.config, seen), seen.log_duration)
    return value / draws


def _one_viewer(world: World, random: Random, turn: int, topic: NDArray[np.int64]) -> Seen:
    """One viewer, session and slot for everything; turns go through the positions one after another."""
    config, n = world.config, len(topic)
    viewer = random.choice(config.n_viewers, p=world.viewers.activity)
    zeros = np.zeros(n)
    return Seen(
        appeal=world.viewers.taste[viewer, topic],
        leniency=np.full(n, world.viewers.leniency[viewer]),
        mood=np.full(n, random.normal(0, config.mood_spread)),
        hook=zeros,
        log_duration=zeros,
        shift=zeros,
        position=np.full(n, float(turn % config.slots_per_session)),
        surface=np.full(n, float(random.random() < SECOND_SURFACE)),
    )
