"""From a simulated log to what an estimator is given: the same statistics that the lake's SQL makes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking import ClipCells, ClipTable, available_days, first_days, opportunities, position_curve, sum_by
from clapometer.simulation.log import EngagementLog, seen_by
from clapometer.simulation.poisson import PoissonWorld, label_of
from clapometer.simulation.truth import Label
from clapometer.simulation.world import MATURITY_DAYS, World

__all__ = ["Observation", "clip_table", "observe", "observe_poisson", "screened"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLIND_MS = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """Inputs of the estimators, and the impressions they came from.

    Attributes:
        log: Impressions that count: mature, and not by fake accounts.
        label: Of each impression, ``(n_impressions,)``.
        examination: Of each impression's slot.
        weight: Uniform-exposure weight, 0 where the propensity is missing.
        cells: `ClipCells` of them.
        clips: `ClipTable` with opportunities.
    """

    log: EngagementLog
    label: Floats
    examination: Floats
    weight: Floats
    cells: ClipCells
    clips: ClipTable


def observe(world: World, log: EngagementLog, label: Label, until_day: int | None = None) -> Observation:
    """What is known on `until_day` (exclusive; the end of the log when None), with a maturity window."""
    today = world.config.n_days if until_day is None else until_day
    last = today - MATURITY_DAYS
    log = screened(seen_by(today, log))
    log = log.where(log.day < last)
    return _summed(log, label.of(world, log), clip_table(world, log, last))


def observe_poisson(world: PoissonWorld, log: EngagementLog) -> Observation:
    """What is known at the end of a log of the second family, in which reactions come at once."""
    logged = ~np.isnan(log.propensity)
    slots = sum_by(log.day[logged], 1.0 / log.candidates[logged], world.config.n_days)
    rows = np.arange(len(world.model))
    shown = first_days(log.clip, log.day, np.ones(len(log)), len(rows))
    published = available_days(world.registered_day, shown, world.model, slots)
    chances = None if world.config.retrieval else opportunities(slots, published)
    return _summed(log, label_of(log), ClipTable(rows, world.model, world.prompt, published, opportunity=chances))


def _summed(log: EngagementLog, label: Floats, clips: ClipTable) -> Observation:
    examined = _examination(log, label)
    weight = np.nan_to_num(1.0 / (log.propensity * log.candidates), nan=0.0)
    if not weight.any():  # Without any propensity all impressions count alike, and nothing is promised.
        weight = np.ones(len(log))
    cells = ClipCells.from_impressions(
        log.clip, log.day, log.viewer % 2, label=label, examination=examined, weight=weight
    )
    return Observation(log, label, examined, weight, cells, clips)


def screened(log: EngagementLog) -> EngagementLog:
    """The log without viewers who like without watching."""
    n = int(log.viewer.max()) + 1
    likes = np.bincount(log.viewer, log.like, n)
    blind = np.bincount(log.viewer, log.like & (log.watched_ms < BLIND_MS), n)
    fake = (likes >= 5) & (blind > 0.5 * likes)
    return log.where(~fake[log.viewer])


def clip_table(world: World, log: EngagementLog, n_days: int) -> ClipTable:
    """Clips with the opportunity that the slots with a propensity gave them."""
    clips = world.clips
    logged = ~np.isnan(log.propensity)
    slots = sum_by(log.day[logged], 1.0 / log.candidates[logged], n_days)
    opportunity = opportunities(slots, clips.published_day) * clips.published
    return ClipTable(
        unit=clips.unit,
        model=clips.model,
        prompt=clips.prompt,
        published_day=clips.published_day,
        stratum=world.prompts.topic[clips.prompt],
        opportunity=opportunity if logged.any() else None,
    )


def _examination(log: EngagementLog, label: Floats) -> Floats:
    width = int(log.position.max()) + 1
    slot = log.surface * width + log.position
    n = 2 * width
    curve = position_curve(
        np.arange(n) // width,
        np.arange(n) % width,
        sum_by(slot, ~np.isnan(log.propensity) / log.candidates, n),
        sum_by(slot, log.explored.astype(float), n),
        sum_by(slot, label * log.explored, n),
    )
    examined: Floats = curve[slot]
    return examined
