"""How little would change a ranking: impressions whose loss costs an item its place, reactions that buy the top."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from clapometer.labels import LabelRule
from clapometer.ranking import (
    Budget,
    Estimate,
    PromptFixedEffects,
    Suspects,
    fewest,
    fewest_in_buckets,
    invented_reactions,
    sum_by,
)
from clapometer.ranking.scrutiny.robustness import BUCKETS_PER_OCTAVE
from clapometer.training.boards.buyable import NOT_FOR_SALE, Buyable
from clapometer.training.boards.rows import Row
from clapometer.training.boards.scores import Scores
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.evidence import Sample

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_IMPRESSIONS = 2_000_000
"""Of more than these, those of every n-th viewer are looked at, and counted n times."""
_MOST_PAIRED = 32
"""Of more model versions than these no pair is bounded for itself: pairs grow with their square."""
_NEGLIGIBLE = 0.01
_FIRST_BUCKET, _BUCKETS = -40 * BUCKETS_PER_OCTAVE, 80 * BUCKETS_PER_OCTAVE
"""Pushes from 1e-12 to 1e12; smaller ones change nothing."""
_PRAISE = ("like", "save", "share", "comment", "follow")
_BLAME = ("dislike", "hide", "not_interested", "report")


def model_robustness(
    found: Pushes, reach: Reach, fit: PromptFixedEffects, *, every: int, rule: LabelRule
) -> dict[int, Row]:
    """Returns ``fake_reactions_to_top`` and ``impressions_to_drop`` by model version, for those that are ranked.

    Args:
        found: What impressions push, of `MOST_IMPRESSIONS`.
        reach: Of labels into scores.
        fit: Of the scores.
        every: Of the viewers, every how many are in it.
        rule: What a reaction is worth.
    """
    order = np.argsort(-fit.effects_, kind="stable")
    drops = _impressions_to_drop(found, every, fit, order)
    return {
        int(fit.items_[item]): {
            "fake_reactions_to_top": fake_reactions(reach, fit, int(item), rule) if place else 0,
            "impressions_to_drop": drops.get(place),
        }
        for place, item in enumerate(order.tolist())
    }


def how_sturdy(
    sample: Sample, part: Slice, scores: Scores, fit: PromptFixedEffects, *, rule: LabelRule, budget: Budget
) -> tuple[dict[int, Row], Buyable]:
    """Returns how little would change the ranking of model versions, and how far it could have been bought.

    Args:
        sample: Impressions, of `MOST_IMPRESSIONS`.
        part: The slice of everything.
        scores: Its scores.
        fit: Of them.
        rule: What a reaction is worth.
        budget: What one person can make up; with no viewers nothing is for sale.
    """
    reach = reach_of(part, scores)
    found = pushes(sample, part, scores, reach)
    sturdy = model_robustness(found, reach, fit, every=sample.every, rule=rule)
    if not budget.viewers:
        return sturdy, NOT_FOR_SALE
    shown = sum_by(part.table.model[part.cells.cells.clip], part.cells.cells.impressions)
    return sturdy, buyable_effects(found, sample, fit, shown, budget)


@dataclass(frozen=True, eq=False)
class Reach:
    """How far labels reach into clip scores, ``(n_units,)`` each.

    Attributes:
        shown: Impressions.
        usual: Mean weight of one.
        gain: What a unit of label adds to the score, per unit of its weight.
        base: What it adds beside that: a label of one viewer fold moves the prior of the other fold, which the
            correction takes back as far as the weights add up to the clip's chances.
    """

    shown: Floats
    usual: Floats
    gain: Floats
    base: Floats


def fake_reactions(reach: Reach, fit: PromptFixedEffects, item: int, rule: LabelRule) -> int | None:
    """Returns how many invented reactions it takes at least to make an item first; None where no number of them does.

    To first order, and by somebody who knows everything: the fit trusts clips less on which many are put, so that
    more are needed in truth.

    Fake viewers react to impressions that they are really given, so no clip gets more reactions of a kind than it has
    impressions: praise for clips that help the item, blame for those that help the leader.

    Args:
        reach: Of labels into scores.
        fit: Of the scores.
        item: Place in ``fit.items_``, not the leader's.
        rule: What a reaction is worth.
    """
    leader = int(np.argmax(fit.effects_))
    push, capacity, _ = attack(reach, fit, item, rule)
    return fewest(float(fit.effects_[leader] - fit.effects_[item]), push, capacity)


def attack(reach: Reach, fit: PromptFixedEffects, item: int, rule: LabelRule) -> tuple[Floats, Floats, Floats]:
    """Returns by clip what an invented reaction closes of the leader's lead, how many there can be, and its worth.

    The same arguments as `fake_reactions`; every column is ``(n_units,)``, in label units where it is a size.
    """
    leader = int(np.argmax(fit.effects_))
    helps = -fit.score_influence(leader, item) * (reach.gain * reach.usual + reach.base)
    (praise, praises), (blame, blames) = _strongest(rule, _PRAISE, 1), _strongest(rule, _BLAME, -1)
    worth = np.where(helps > 0, praise, -blame)
    return helps * worth, reach.shown * np.where(helps > 0, praises, blames), worth


def _strongest(rule: LabelRule, names: Sequence[str], sign: int) -> tuple[float, int]:
    """Returns what the strongest of some reactions is worth, and how many are worth as much."""
    worth = [sign * float(getattr(rule.weights, name)) * rule.scale for name in names]
    most = max(worth)
    return max(most, 0.0), worth.count(most)


def reach_of(part: Slice, scores: Scores) -> Reach:
    """Returns how far labels reach into the scores of a slice."""
    cells, n = part.cells.cells, len(part.table)
    key = part.table.unit[cells.clip] * 2 + cells.fold % 2
    exposure, weighted, shown, weight = (
        sum_by(key, column, 2 * n).reshape(n, 2)[scores.units]
        for column in (cells.sum_exposure, cells.sum_weighted_exposure, cells.impressions, part.cells.weight)
    )
    chances = np.maximum(scores.chances, 1e-9)
    share = cells.impressions @ np.column_stack([cells.fold % 2 == 0, cells.fold % 2 == 1]) / cells.impressions.sum()
    left_over = share[::-1] - weighted[:, ::-1] / chances[:, None]
    total = shown.sum(1)
    of_fold = shown / np.maximum(total, 1)[:, None]
    usual = np.divide(weight.sum(1), total, out=np.zeros(len(total)), where=total > 0)
    return Reach(total, usual, 1 / chances, (of_fold * left_over / (exposure + scores.prior_strength)).sum(1))


@dataclass(frozen=True, eq=False)
class Pushes:
    """What impressions add to the lead of any item over any other, but for `PromptFixedEffects.score_influence`.

    Attributes:
        row: Impressions of the sample whose clip has a score, ``(n,)``.
        unit: Place in ``scores.units`` of each one's clip.
        size: What it adds to the clip's score.
        per_weight: What a unit of weighted label adds to a score, ``(n_units,)``.
    """

    row: Ints
    unit: Ints
    size: Floats
    per_weight: Floats

    def influence(self, fit: PromptFixedEffects, left: int, right: int) -> Floats:
        """Returns what a score adds to the lead of an item over another; 0 where next to nothing, ``(n_units,)``."""
        moved = fit.score_influence(left, right)
        gain = np.abs(moved * self.per_weight)
        return np.where(gain > _NEGLIGIBLE * gain.max(initial=0.0), moved, 0.0)


def pushes(sample: Sample, part: Slice, scores: Scores, reach: Reach) -> Pushes:
    """Returns what single impressions add to clip scores.

    Args:
        sample: The impressions.
        part: The slice of everything.
        scores: Its scores.
        reach: Of labels into them.
    """
    # A repost counts for its original.
    place = np.full(len(part.table), -1)
    place[scores.units] = np.arange(len(scores.units))
    of_clip = np.full(1 + max(int(part.rows.max(initial=0)), int(sample.clip.max(initial=0))), -1)
    of_clip[part.rows] = place[part.table.unit]
    unit = of_clip[sample.clip]
    row = np.flatnonzero(unit >= 0)
    unit = unit[row]
    expected = _expected(part, scores.prior_strength)[scores.units]
    size = (reach.gain[unit] * sample.weight[row] + reach.base[unit]) * (
        sample.label[row] - expected[unit] * sample.examination[row]
    )
    return Pushes(row, unit, size, reach.gain)


def _expected(part: Slice, prior_strength: float) -> Floats:
    """Returns the label of a fully examined impression of each row's clip, shrunken to the mean, ``(n,)``."""
    unit, cells = part.table.unit[part.cells.cells.clip], part.cells.cells
    label, exposure = (sum_by(unit, column, len(part.table)) for column in (cells.sum_label, cells.sum_exposure))
    mean = label.sum() / max(exposure.sum(), 1e-9)
    shrunk: Floats = (label + prior_strength * mean) / (exposure + prior_strength)
    return shrunk


def _impressions_to_drop(found: Pushes, every: int, fit: PromptFixedEffects, order: Ints) -> dict[int, int | None]:
    """Returns by place (from 0) the fewest impressions without which the next item comes before."""
    # The logarithm of a push is the sum of those of its factors: one of every impression, one of every clip and pair.
    with np.errstate(divide="ignore", invalid="ignore"):
        ways = [
            (sign, found.unit[rows], BUCKETS_PER_OCTAVE * np.log2(sign * found.size[rows]))
            for sign, rows in ((1, found.size > 0), (-1, found.size < 0))
        ]
    drops: dict[int, int | None] = {}
    for k, (left, right) in enumerate(zip(order[:-1].tolist(), order[1:].tolist(), strict=True)):
        influence = found.influence(fit, left, right)
        counts = np.zeros(_BUCKETS)
        for sign, unit, size in ways:
            with np.errstate(divide="ignore"):
                moved = BUCKETS_PER_OCTAVE * np.log2(np.maximum(sign * influence, 0.0))
            push = size + moved[unit]
            bucket = np.floor(push[push > _FIRST_BUCKET]).astype(np.int64) - _FIRST_BUCKET
            counts += np.bincount(np.minimum(bucket, _BUCKETS - 1), minlength=_BUCKETS)
        lead = float(fit.effects_[left] - fit.effects_[right])
        there = np.flatnonzero(counts)
        drops[k] = fewest_in_buckets(lead, there + _FIRST_BUCKET, counts[there] * every)
    return drops


def buyable_effects(found: Pushes, sample: Sample, fit: PromptFixedEffects, shown: Floats, budget: Budget) -> Buyable:
    """Returns how far every ranked model version's effect could have been bought.

    Args:
        found: What impressions push.
        sample: The impressions.
        fit: Of the scores that they push.
        shown: Impressions of each model version that count, ``(n_models,)``.
        budget: What one person can make up.
    """
    suspects = Suspects(sample.viewer[found.row], sample.day[found.row], budget, sample.every)
    unit, size = found.unit[suspects.rows], found.size[suspects.rows]
    place = {item: k for k, item in enumerate(fit.items_.tolist())}

    def push(item: int) -> Floats:
        pushed: Floats = size * fit.score_influence(place[item])[unit]
        return pushed

    def fewest(item: int, gap: float) -> int | None:
        return suspects.fewest(push(item) if gap > 0 else -push(item), abs(gap))

    pushed = {item: suspects.by_viewer(push(item)) for item in place}
    among = list(place) if len(place) <= _MOST_PAIRED else []
    pairs = {(a, b): suspects.bought_by(pushed[a] - pushed[b]) for a, b in combinations(sorted(among), 2)}
    bought = {item: suspects.bought_by(each) for item, each in pushed.items()}
    return Buyable(bought, dict(enumerate(shown.tolist())), fewest, budget.viewers, pairs)


def prompt_robustness(ranked: Sequence[Estimate], liked: Floats, rule: LabelRule) -> list[Row]:
    """Returns the same columns for prompts or templates, best first, from how far each value is shrunken.

    Invented reactions are counted one on each impression of a fake viewer; those that are dropped are liked ones.

    Args:
        ranked: Estimates, best first.
        liked: Likes of each item, ``(n_items,)``.
        rule: What a reaction is worth.
    """
    praise, _ = _strongest(rule, _PRAISE, 1)
    like = rule.scale * rule.weights.like
    rows: list[Row] = []
    for place, one in enumerate(ranked):
        lead = ranked[0].value - one.value
        fakes = invented_reactions(lead, praise - one.value, one.impressions, one.evidence) if place else 0
        behind = one.value - ranked[place + 1].value if place + 1 < len(ranked) else None
        drops = None if behind is None else _likes_to_drop(behind, like - one.value, one)
        there = drops is not None and drops <= liked[one.item]
        rows.append({"fake_reactions_to_top": fakes, "impressions_to_drop": drops if there else None})
    return rows


def _likes_to_drop(lead: float, worth: float, one: Estimate) -> int | None:
    if worth <= 0 or one.evidence <= 0:
        return None
    return max(1, int(np.ceil(lead * one.impressions / one.evidence / (worth + lead))))
