"""Rankings held against a known truth: ours and that of the completion rate, side by side."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.stats import kendalltau, rankdata

from clapometer.traffic.worlds.truth import WorldTruth


@dataclass(frozen=True)
class RankedRow:
    """One row of a ranking in the lake; an item without a place has a reason and no number.

    Attributes:
        item: Id: ``name@version`` of a model version, the hash of a prompt.
        label: What people read.
        rank: 1 is best.
        rank_low: Best rank that the data allow.
        rank_high: Worst one.
        effect: Difference from the mean item, in label units per impression.
        effect_low: Lower end of its interval.
        effect_high: Upper end.
        completion_rate: Share of impressions that were watched to the end, as counted.
        reason: Why it has no place.
    """

    item: str
    label: str
    rank: int | None
    rank_low: int | None
    rank_high: int | None
    effect: float | None
    effect_low: float | None
    effect_high: float | None
    completion_rate: float | None
    reason: str | None


@dataclass(frozen=True)
class CheckedRow:
    """A ranked item beside what is true of it, among the ranked ones.

    Attributes:
        row: The item.
        true_rank: 1 is best.
        true_effect: Difference from the mean of the ranked items.
        completion_rank: Its place by completion rate.
    """

    row: RankedRow
    true_rank: int
    true_effect: float
    completion_rank: int


@dataclass(frozen=True)
class Check:
    """A ranking beside the truth.

    Compared are differences from the mean: the level depends on how watching is scaled, the differences do not.

    Attributes:
        rows: Ranked items that the truth knows, best first.
        unranked: Items without a place.
        tau: Kendall's rank correlation of our effects with the true ones; NaN below two items.
        tau_completion_rate: The same for the completion rate.
        covered: Share of true effects inside their intervals.
    """

    rows: list[CheckedRow]
    unranked: list[RankedRow]
    tau: float
    tau_completion_rate: float
    covered: float

    @property
    def worst(self) -> CheckedRow | None:
        """The item that the completion rate misplaces most."""
        return max(self.rows, key=lambda checked: abs(checked.completion_rank - checked.true_rank), default=None)


def true_models(truth: WorldTruth) -> dict[str, float]:
    """Returns the expected label of each model version by its item id."""
    return {f"{model.name}@{model.version}": model.expected_label for model in truth.models}


def true_prompts(truth: WorldTruth) -> dict[str, float]:
    """Returns the expected label of each prompt by its item id."""
    return {prompt.prompt_id: prompt.expected_label for prompt in truth.prompts}


def check(rows: Sequence[RankedRow], truth: Mapping[str, float]) -> Check:
    """Returns a ranking beside the truth; items that the truth does not know are left out."""
    known = [row for row in rows if row.item in truth]
    ranked = sorted((row for row in known if row.rank is not None), key=lambda row: row.rank or 0)
    effects = [row.effect or 0.0 for row in ranked]
    true_values = [truth[row.item] for row in ranked]
    mean = sum(true_values) / max(len(true_values), 1)
    true_effects = [value - mean for value in true_values]
    completion = [row.completion_rate or 0.0 for row in ranked]
    true_ranks, completion_ranks = _ranks(true_effects), _ranks(completion)
    inside = [
        (row.effect_low or 0.0) <= effect <= (row.effect_high or 0.0)
        for row, effect in zip(ranked, true_effects, strict=True)
    ]
    return Check(
        rows=[CheckedRow(*each) for each in zip(ranked, true_ranks, true_effects, completion_ranks, strict=True)],
        unranked=[row for row in known if row.rank is None],
        tau=_tau(effects, true_effects),
        tau_completion_rate=_tau(completion, true_effects),
        covered=sum(inside) / len(inside) if inside else math.nan,
    )


def _ranks(values: Sequence[float]) -> list[int]:
    return [int(rank) for rank in rankdata([-value for value in values], method="min")]


def _tau(values: Sequence[float], truth: Sequence[float]) -> float:
    return float(kendalltau(values, truth).statistic) if len(values) > 1 else math.nan
