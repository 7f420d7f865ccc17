"""The feed: which clip a slot shows, with which propensity, and how the past decides it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.simulation.world import World

__all__ = ["Slots", "fill_slots", "insight", "popularity_scores"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Random = np.random.Generator

TYPICAL_RATE = 0.12


@dataclass(frozen=True, slots=True, eq=False)
class Slots:
    """One day's slots, ``(n_sessions, slots_per_session)`` each, columns are positions.

    `propensity` is the chance with which the policy shows this clip to this viewer in this slot. The upper
    the slot, the more the policy insists on its favourites: good clips sit on top.
    """

    clip: Ints
    explored: Bools
    propensity: Floats


def insight(world: World, random: Random) -> Floats:
    """What the feed knows of each clip's true appeal, ``(n_clips,)``, zeros without insider knowledge."""
    if not world.config.insider:
        return np.zeros(len(world.clips.appeal))
    clips = world.clips
    merit = clips.appeal - world.prompts.ease[clips.prompt] + world.prompts.difficulty[clips.prompt]
    return 0.75 * (merit + random.normal(0, 0.4, len(merit)))


def popularity_scores(world: World, shown: Floats, liked: Floats, insider: Floats) -> Floats:
    """The feed's score of each clip from its past, ``(n_clips,)``; bounded so that all keep a chance."""
    score = insider
    if world.config.popularity:
        rate = (liked + 2 * TYPICAL_RATE) / (shown + 2)
        score = score + 1.2 * np.log(rate / TYPICAL_RATE) + 0.25 * np.log1p(shown)
    bounded: Floats = np.clip(score - score.mean(), -2.5, 2.5)
    return bounded


def fill_slots(world: World, random: Random, *, viewer: Ints, surface: Ints, available: Ints, score: Floats) -> Slots:
    """Draws the slots of one day's sessions.

    Args:
        world: The latent world.
        random: Source of chance.
        viewer: Viewer of each session, ``(n_sessions,)``.
        surface: Of each session.
        available: Clips that may be shown, ``(n_available,)``.
        score: The feed's score of each available clip.
    """
    config = world.config
    shape = (len(viewer), config.slots_per_session)
    shelves = _shelves(world, available)
    explored = random.random(shape) < config.explore
    clip = available[random.integers(0, len(available), shape)]
    chance = np.empty(shape)
    for rows, columns, weight in _policies(world, viewer, surface, available, score):
        cell = np.ix_(rows, columns)
        drawn = _draw(world, random, viewer[rows], shelves, weight, len(columns))
        clip[cell] = np.where(explored[cell], clip[cell], drawn)
        chance[cell] = _chance(world, viewer[rows], shelves, weight, clip[cell])
    return Slots(clip, explored, config.explore / len(available) + (1 - config.explore) * chance)


@dataclass(frozen=True, slots=True, eq=False)
class _Shelves:
    """The clips that may be shown, sorted by topic: those of topic t are `order[start[t]:stop[t]]`."""

    available: Ints
    topic: Ints
    order: Ints
    start: Ints
    stop: Ints


def _shelves(world: World, available: Ints) -> _Shelves:
    topic = world.prompts.topic[world.clips.prompt[available]]
    stop = np.bincount(topic, minlength=world.config.n_topics).cumsum()
    start = np.concatenate([[0], stop[:-1]])
    return _Shelves(available, topic, np.argsort(topic, kind="stable"), start, stop)


def _policies(
    world: World, viewer: Ints, surface: Ints, available: Ints, score: Floats
) -> Iterator[tuple[Ints, Ints, Floats]]:
    """Sessions, positions and the weight of each available clip there, for every policy of the feed."""
    columns = np.arange(world.config.slots_per_session)
    sharpness = 1.3 - 0.3 * (3 * columns // len(columns)) if world.config.position else np.ones(len(columns))
    lenient = world.viewers.lenient_cohort[viewer]
    for cohort, place in itertools.product((False, True), (0, 1)):
        rows = np.flatnonzero((lenient == cohort) & (surface == place))
        tilt = _tilt(world, available, cohort, place)
        for level in np.unique(sharpness):
            yield rows, np.flatnonzero(sharpness == level), np.exp(level * score + tilt)


def _tilt(world: World, available: Ints, cohort: bool, place: int) -> Floats:
    """Newer model versions go to early adopters and to the second surface."""
    config = world.config
    strength = 0.6 * config.leniency * (cohort - 0.5) + 0.4 * config.surface * (place - 0.5)
    return strength * world.models.newness[world.clips.model[available]]


def _affinity(world: World, viewer: Ints, topic: Ints, weight: Floats) -> Floats:
    """Chance that an exploited slot goes to each topic, ``(n_sessions, n_topics)``."""
    total = np.bincount(topic, weight, world.config.n_topics)
    chance = np.exp(world.viewers.taste[viewer]) * total
    affinity: Floats = chance / chance.sum(1, keepdims=True)
    return affinity


def _draw(world: World, random: Random, viewer: Ints, shelves: _Shelves, weight: Floats, n_columns: int) -> Ints:  # noqa: PLR0917
    """A clip per slot: first a topic by the viewer's taste, then a clip of it by weight."""
    order, start, stop = shelves.order, shelves.start, shelves.stop
    before = np.concatenate([[0.0], np.cumsum(weight[order])])
    reach = _affinity(world, viewer, shelves.topic, weight).cumsum(1)
    dice = random.random((len(viewer), n_columns))
    chosen = (dice[:, :, None] > reach[:, None, :]).sum(2)
    chosen = np.minimum(chosen, np.flatnonzero(stop > start).max(initial=0))
    point = before[start[chosen]] + random.random(dice.shape) * (before[stop[chosen]] - before[start[chosen]])
    found = np.searchsorted(before, point, side="right") - 1
    clip: Ints = shelves.available[order[np.clip(found, start[chosen], stop[chosen] - 1)]]
    return clip


def _chance(world: World, viewer: Ints, shelves: _Shelves, weight: Floats, clip: Ints) -> Floats:
    """Chance of each shown clip in an exploited slot, ``(n_sessions, n_columns)`` as `clip`."""
    of_clip = np.zeros(len(world.clips.appeal))
    of_clip[shelves.available] = weight
    total = np.bincount(shelves.topic, weight, world.config.n_topics)
    shown = world.prompts.topic[world.clips.prompt[clip]]
    affinity = _affinity(world, viewer, shelves.topic, weight)
    chance: Floats = np.take_along_axis(affinity, shown, 1) * of_clip[clip] / total[shown]
    return chance
