"""Which model version a ranking says to be the first for certain, with and without what could have been bought."""

from __future__ import annotations

import numpy as np

from clapometer.contestants import Observation
from clapometer.ranking import Budget, ClipAIPW, PromptFixedEffects, Ranked
from clapometer.training.boards.robustness import buyable_effects, pushes, reach_of
from clapometer.training.boards.scores import Scores
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.cells import Cells
from clapometer.training.evidence.evidence import Sample

__all__ = ["claimed_first"]


def claimed_first(seen: Observation, budget: Budget | None = None) -> tuple[int | None, int | None]:
    """Returns the model version that is first for certain, by chance alone and whatever could have been bought.

    None where the ranking leaves open which it is.
    """
    clip = ClipAIPW().fit(seen.cells, seen.clips)
    units, doubt = clip.units_, None if clip.normalised_.any() else clip.opportunities_
    items = np.column_stack([seen.clips.model[units], seen.clips.prompt[units], seen.clips.strata[units]])
    fit = PromptFixedEffects(curvature=0.5, borrow=True).fit(
        items, clip.scores_, opportunity=doubt, time=clip.time_doubt_
    )
    nothing = np.zeros(len(seen.cells))
    cells = Cells(seen.cells, seen.cells.sum_weighted_exposure, nothing, nothing, nothing)
    part = Slice("all", "", cells, np.arange(len(seen.clips)), seen.clips)
    scores = Scores(units, clip.scores_, clip.opportunities_, clip.opportunities_, ClipAIPW().prior_strength)
    log = seen.log
    sample = Sample(log.clip, log.viewer, log.day, seen.label, seen.examination, seen.weight)
    found = pushes(sample, part, scores, reach_of(part, scores))
    shown = np.bincount(seen.clips.model[log.clip]).astype(np.float64)
    buyable = buyable_effects(found, sample, fit, shown, budget or Budget())
    places = [place for place in fit.ranking() if isinstance(place, Ranked)]
    honest = buyable.honest(places, fit, [float(shown[place.item]) for place in places])
    return _first(places), _first(honest)


def _first(places: list[Ranked]) -> int | None:
    return next((place.item for place in places if place.rank_range[1] == 1), None)
