"""Rankings that are true: estimators, intervals and what they refuse to say."""

from clapometer.ranking.cells import ClipCells, ClipTable, opportunities
from clapometer.ranking.clip_scores import ClipAIPW
from clapometer.ranking.examination import TimeOffsets, fit_time_offsets, position_curve
from clapometer.ranking.fixed_effects import PromptFixedEffects
from clapometer.ranking.grouping import sum_by
from clapometer.ranking.intervals import confidence_intervals, probability_best, rank_ranges
from clapometer.ranking.results import Interval, Ranked, Reason, Unranked

__all__ = [
    "ClipAIPW",
    "ClipCells",
    "ClipTable",
    "Interval",
    "PromptFixedEffects",
    "Ranked",
    "Reason",
    "TimeOffsets",
    "Unranked",
    "confidence_intervals",
    "fit_time_offsets",
    "opportunities",
    "position_curve",
    "probability_best",
    "rank_ranges",
    "sum_by",
]
