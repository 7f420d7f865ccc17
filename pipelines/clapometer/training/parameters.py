"""What is chosen for a run beside its label rule."""

from __future__ import annotations

import msgspec

from clapometer.ranking import Budget

__all__ = ["DEFAULT_PARAMETERS", "Parameters"]


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
