"""The feed of the second family: which clip a slot shows, and with which chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clapometer.simulation.poisson.world import PoissonWorld

__all__ = ["RETRIEVALS", "Retrieval", "Shown", "fill"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Random = np.random.Generator

Retrieval = Callable[[PoissonWorld, Random, Ints, Ints], Ints]
"""World, chance, viewer of each slot and the clips that are there to the candidates of each slot, ``(n_slots, k)``."""

_OFFERED, _LEANING = 30, 4.0
"""Candidates of a slot, and how many times as often a version is offered to the viewers that it is meant for."""


def lean_by_viewer(world: PoissonWorld, random: Random, viewer: Ints, available: Ints) -> Ints:
    """Later versions are offered to lenient viewers more often than to the others, and earlier ones less often."""
    newer = world.model[available] >= world.config.n_models / 2
    lenient = world.leniency[viewer] > np.median(world.leniency)
    found = np.empty((len(viewer), _OFFERED), np.int64)
    for kind in (False, True):
        rows = np.flatnonzero(lenient == kind)
        share = np.where(newer == kind, _LEANING, 1.0)
        found[rows] = random.choice(available, (len(rows), _OFFERED), p=share / share.sum())
    return found


def own_variants(world: PoissonWorld, random: Random, viewer: Ints, available: Ints) -> Ints:
    """Each slot is of one prompt, popular ones more often, and its clips are the candidates: an ordinary A/B form."""
    config = world.config
    by_prompt = np.argsort(world.prompt[available], kind="stable")
    clips = available[by_prompt].reshape(-1, config.n_models)
    asked = 1.0 / np.arange(1, len(clips) + 1)
    return clips[random.choice(len(clips), len(viewer), p=asked / asked.sum())]


RETRIEVALS: dict[str, Retrieval] = {"by viewer": lean_by_viewer, "own variants": own_variants}
"""Stages that choose candidates by viewer, by name; `PoissonConfig.retrieval` names one."""


class Shown(NamedTuple):
    """What a day's slots show, ``(n_slots,)`` each; the log is told the last three as the feed knows them."""

    clip: Ints
    explored: Bools
    propensity: Floats
    candidates: Ints


def fill(world: PoissonWorld, random: Random, viewer: Ints, available: Ints, favour: Floats) -> Shown:
    """Fills a day's slots.

    Args:
        world: The world.
        random: Source of chance.
        viewer: Of each slot.
        available: Clips that are there.
        favour: How much the feed likes each clip of the world, positive.
    """
    config, n = world.config, len(viewer)
    explored = random.random(n) < config.explore
    if config.retrieval:
        offered = RETRIEVALS[config.retrieval](world, random, viewer, available)
        weight = favour[offered]
        candidates = np.full(n, offered.shape[1])
        best = (np.cumsum(weight, 1) < random.random((n, 1)) * weight.sum(1, keepdims=True)).sum(1)
        column = np.where(explored, random.integers(0, offered.shape[1], n), np.minimum(best, offered.shape[1] - 1))
        rows = np.arange(n)
        clip, share = offered[rows, column], weight[rows, column] / weight.sum(1)
    else:
        weight = favour[available]
        reach = np.cumsum(weight) / weight.sum()
        best = np.searchsorted(reach, random.random(n), side="right")
        column = np.where(explored, random.integers(0, len(available), n), np.minimum(best, len(available) - 1))
        clip, share = available[column], (weight / weight.sum())[column]
        candidates = np.full(n, len(available))
    chance = config.explore / candidates + (1 - config.explore) * share
    if config.everything_explored:
        return Shown(clip, np.ones(n, bool), 1 / candidates, candidates)
    return Shown(clip, explored, chance, candidates)
