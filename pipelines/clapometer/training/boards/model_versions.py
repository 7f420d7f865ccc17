"""Statistics to rankings: model versions, prompts and templates, over everything and per segment."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from clapometer.ranking import (
    PromptFixedEffects,
    Ranked,
    always_valid_multiplier,
    sum_by,
)
from clapometer.training.boards.buyable import NOT_FOR_SALE, Buyable
from clapometer.training.boards.rows import Row, Sheet, item_facts
from clapometer.training.boards.scores import Scores
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.clips import Clips
from clapometer.training.evidence.screening import Scored
from clapometer.training.parameters import Parameters

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


LEFT_OUT = "every clip of it is withdrawn, an advertisement or has a watermark"


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
    tier = "C" if scores.unsupported else scored.tier
    sheet = Sheet("model_versions", part, names.names, names.names, item_facts(part, clips, names, scored), tier)
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
        sheet.unranked(place.item, scores.apart.get(place.item, str(place.reason)))
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

    What could have been bought of a difference is what the same viewers could have moved of both effects.
    """
    items = fit.items_.tolist()
    order = np.argsort(-fit.effects_, kind="stable")
    for i, left in enumerate(order):
        for right in order[i + 1 :]:
            difference = float(fit.effects_[left] - fit.effects_[right])
            spread = fit.covariance_[left, left] + fit.covariance_[right, right] - 2 * fit.covariance_[left, right]
            error = float(np.sqrt(max(spread, 0.0)))
            always = _always_reach(fit, error, parameters)
            shown = sheet.shown(items[left]), sheet.shown(items[right])
            bought = buyable.of_pair(items[left], items[right], shown)
            yield sheet.contrast(fit.items_[left], fit.items_[right], difference, error, reach) | {
                "always_low": None if always is None else difference - always,
                "always_high": None if always is None else difference + always,
                "bought_low": difference - reach * error - bought.up,
                "bought_high": difference + reach * error + bought.down,
            }


def _always_reach(fit: PromptFixedEffects, error: float, parameters: Parameters) -> float | None:
    """Half the width of the interval that holds at all looks; None where the mean label is no scale to plan with."""
    planned = parameters.planned_error * fit.level_
    if not planned > 0:
        return None
    clusters = max(fit.degrees_of_freedom_, 1)
    return float(always_valid_multiplier(np.array(error), planned, parameters.level, clusters)) * error
