"""How far the effects of model versions could have been bought, and how few viewers that takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clapometer.domain import Verdict
from clapometer.ranking import Bought, Interval, PromptFixedEffects, Ranked, rank_ranges
from clapometer.training.boards.rows import Row

__all__ = ["NOT_FOR_SALE", "Buyable"]


@dataclass(frozen=True, eq=False)
class Buyable:
    """What could have been bought over everything, by model version.

    In a part of the traffic an impression counts as many times more as the part has fewer: so does what is bought.

    Attributes:
        bought: How far the effect could have been moved.
        shown: Impressions that it rests on.
        fewest: Returns the fewest viewers who could have moved an item's effect so far, upwards where that is positive.
        most: Viewers that one person could have made up.
    """

    bought: Mapping[int, Bought]
    shown: Mapping[int, float]
    fewest: Callable[[int, float], int | None]
    most: int = 0

    def of(self, item: int, shown: float) -> Bought:
        """Returns how far an item's effect could have been moved where it rests on so many impressions."""
        return self.bought[item].scaled(self.shown[item] / max(shown, 1.0)) if item in self.bought else Bought()

    def viewers(self, place: Ranked, row: Row, shown: float) -> int | None:
        """Returns the fewest viewers who could have bought the verdict that is withheld; None where none is."""
        if row["withheld_verdict"] is None or place.item not in self.bought:
            return None
        gap = place.joint.low if row["withheld_verdict"] == Verdict.KEEP else place.joint.high
        return self.fewest(place.item, gap * shown / self.shown[place.item]) or self.most

    def honest(self, places: Sequence[Ranked], fit: PromptFixedEffects, shown: Sequence[float]) -> list[Ranked]:
        """Returns places, each with an interval and a rank range that allow for what could have been bought."""
        if not self.bought:
            return list(places)
        bought = [self.of(place.item, each) for place, each in zip(places, shown, strict=True)]
        rows = np.searchsorted(fit.items_, [place.item for place in places])
        up, down = (np.zeros(len(fit.items_)) for _ in range(2))
        up[rows], down[rows] = [each.up for each in bought], [each.down for each in bought]
        slack = up[:, None] + down[None, :]
        ranges = rank_ranges(fit.effects_, fit.covariance_, fit.level, fit.seed, slack=slack)
        return [
            replace(
                place,
                joint=Interval(place.joint.low - each.up, place.joint.high + each.down, place.joint.level),
                rank_range=(int(ranges[row, 0]), int(ranges[row, 1])),
            )
            for place, each, row in zip(places, bought, rows.tolist(), strict=True)
        ]


NOT_FOR_SALE = Buyable({}, {}, lambda _item, _gap: None)
"""Where nothing is asked, or nothing is claimed."""
