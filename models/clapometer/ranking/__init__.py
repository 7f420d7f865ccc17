"""Rankings that are true: estimators, intervals and what they refuse to say."""

from clapometer.ranking.cells import ClipCells, ClipTable, opportunities
from clapometer.ranking.comparable import comparable_items
from clapometer.ranking.days.doubt import TimeDoubt
from clapometer.ranking.days.launches import as_launched, available_days
from clapometer.ranking.days.offsets import TimeOffsets
from clapometer.ranking.estimators.bradley_terry import BradleyTerry
from clapometer.ranking.estimators.clip_scores import ClipAIPW
from clapometer.ranking.estimators.empirical_bayes import HierarchicalBayes
from clapometer.ranking.estimators.estimates import Estimate
from clapometer.ranking.estimators.fixed_effects import PromptFixedEffects
from clapometer.ranking.grouping import sum_by
from clapometer.ranking.intervals import confidence_intervals, probability_best, rank_ranges, simultaneous_intervals
from clapometer.ranking.limits import days_outside, first_days, outlier_limit
from clapometer.ranking.rates import ClipRates, clip_rates
from clapometer.ranking.results import Interval, Ranked, Reason, Unranked
from clapometer.ranking.scrutiny.audit import (
    Flip,
    Placebo,
    days_until_visible,
    effective_sample_size,
    fake_reactions_to_flip,
    fewest_to_flip,
    placebo,
    sample_ratio_p_value,
)
from clapometer.ranking.scrutiny.examination import position_curve
from clapometer.ranking.scrutiny.exposure import Exposure, Mismatch, balance, by_version, favoured, mean_weight
from clapometer.ranking.scrutiny.robustness import (
    Bought,
    Budget,
    Suspects,
    fewest,
    fewest_in_buckets,
    invented_reactions,
)
from clapometer.ranking.scrutiny.sequential import always_valid_intervals, always_valid_multiplier
from clapometer.ranking.trends import ShareChange, ViewerSumsOfHalf, change_of_counts, change_of_shares
from clapometer.ranking.viewers import Leaning, Views, WithinViewers, leaning, of_time, within_viewers

__all__ = [
    "Bought",
    "BradleyTerry",
    "Budget",
    "ClipAIPW",
    "ClipCells",
    "ClipRates",
    "ClipTable",
    "Estimate",
    "Exposure",
    "Flip",
    "HierarchicalBayes",
    "Interval",
    "Leaning",
    "Mismatch",
    "Placebo",
    "PromptFixedEffects",
    "Ranked",
    "Reason",
    "ShareChange",
    "Suspects",
    "TimeDoubt",
    "TimeOffsets",
    "Unranked",
    "ViewerSumsOfHalf",
    "Views",
    "WithinViewers",
    "always_valid_intervals",
    "always_valid_multiplier",
    "as_launched",
    "available_days",
    "balance",
    "by_version",
    "change_of_counts",
    "change_of_shares",
    "clip_rates",
    "comparable_items",
    "confidence_intervals",
    "days_outside",
    "days_until_visible",
    "effective_sample_size",
    "fake_reactions_to_flip",
    "favoured",
    "fewest",
    "fewest_in_buckets",
    "fewest_to_flip",
    "first_days",
    "invented_reactions",
    "leaning",
    "mean_weight",
    "of_time",
    "opportunities",
    "outlier_limit",
    "placebo",
    "position_curve",
    "probability_best",
    "rank_ranges",
    "sample_ratio_p_value",
    "simultaneous_intervals",
    "sum_by",
    "within_viewers",
]
