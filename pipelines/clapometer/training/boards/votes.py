"""Model versions by what people said of their clips: Bradley-Terry strengths, the only ranking of tier A."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import t as student

from clapometer.ranking import (
    BradleyTerry,
    Interval,
    Ranked,
    Reason,
    confidence_intervals,
    probability_best,
    rank_ranges,
    simultaneous_intervals,
)
from clapometer.training.boards.compared import Compared, compare_versions, fit_strengths
from clapometer.training.boards.rows import Row, Sheet, item_facts
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.clips import Clips
from clapometer.training.evidence.heard import Heard
from clapometer.training.evidence.screening import Scored
from clapometer.training.parameters import Parameters

__all__ = ["EVIDENCE", "VOTES", "rank_said"]

Ints = NDArray[np.int64]

EVIDENCE, VOTES = "evidence", "votes"
"""Name and value of the segment of these rankings."""
_NOTHING: Row = {"votes": 0, "viewers": 0, "clips": None, "prompts": None, "impressions": None}


def rank_said(
    heard: Heard, part: Slice, clips: Clips, scored: Scored, *, parameters: Parameters, seed: int
) -> tuple[list[Row], list[Row]]:
    """Returns the ranking of the model versions that people compared, and the contrasts of every pair of them.

    Effects are log-odds to win against an average one of them, values the chance of that. Ties count half. Nothing
    where nobody compared two model versions. Those that the votes cannot place have a reason, and the others are ranked
    as if they had never been voted on.

    Args:
        heard: What people said.
        part: The slice of everything.
        clips: The tenant's clips.
        scored: For the counts beside the ranking.
        parameters: Level of the intervals, and fewest prompts.
        seed: For the draws behind rank ranges.
    """
    names = clips.model
    compared = compare_versions(heard, clips)
    found = fit_strengths(compared, parameters)
    own = replace(part, segment=EVIDENCE, value=VOTES)
    sheet = Sheet("model_versions", own, names.names, names.names, item_facts(own, clips, names, scored), "A")
    unranked = [
        sheet.unranked(int(compared.items[each.item]), str(each.reason)) | compared.facts(each.item)
        for each in found.unranked
    ]
    unranked += [sheet.unranked(item, str(Reason.ONLY_BAD)) | _NOTHING for item in _only_bad(heard, clips, compared)]
    among, fit = found.compared, found.fit
    if fit is None:
        tied = enumerate(among.items.tolist())
        return [sheet.unranked(item, str(Reason.ONLY_TIES)) | among.facts(k) for k, item in tied] + unranked, []
    places = _places(among, fit, parameters.level, seed)
    reach = float(student.ppf(0.5 + parameters.level / 2, among.degrees))
    where = {item: k for k, item in enumerate(among.items.tolist())}
    rows = [_row(sheet, place, len(places)) | among.facts(where[place.item]) for place in places]
    return rows + unranked, list(_contrasts(sheet, among.items, fit, reach))


def _only_bad(heard: Heard, clips: Clips, compared: Compared) -> list[int]:
    """Model versions of which nobody said more than that both clips are bad."""
    models = np.unique(clips.model.index[heard.bad])
    only: list[int] = np.setdiff1d(models[models >= 0], compared.items).tolist()
    return only


def _places(compared: Compared, fit: BradleyTerry, level: float, seed: int) -> list[Ranked]:
    effects, covariance, degrees = fit.strengths_, fit.covariance_, compared.degrees
    wide = covariance * compared.widening(level) ** 2
    ranges, best = rank_ranges(effects, wide, level, seed), probability_best(effects, wide, seed)
    low, high = simultaneous_intervals(effects, covariance, level, degrees, seed=seed)
    alone = np.transpose(confidence_intervals(effects, covariance, level, degrees))
    error = np.sqrt(np.diag(covariance))
    places = []
    for rank, i in enumerate(np.argsort(-effects, kind="stable").tolist(), 1):
        among = (compared.pair == i).any(1)
        interval = Interval(float(alone[i, 0]), float(alone[i, 1]), level)
        joint = Interval(float(low[i]), float(high[i]), level)
        ranks, n_prompts = (int(ranges[i, 0]), int(ranges[i, 1])), len(np.unique(compared.prompt[among]))
        place = Ranked(
            int(compared.items[i]), float(effects[i]), float(error[i]), interval, joint, rank, ranks, float(best[i]),
            int(among.sum()), n_prompts,
        )  # fmt: skip
        places.append(place)
    return places


def _row(sheet: Sheet, place: Ranked, n_ranked: int) -> Row:
    row = sheet.ranked(place, n_ranked, 0.0, 0.0)
    ends = {"value": place.effect, "value_low": place.interval.low, "value_high": place.interval.high}
    return row | {name: float(expit(each)) for name, each in ends.items()}


def _contrasts(sheet: Sheet, items: Ints, fit: BradleyTerry, reach: float) -> Iterator[Row]:
    """Yields the difference of every pair of model versions, the better one on the left."""
    strengths, covariance = fit.strengths_, fit.covariance_
    for left, right in combinations(np.argsort(-strengths, kind="stable"), 2):
        spread = covariance[left, left] + covariance[right, right] - 2 * covariance[left, right]
        error = float(np.sqrt(max(spread, 0.0)))
        yield sheet.contrast(items[left], items[right], float(strengths[left] - strengths[right]), error, reach)
