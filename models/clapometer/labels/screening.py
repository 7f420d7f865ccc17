"""Who does not count: fake accounts, alone or in groups, found from one row of sums per viewer.

Screened viewers keep their rows in the lake, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import betabinom, binom

from clapometer.domain import InputError
from clapometer.labels.cohorts import CohortLimits

__all__ = ["ScreeningLimits", "ScreeningReason", "ViewerSums", "newcomers", "rows_seen_often", "screen_viewers"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIGNATURES = 8
"""Min-hashes per viewer: a pair of viewers with Jaccard overlap J agrees on all of them with probability J^8."""
MIX = 0x9E3779B97F4A7C15
"""An odd number with as many ones as zeros: its multiples differ in about half of all bits."""
_ALIKE = (2.0, 50.0)
"""How much alike people may be: a + b of the beta distribution, from "any share is as likely" to within 7 %."""


class ScreeningReason(StrEnum):
    """Why a viewer's impressions weigh nothing; the first that holds is recorded."""

    BLIND = "reacts to clips it did not watch"
    EVERYTHING = "reacts to nearly everything it is shown"
    ROUND_THE_CLOCK = "is active at all hours, day after day"
    RATE = "sees more clips an hour than a person can"
    LOCKSTEP = "reacts to the same clips as a group of other accounts"
    COHORT = "came with others who react to a model version as nobody else does"
    NEW = "is too new to be known"


@dataclass(frozen=True, slots=True)
class ScreeningLimits:
    """Where a person ends; every limit leaves heavy but human use alone.

    Attributes:
        min_reactions: Fewest positive reactions to judge somebody by them.
        blind_ratio: Share of them on clips watched for less than a moment.
        blind_chance: Largest probability that anybody among all viewers had as many by chance, were the viewer
            like all others: judging many must not screen somebody.
        everything_ratio: Share of impressions with a positive reaction.
        everything_impressions: Fewest impressions for that.
        everything_chance: Largest probability that anybody among all viewers reacted to as many, were eagerness
            spread among people as it is among all others.
        hours_a_day: Distinct hours with activity per active day, over at least ``days`` days.
        days: See ``hours_a_day``.
        impressions_an_hour: Per hour with activity.
        group_size: Fewest accounts with the same reactions that make a group.
        group_clips: Fewest clips that each of them reacted to: of the same clip again and again nothing follows.
        group_share: Largest share of the clips that anybody reacted to. Who likes half of a small catalogue agrees with
            others by chance.
        new_days: Days for which a viewer is too new to count, where most are not.
        new_share: Largest share of the impressions that viewers who are too new give where most are not.
        cohorts: When viewers who came together are no people.
    """

    min_reactions: int = 5
    blind_ratio: float = 0.5
    blind_chance: float = 0.01
    everything_ratio: float = 0.9
    everything_impressions: int = 40
    everything_chance: float = 0.01
    hours_a_day: float = 20.0
    days: int = 2
    impressions_an_hour: float = 1_200.0
    group_size: int = 3
    group_clips: int = 8
    group_share: float = 0.25
    new_days: int = 3
    new_share: float = 0.1
    cohorts: CohortLimits = field(default_factory=CohortLimits)


@dataclass(frozen=True, slots=True, eq=False)
class ViewerSums:
    """What is summed per viewer, ``(n_viewers,)`` each; `signature` is ``(n_viewers, 8)``.

    Attributes:
        impressions: Shown clips.
        reactions: Impressions with a positive reaction.
        blind: Those among them that were watched for less than a moment.
        hours: Distinct hours with an impression, where they could screen the viewer.
        days: Distinct days with one.
        clips: Distinct clips with a positive reaction, where they could screen the viewer; their number is at most that
            of the reactions.
        signature: Min-hashes of the set of clips with a positive reaction, where they could screen the viewer.
        catalogue: Distinct clips that anybody reacted to; a number.
    """

    impressions: Ints
    reactions: Ints
    blind: Ints
    hours: Ints
    days: Ints
    clips: Ints
    signature: Ints
    catalogue: int

    def __post_init__(self) -> None:
        for column in fields(self)[:-1]:
            shape = np.shape(getattr(self, column.name))
            wanted = (len(self.impressions), SIGNATURES) if column.name == "signature" else (len(self.impressions),)
            if shape != wanted:
                msg = f"has shape {shape}, must be {wanted}"
                raise InputError(msg, column.name)

    def take(self, rows: Ints) -> ViewerSums:
        """Returns those of some of the viewers."""
        columns = {column.name: getattr(self, column.name)[rows] for column in fields(self)[:-1]}
        return ViewerSums(**columns, catalogue=self.catalogue)


def screen_viewers(sums: ViewerSums, limits: ScreeningLimits | None = None) -> list[ScreeningReason | None]:
    """Returns the reason to screen each viewer, None for those that count.

    A viewer is blind when blind reactions are both most of its reactions and more than chance allows: the
    share among all viewers is estimated by the median viewer's side of the data, so that many fakes do not make
    themselves normal.
    """
    limits = limits or ScreeningLimits()
    reacts = sums.reactions >= limits.min_reactions
    usual = _usual_blind_ratio(sums, limits)
    chance = binom.sf(sums.blind - 1, np.maximum(sums.reactions, 1), usual)
    hours, days = np.maximum(sums.hours, 1), np.maximum(sums.days, 1)
    rules = {
        ScreeningReason.BLIND: reacts
        & (sums.blind > limits.blind_ratio * sums.reactions)
        & (chance * max(int(reacts.sum()), 1) < limits.blind_chance),
        ScreeningReason.EVERYTHING: _beyond_eager(sums, limits),
        ScreeningReason.ROUND_THE_CLOCK: (sums.days >= limits.days) & (hours >= limits.hours_a_day * days),
        ScreeningReason.RATE: sums.impressions > limits.impressions_an_hour * hours,
        ScreeningReason.LOCKSTEP: _lockstep(sums, limits),
    }
    reasons: list[ScreeningReason | None] = [None] * len(sums.impressions)
    for reason, holds in reversed(rules.items()):
        for row in np.flatnonzero(holds).tolist():
            reasons[row] = reason
    return reasons


def newcomers(first: Ints, impressions: Ints, last: int, limits: ScreeningLimits) -> NDArray[np.bool_]:
    """Returns which viewers are too new to count yet; nobody where they are not few beside the others.

    Accounts cost nothing, age does: whoever would move a ranking has to keep them for days in which they can be found.

    Args:
        first: Day on which each viewer was first seen.
        impressions: Of each.
        last: Day up to which they were seen.
        limits: How long viewers are new, and how few they must be.
    """
    new = (impressions > 0) & (first > last - limits.new_days)
    if impressions[new].sum() > limits.new_share * impressions.sum():
        return np.zeros(len(new), np.bool_)
    return new


def _usual_blind_ratio(sums: ViewerSums, limits: ScreeningLimits) -> float:
    """Share of blind reactions among viewers that are not mostly blind, never below one in a thousand."""
    plain = sums.blind <= limits.blind_ratio * sums.reactions
    return max(float(sums.blind[plain].sum()) / max(float(sums.reactions[plain].sum()), 1.0), 1e-3)


def _beyond_eager(sums: ViewerSums, limits: ScreeningLimits) -> NDArray[np.bool_]:
    """Viewers who react to nearly everything, and to more than the most eager of as many people would by chance.

    Eagerness is taken as beta distributed; mean and variance are moments of pairs of impressions of the same viewer,
    so that the luck of those with few impressions is no eagerness. Those who might be screened have no part in them.

    References:
        Kleinman (1973), Proportions with extraneous variance: single and independent samples, JASA 68.
    """
    judged = sums.impressions >= limits.everything_impressions
    nearly = sums.reactions >= limits.everything_ratio * sums.impressions
    found = judged & nearly
    if not found.any():
        return found
    shown, liked = (column[~nearly].astype(float) for column in (sums.impressions, sums.reactions))
    # One viewer of whom nothing is known but that any share is as likely stands in where there are no others.
    pairs = (shown * (shown - 1)).sum() + 1
    mean = ((liked * (shown - 1)).sum() + 1 / 2) / pairs
    spread = ((liked * (liked - 1)).sum() + 1 / 3) / pairs - mean**2
    alike = np.clip(mean * (1 - mean) / max(spread, 1e-12) - 1, *_ALIKE)
    chance = betabinom.sf(sums.reactions[found] - 1, sums.impressions[found], mean * alike, (1 - mean) * alike)
    found[found] = chance * judged.sum() < limits.everything_chance
    return found


def _lockstep(sums: ViewerSums, limits: ScreeningLimits) -> NDArray[np.bool_]:
    """Viewers whose sets of clips have the same min-hashes as those of enough others.

    All of them must agree: fans of the same few hits share some by chance. A ring whose accounts each leave out
    clips of their own is therefore found in part only.

    References:
        Broder (1997), On the resemblance and containment of documents, SEQUENCES.
    """
    able = np.flatnonzero((sums.clips >= limits.group_clips) & (sums.clips <= limits.group_share * sums.catalogue))
    able = able[rows_seen_often(sums.signature[able], limits.group_size)]
    found = np.zeros(len(sums.impressions), bool)
    if len(able):
        _, group, size = np.unique(sums.signature[able], axis=0, return_inverse=True, return_counts=True)
        found[able] = size[group.ravel()] >= limits.group_size
    return found


def rows_seen_often(rows: Ints, times: int) -> NDArray[np.bool_]:
    """Returns which rows are there at least so often, by a hash of each: few others may be among them.

    Args:
        rows: ``(n, m)``.
        times: One or more.
    """
    odd = np.array([pow(MIX, k + 1, 2**64) for k in range(rows.shape[1])], np.uint64)
    mixed = (rows.astype(np.uint64) * odd).sum(1)
    ordered = np.sort(mixed)
    last = ordered[times - 1 :]
    return np.isin(mixed, last[last == ordered[: len(last)]])
