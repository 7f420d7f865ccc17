"""Rankings of prompts and templates by hierarchical empirical Bayes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from clapometer.labels import LabelRule
from clapometer.ranking import ClipRates, Estimate, HierarchicalBayes, Interval, Reason, Unranked, clip_rates
from clapometer.training.boards.robustness import prompt_robustness
from clapometer.training.boards.rows import Row, Sheet, item_facts
from clapometer.training.boards.scores import NUMERIC, Scores, not_computed
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.clips import Clips, Codes
from clapometer.training.evidence.screening import Scored
from clapometer.training.parameters import Parameters

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_DRAWS = 2_000
_MOST_CONTENDERS = 1_000
_MOST_CONTRASTED = 50


@dataclass(frozen=True, eq=False)
class FittedPrompts:
    """Empirical Bayes on a slice.

    Attributes:
        bayes: The fit.
        rates: What it was fitted to; ``rates.unit`` are rows of the slice.
    """

    bayes: HierarchicalBayes
    rates: ClipRates


def fit_prompts(part: Slice, scores: Scores, clips: Clips, parameters: Parameters) -> FittedPrompts | str:
    """Returns the fit of prompts within templates and tasks to the clips of a slice, or why there is none."""
    if scores.reason:
        return scores.reason
    if len(scores.values) > 1 and np.ptp(scores.values) <= 1e-9 * np.abs(scores.values).max():
        return str(Reason.NO_DIFFERENCE)
    rates = clip_rates(part.cells.cells, part.table, scores.offsets)
    if not len(rates.unit):
        return "no clip was ever eligible"
    X = np.column_stack([part.table.model[rates.unit], part.table.prompt[rates.unit]])
    # A prompt is of the template, task and stratum of its first clip.
    factors = [_of_prompt(clips, codes.index) for codes in (clips.template, clips.segments["task"])]
    try:
        bayes = HierarchicalBayes(level=parameters.level).fit(
            X, rates, factors=np.column_stack(factors), stratum=_of_prompt(clips, clips.strata)
        )
    except NUMERIC as error:
        return not_computed(error)
    return FittedPrompts(bayes, rates)


def _of_prompt(clips: Clips, column: Ints) -> Ints:
    """Value of the first clip of each prompt, ``(n_prompts,)``."""
    _, first = np.unique(clips.prompt.index, return_index=True)
    return column[first]


def rank_prompts(
    part: Slice, fitted: FittedPrompts | str, clips: Clips, scored: Scored, *, parameters: Parameters, seed: int,
    rule: LabelRule,
) -> tuple[list[Row], list[Row]]:  # fmt: skip
    """Returns the rankings of prompts and templates, and the contrasts of the best templates.

    Where the numbers of one of the two cannot be computed, its items are unranked with the reason.
    """
    rows: list[Row] = []
    contrasts: list[Row] = []
    tier = scored.tier if part.whole else "C"  # prompts are not compared within viewers
    for subject, codes, labels in (
        ("prompts", clips.prompt, clips.prompt_labels),
        ("templates", clips.template, clips.template.names),
    ):
        sheet = Sheet(subject, part, codes.names, labels, item_facts(part, clips, codes, scored), tier)
        listed = _listed(part, clips, codes, sheet, parameters)
        if isinstance(fitted, str):
            rows += [sheet.unranked(item, fitted) for item in sorted(listed)]
            continue
        try:
            found, pairs = _ranked(sheet, fitted, listed, parameters=parameters, seed=seed, rule=rule)
        except NUMERIC as error:
            found, pairs = [sheet.unranked(item, not_computed(error)) for item in sorted(listed)], []
        rows += found
        contrasts += pairs
    return rows, contrasts


def _ranked(
    sheet: Sheet, fitted: FittedPrompts, listed: set[int], *, parameters: Parameters, seed: int, rule: LabelRule
) -> tuple[list[Row], list[Row]]:
    """Returns the rows of one subject, and the contrasts of the best templates."""
    places = fitted.bayes.ranking() if sheet.subject == "prompts" else fitted.bayes.factor_ranking(0)
    ranked = [place for place in places if isinstance(place, Estimate) and place.item in listed]
    sturdy = prompt_robustness(ranked, sheet.facts.liked, rule)
    rows = [row | more for row, more in zip(_rows(sheet, ranked, parameters.level, seed), sturdy, strict=True)]
    rows += [
        sheet.unranked(place.item, str(place.reason))
        for place in places
        if isinstance(place, Unranked) and place.item in listed
    ]
    best = ranked[:_MOST_CONTRASTED] if sheet.subject == "templates" else []
    return rows, list(_contrasts(sheet, best, parameters.level))


def _listed(part: Slice, clips: Clips, codes: Codes, sheet: Sheet, parameters: Parameters) -> set[int]:
    """Returns the items of a slice that get a row: all, or those with most impressions."""
    present = np.unique(codes.index[clips.unit[part.rows]])
    present = present[present >= 0]
    most = parameters.max_items if part.segment == "all" else parameters.max_segment_items
    order = np.argsort(-sheet.facts.impressions[present], kind="stable")
    return set(present[order[:most]].tolist())


def _rows(sheet: Sheet, ranked: Sequence[Estimate], level: float, seed: int) -> Iterator[Row]:
    """Yields the rows of estimates that are independent of each other, best first.

    Places and verdicts are right for all items at once: they come from intervals that are (Sidak), and an item's
    first place counts the intervals above its own (Klein, Wright, Wieczorek 2020, J. R. Statist. Soc. A 183).
    """
    n = len(ranked)
    value = np.array([place.value for place in ranked])
    error = np.array([place.standard_error for place in ranked])
    best = _chance_of_best(value, error, seed)
    reach = norm.isf((1 - level ** (1 / max(n, 1))) / 2)
    low, high = value - reach * error, value + reach * error
    first = 1 + n - np.searchsorted(np.sort(low), high, side="right")
    last = n - np.searchsorted(np.sort(high), low, side="left")
    mean = value.mean() if n else 0.0
    for i, place in enumerate(ranked):
        places = (min(int(first[i]), i + 1), max(int(last[i]), i + 1))
        joint = Interval(float(low[i] - mean), float(high[i] - mean), level)
        yield sheet.row(place.item) | {
            "rank": i + 1,
            "effect": float(place.value - mean),
            "effect_low": float(place.interval.low - mean),
            "effect_high": float(place.interval.high - mean),
            "value": place.value,
            "value_low": place.interval.low,
            "value_high": place.interval.high,
            "verdict": sheet.verdict(joint, places, n, float(best[i])),
            "calibrated": sheet.tier != "C",
            **sheet.sureness(places, float(best[i])),
        }


def _chance_of_best(value: Floats, error: Floats, seed: int) -> Floats:
    """Share of draws in which each item comes first; only those that can are drawn."""
    chance = np.zeros(len(value))
    if not len(value):
        return chance
    contenders = np.flatnonzero(value + 4 * error >= (value - error).max())[:_MOST_CONTENDERS]
    draws = np.random.default_rng(seed).standard_normal((_DRAWS, len(contenders)))
    first = (value[contenders] + draws * error[contenders]).argmax(1)
    chance[contenders] = np.bincount(first, minlength=len(contenders)) / _DRAWS
    return chance


def _contrasts(sheet: Sheet, ranked: Sequence[Estimate], level: float) -> Iterator[Row]:
    reach = float(norm.ppf(0.5 + level / 2))
    for left, right in combinations(ranked, 2):
        error = float(np.hypot(left.standard_error, right.standard_error))
        yield sheet.contrast(left.item, right.item, left.value - right.value, error, reach)
