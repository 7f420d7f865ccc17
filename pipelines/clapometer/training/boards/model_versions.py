"""Statistics to rankings: model versions, prompts and templates, over everything and per segment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from clapometer.domain import InputError
from clapometer.ranking import (
    Budget,
    ClipAIPW,
    ClipCells,
    ClipTable,
    PromptFixedEffects,
    Ranked,
    TimeDoubt,
    TimeOffsets,
    always_valid_multiplier,
    available_days,
    first_days,
    opportunities,
    sum_by,
)
from clapometer.training.boards.buyable import NOT_FOR_SALE, Buyable
from clapometer.training.boards.rows import Row, Sheet, Slice, item_facts
from clapometer.training.evidence.cells import Cells
from clapometer.training.evidence.clips import Clips, strata
from clapometer.training.evidence.impressions import Impressions
from clapometer.training.evidence.screening import Scored

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Parameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything beside the label rule and the data that decides what a ranking says; recorded with every run.

    Attributes:
        segments: Dimensions that get rankings of their own.
        min_impressions: Impressions that a value of a segment needs.
        max_values: Values per segment, the most frequent.
        max_items: Prompts, and templates, that are listed, those with most impressions.
        max_segment_items: The same per value of a segment.
        max_pairs: Labelled pairs of clips per prompt.
        count_orphans: Count engagement without impression, which takes one more look at the events.
        drop_ads: Advertisements do not count.
        drop_watermarks: Clips with a watermark do not count.
        drop_reposts: Reposts do not count; else they count for the original.
        screen_viewers: Leave out viewers that are not people.
        ceiling_ratio: Of the clip scores.
        prior_strength: Of the clip scores.
        knots: Bends of the curve that days had in older runs; every day has an effect of its own since.
        interaction_ridge: Of the fixed effects.
        curvature: Of the fixed effects.
        borrow: Of the fixed effects.
        min_prompts: Of the fixed effects.
        level: Of all intervals.
        planned_error: Standard error of a difference, as a share of the mean label, at which the intervals for daily
            looks are tightest. To be chosen before looking.
        bought_viewers: A verdict stands without any so many viewers that one person could have made up; 0 asks nothing.
        bought_impressions: The most that they have together, of those that count.
        bought_days: Within how many days all of them were there.
    """

    segments: tuple[str, ...] = ("task", "scenario", "audience", "locale", "duration_band")
    min_impressions: int = 1_000
    max_values: int = 20
    max_items: int = 100_000
    max_segment_items: int = 1_000
    max_pairs: int = 20
    count_orphans: bool = True
    drop_ads: bool = True
    drop_watermarks: bool = True
    drop_reposts: bool = False
    screen_viewers: bool = True
    ceiling_ratio: float = 3.0
    prior_strength: float = 6.0
    knots: int = 4
    interaction_ridge: float = 4.0
    curvature: float = 0.5
    borrow: bool = True
    min_prompts: int = 20
    level: float = 0.95
    planned_error: float = 0.05
    bought_viewers: int = 200
    bought_impressions: int = 2_000
    bought_days: int = 3

    @property
    def budget(self) -> Budget:
        """What nobody may buy a verdict with."""
        return Budget(self.bought_viewers, self.bought_impressions, self.bought_days)


DEFAULT_PARAMETERS = Parameters()
LEFT_OUT = "every clip of it is withdrawn, an advertisement or has a watermark"


def slices(impressions: Impressions, clips: Clips, scored: Scored, parameters: Parameters) -> Iterator[Slice]:
    """Yields the clips and cells of every segment value with enough impressions, all of them first."""
    values = {
        segment: impressions.values(segment, parameters.min_impressions, parameters.max_values)
        for segment in parameters.segments
        if segment not in clips.segments
    }
    everything, found = impressions.cells(scored.tier, values)
    shown = first_days(everything.cells.clip, everything.cells.day, everything.cells.impressions, len(clips))
    slots = np.zeros_like(scored.slots) if scored.tier == "C" else scored.slots
    published = available_days(clips.registered_day - scored.first_day, shown, clips.model.index[clips.unit], slots)
    yield _slice(clips, everything, scored, published, segment="all")
    for segment in parameters.segments:
        if segment in clips.segments:
            codes = clips.segments[segment]
            seen = sum_by(codes.index[clips.unit][everything.cells.clip] + 1, everything.cells.impressions)[1:]
            for index in np.argsort(-seen, kind="stable")[: parameters.max_values].tolist():
                if seen[index] >= parameters.min_impressions:
                    chosen = codes.index[clips.unit] == index
                    yield _slice(
                        clips, everything, scored, published, chosen, segment=segment, value=codes.names[index]
                    )
        else:
            for value in values[segment]:
                # how many slots of such viewers a clip had a chance in is not known
                yield _slice(
                    clips, found[segment][value], scored, published, segment=segment, value=value, is_pool=False
                )


def _slice(
    clips: Clips,
    cells: Cells,
    scored: Scored,
    published: Ints,
    chosen: Flags | None = None,
    *,
    segment: str,
    value: str = "",
    is_pool: bool = True,
) -> Slice:
    keep = ~clips.excluded[clips.unit] & ~clips.excluded
    if chosen is not None:
        keep &= chosen
    rows = np.flatnonzero(keep)
    place = np.full(len(clips), -1)
    place[rows] = np.arange(len(rows))
    kept = cells.take(keep[cells.cells.clip])
    columns = {name: getattr(kept.cells, name) for name in ClipCells.__slots__}
    renumbered = ClipCells(**(columns | {"clip": place[kept.cells.clip]}))
    kept = Cells(renumbered, kept.weight, kept.completed, kept.liked, kept.revenue)
    published = published[rows]
    withdrawn = clips.withdrawn_day[rows]
    table = ClipTable(
        unit=place[clips.unit[rows]],
        model=clips.model.index[clips.unit[rows]],
        prompt=clips.prompt.index[clips.unit[rows]],
        published_day=published,
        stratum=strata(clips)[clips.unit[rows]],
        opportunity=_opportunity(published, withdrawn, renumbered, scored) if is_pool else None,
    )
    return Slice(segment, value, kept, rows, table)


def _opportunity(published: Ints, withdrawn: Ints, cells: ClipCells, scored: Scored) -> Floats | None:
    """Chances that each clip had to be shown, where slots were filled from all clips; None where they were not.

    Over slots, the chances of all clips add up to (clips that were there) / (candidates). So where that is near
    one per slot, all clips, or all that were ever shown, were the candidates.
    """
    if scored.tier == "C" or not scored.logged:
        return None
    chance = opportunities(scored.slots, published)
    shown = np.zeros(len(published), bool)
    shown[cells.clip] = True
    for candidates in (withdrawn < 0, shown):
        if 0.8 <= chance[candidates].sum() / scored.logged <= 1.25:
            return np.where(candidates, chance, 0.0)
    return None


@dataclass(frozen=True, eq=False)
class Scores:
    """Clip scores of a slice; rows count in the slice.

    Attributes:
        units: Rows that have a score.
        values: The scores.
        opportunities: For precision weights; None where they are not known.
        chances: What the weights of an impression's label were divided by.
        prior_strength: Impressions that the mean is worth in them.
        reason: Why there is no score at all.
        offsets: What day and age do to a label.
        doubt: What the scores owe to errors of the offsets.
    """

    units: Ints
    values: Floats
    opportunities: Floats | None
    chances: Floats
    prior_strength: float
    reason: str = ""
    offsets: TimeOffsets | None = None
    doubt: TimeDoubt | None = None


def score_clips(part: Slice, parameters: Parameters) -> Scores:
    """Returns the scores of the clips of a slice, or why there are none."""
    prior = parameters.prior_strength
    estimator = ClipAIPW(parameters.ceiling_ratio, prior)
    if not len(part.cells.cells):
        return Scores(np.zeros(0, np.int64), np.zeros(0), None, np.zeros(0), prior, "no impression of any clip counts")
    try:
        fitted = estimator.fit(part.cells.cells, part.table)
    except InputError as error:
        return Scores(np.zeros(0, np.int64), np.zeros(0), None, np.zeros(0), prior, str(error))
    known = None if fitted.normalised_.any() else fitted.opportunities_
    return Scores(
        fitted.units_, fitted.scores_, known, fitted.opportunities_, prior,
        offsets=fitted.offsets_, doubt=fitted.time_doubt_,
    )  # fmt: skip


def fit_models(part: Slice, scores: Scores, clips: Clips, parameters: Parameters, seed: int) -> PromptFixedEffects:
    """Returns the fit of model versions to the clip scores of a slice, which has some."""
    units = scores.units
    X = np.column_stack([part.table.model[units], part.table.prompt[units], part.table.strata[units]])
    fit = PromptFixedEffects(
        parameters.interaction_ridge,
        parameters.min_prompts,
        parameters.level,
        seed,
        curvature=parameters.curvature,
        borrow=parameters.borrow,
    )
    n_items = len(clips.model.names)
    return fit.fit(X, scores.values, opportunity=scores.opportunities, n_items=n_items, time=scores.doubt)


NUMERIC = (InputError, ArithmeticError, ValueError)
"""What estimators raise of numbers that they cannot work with; numpy's own error of linear algebra is a ValueError."""


def not_computed(error: Exception) -> str:
    """Returns the reason of items that have no place because their numbers could not be computed."""
    return str(error) if isinstance(error, InputError) else f"it could not be computed: {error}"


def rank_models(
    part: Slice,
    scores: Scores,
    clips: Clips,
    scored: Scored,
    *,
    parameters: Parameters,
    fit: PromptFixedEffects | None,
    buyable: Buyable = NOT_FOR_SALE,
) -> tuple[list[Row], list[Row]]:
    """Returns the ranking of model versions and the contrasts of every pair of the ranked ones.

    ``fit`` is that of `fit_models`, None where there is no score; ``buyable`` how far effects could have been bought.
    """
    names = clips.model
    sheet = Sheet("model_versions", part, names.names, names.names, item_facts(part, clips, names, scored), scored.tier)
    present = np.unique(part.table.model)
    left_out = [sheet.unranked(item, LEFT_OUT) for item in _left_out(part, clips)]
    if fit is None:
        return [*(sheet.unranked(item, scores.reason) for item in present.tolist()), *left_out], []
    level_error = _level_error(part.table.prompt[scores.units], scores.values)
    reach = float(student.ppf(0.5 + parameters.level / 2, max(fit.degrees_of_freedom_, 1)))
    ranking = fit.ranking()
    places = [place for place in ranking if isinstance(place, Ranked)]
    shown = [sheet.shown(place.item) for place in places]
    rows = []
    for place, honest, seen in zip(places, buyable.honest(places, fit, shown), shown, strict=True):
        half = reach * float(np.hypot(place.standard_error, level_error))
        row = sheet.ranked(place, len(fit.items_), fit.level_, half, honest)
        rows.append(row | {"viewers_to_buy": buyable.viewers(place, row, seen)})
    rows += [
        sheet.unranked(place.item, str(place.reason))
        for place in ranking
        if not isinstance(place, Ranked) and place.item in present
    ]
    return rows + left_out, list(_contrasts(sheet, fit, reach, parameters, buyable))


def _left_out(part: Slice, clips: Clips) -> list[int]:
    """Model versions of which every clip is left out."""
    if part.segment != "all":
        return []
    missing: list[int] = np.setdiff1d(clips.model.index[clips.excluded], part.table.model).tolist()
    return missing


def _level_error(prompt: Ints, values: Floats) -> float:
    """Standard error of the mean score over prompts."""
    count = np.bincount(prompt)
    means = sum_by(prompt, values)[count > 0] / count[count > 0]
    return float(means.std(ddof=1) / np.sqrt(len(means))) if len(means) > 1 else 0.0


def _contrasts(
    sheet: Sheet, fit: PromptFixedEffects, reach: float, parameters: Parameters, buyable: Buyable
) -> Iterator[Row]:
    """Yields the difference of every pair of ranked items, the better one on the left.

    What could have been bought of a difference is at most what could of either effect.
    """
    bought = [buyable.of(item, sheet.shown(item)) for item in fit.items_.tolist()]
    order = np.argsort(-fit.effects_, kind="stable")
    for i, left in enumerate(order):
        for right in order[i + 1 :]:
            difference = float(fit.effects_[left] - fit.effects_[right])
            spread = fit.covariance_[left, left] + fit.covariance_[right, right] - 2 * fit.covariance_[left, right]
            error = float(np.sqrt(max(spread, 0.0)))
            always = _always_reach(fit, error, parameters)
            up, down = bought[left].up + bought[right].down, bought[left].down + bought[right].up
            yield sheet.contrast(fit.items_[left], fit.items_[right], difference, error, reach) | {
                "always_low": None if always is None else difference - always,
                "always_high": None if always is None else difference + always,
                "bought_low": difference - reach * error - up,
                "bought_high": difference + reach * error + down,
            }


def _always_reach(fit: PromptFixedEffects, error: float, parameters: Parameters) -> float | None:
    """Half the width of the interval that holds at all looks; None where the mean label is no scale to plan with."""
    planned = parameters.planned_error * fit.level_
    if not planned > 0:
        return None
    clusters = max(fit.degrees_of_freedom_, 1)
    return float(always_valid_multiplier(np.array(error), planned, parameters.level, clusters)) * error
