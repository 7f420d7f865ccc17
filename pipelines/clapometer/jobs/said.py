"""Model versions by what people said of their clips: Bradley-Terry strengths, the only ranking of tier A."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import duckdb
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import t as student

from clapometer.jobs.clips import Clips, numbers
from clapometer.jobs.rankings import Parameters
from clapometer.jobs.sheets import Row, Sheet, Slice, item_facts
from clapometer.jobs.statistics import Scored
from clapometer.labels import Said
from clapometer.lake import sql
from clapometer.ranking import (
    BradleyTerry,
    Interval,
    Ranked,
    Reason,
    comparable_items,
    confidence_intervals,
    probability_best,
    rank_ranges,
    simultaneous_intervals,
)

__all__ = ["EVIDENCE", "VOTES", "rank_said", "read_said"]

Ints = NDArray[np.int64]

EVIDENCE, VOTES = "evidence", "votes"
"""Name and value of the segment of these rankings."""
_OF_VIEWERS = (
    "impressions", "completion_rate", "like_rate", "cost_per_clip", "revenue_per_1000", "currency", "viewers",
)  # fmt: skip
"""Columns of what viewers did, which a ranking by votes does not rest on."""


def read_said(con: duckdb.DuckDBPyConnection, clips: Clips, tenant: str) -> Said:
    """Returns explicit comparisons of two clips of one prompt that can be ranked: votes and creators' choices."""
    table = con.sql(sql("train_said"), params={"tenant": tenant}).to_arrow_table()
    left, right = clips.unit[numbers(table["left_clip"])], clips.unit[numbers(table["right_clip"])]
    result = table["result"].combine_chunks().to_numpy(zero_copy_only=False)
    same_prompt = clips.prompt.index[left] == clips.prompt.index[right]
    keep = same_prompt & (left != right) & ~clips.excluded[left] & ~clips.excluded[right]
    return Said(left[keep], right[keep], result[keep])


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Comparisons of clips of two model versions; `pair` counts in `items`, `clip` are rows of the clips."""

    items: Ints
    pair: Ints
    result: NDArray[np.float64]
    clip: Ints
    prompt: Ints

    def facts(self, item: int) -> Row:
        """Returns what an item's row counts: votes and what they were about, nothing that viewers did."""
        about = (self.pair == item).any(1)
        return {
            **dict.fromkeys(_OF_VIEWERS),
            "votes": int(about.sum()),
            "clips": len(np.unique(self.clip[self.pair == item])),
            "prompts": len(np.unique(self.prompt[about])),
        }

    def among(self, chosen: Ints) -> _Compared:
        """Returns the comparisons of two of the chosen items, which are those of the result."""
        place = np.full(len(self.items), -1)
        place[chosen] = np.arange(len(chosen))
        kept = (place[self.pair] >= 0).all(1)
        return _Compared(
            self.items[chosen], place[self.pair[kept]], self.result[kept], self.clip[kept], self.prompt[kept]
        )


def rank_said(
    said: Said, part: Slice, clips: Clips, scored: Scored, *, parameters: Parameters, seed: int
) -> tuple[list[Row], list[Row]]:
    """Returns the ranking of the model versions that people compared, and the contrasts of every pair of them.

    Effects are log-odds to win against an average one of them, values the chance of that. Ties count half; prompts
    are the clusters. Nothing where nobody compared two model versions. Those that the votes cannot place have a reason,
    and the others are ranked as if they had never been voted on (`comparable_items`).

    Args:
        said: Explicit comparisons; rows of `clips`.
        part: The slice of everything.
        clips: The tenant's clips.
        scored: For the counts beside the ranking.
        parameters: Level of the intervals, and fewest prompts.
        seed: For the draws behind rank ranges.
    """
    names = clips.model
    compared = _of_two_versions(said, clips)
    own = replace(part, segment=EVIDENCE, value=VOTES)
    sheet = Sheet("model_versions", own, names.names, names.names, item_facts(own, clips, names, scored), "A")
    chosen, left_out = comparable_items(
        compared.pair, compared.result, len(compared.items),
        cluster=compared.prompt[:, None], fewest=(parameters.min_prompts,),
    )  # fmt: skip
    unranked = [
        sheet.unranked(int(compared.items[each.item]), str(each.reason)) | compared.facts(each.item)
        for each in left_out
    ]
    among = compared.among(chosen)
    if (among.result == 0.5).all():
        tied = enumerate(among.items.tolist())
        return [sheet.unranked(item, str(Reason.ONLY_TIES)) | among.facts(k) for k, item in tied] + unranked, []
    fit = BradleyTerry().fit(among.pair, among.result, cluster=among.prompt, n_items=len(among.items))
    degrees = len(np.unique(among.prompt)) - 1
    places = _places(among, fit, degrees, parameters.level, seed)
    reach = float(student.ppf(0.5 + parameters.level / 2, degrees))
    where = {item: k for k, item in enumerate(among.items.tolist())}
    rows = [_row(sheet, place, len(places)) | among.facts(where[place.item]) for place in places]
    return rows + unranked, list(_contrasts(sheet, among.items, fit, reach))


def _of_two_versions(said: Said, clips: Clips) -> _Compared:
    model = clips.model.index
    apart = (model[said.left] != model[said.right]) & (model[said.left] >= 0) & (model[said.right] >= 0)
    left, right = said.left[apart], said.right[apart]
    items, pair = np.unique(np.column_stack([model[left], model[right]]), return_inverse=True)
    compared = np.column_stack([left, right])
    return _Compared(items, pair.reshape(-1, 2), said.result[apart], compared, clips.prompt.index[left])


def _places(compared: _Compared, fit: BradleyTerry, degrees: int, level: float, seed: int) -> list[Ranked]:
    effects, covariance = fit.strengths_, fit.covariance_
    ranges, best = rank_ranges(effects, covariance, level, seed), probability_best(effects, covariance, seed)
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
