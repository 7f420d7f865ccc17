"""What a ranking says about one item: a place with its uncertainty, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Interval", "Ranked", "Reason", "Unranked"]


class Reason(StrEnum):
    """Why an item has no place. Unknown is a value, never a number."""

    NO_CLIPS = "it has no clip with a score"
    ONE_ITEM = "there is nothing to compare it with"
    NO_OVERLAP = "it never shares a prompt with another item"
    DISCONNECTED = "no chain of shared prompts connects it with the ranked items"
    TOO_FEW_PROMPTS = "it shares too few prompts with other items for an interval that holds"
    NO_DIFFERENCE = "all clips have the same score: nothing tells the items apart"
    NEVER_LOST = "it never lost to the others, directly or through one: votes do not say how much better it is"
    NEVER_WON = "it never won against the others, directly or through one: votes do not say how much worse it is"
    NO_CHAIN_OF_VOTES = "no chain of wins and losses leads from it to the others and back"
    TOO_FEW_VOTES = "it was voted on with too few prompts, or by too few people, for an interval that holds"
    ONLY_TIES = "all votes are ties: nothing tells the items apart"
    ONLY_BAD = "all votes on it say that both clips are bad: nothing says which is better"
    TOO_LITTLE_EVIDENCE = "its own impressions say hardly more than what it resembles does"


@dataclass(frozen=True, slots=True)
class Interval:
    """Closed interval ``[low, high]`` that covers the truth with probability `level`."""

    low: float
    high: float
    level: float = 0.95

    def covers(self, value: float) -> bool:
        """Whether `value` lies inside, ends included."""
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Ranked:
    """One item's place.

    Attributes:
        item: Index of the item (model version, prompt, ...).
        effect: Contrast to the mean of all ranked items, in label units.
        standard_error: Of `effect`.
        interval: For `effect`, this item alone.
        joint: For `effect`, right for all ranked items at once.
        rank: 1 is best.
        rank_range: First and last rank that the data allow, simultaneously for all items.
        probability_best: Probability that no other ranked item is better.
        n_clips: Clips that entered.
        n_prompts: Prompts on which it met another ranked item.
    """

    item: int
    effect: float
    standard_error: float
    interval: Interval
    joint: Interval
    rank: int
    rank_range: tuple[int, int]
    probability_best: float
    n_clips: int
    n_prompts: int


@dataclass(frozen=True, slots=True)
class Unranked:
    """An item that the data cannot place, and the reason."""

    item: int
    reason: Reason
