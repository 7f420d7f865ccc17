"""How far the effects of model versions could have been bought, and how few viewers that takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

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
        pairs: How far differences of two effects could have been moved, the lower number first; both effects are
            bounded where a pair is missing.
    """

    bought: Mapping[int, Bought]
    shown: Mapping[int, float]
    fewest: Callable[[int, float], int | None]
    most: int = 0
    pairs: Mapping[tuple[int, int], Bought] = field(default_factory=dict)

    def of(self, item: int, shown: float) -> Bought:
        """Returns how far an item's effect could have been moved where it rests on so many impressions."""
        return self.bought[item].scaled(self.shown[item] / max(shown, 1.0)) if item in self.bought else Bought()

    def of_pair(self, left: int, right: int, shown: tuple[float, float]) -> Bought:
        """Returns how far the difference of two effects could have been moved where they rest on so many impressions.

        Whom one viewer helps is often not whom another hurts: the same viewers rarely do most to both. Beyond the
        smaller of both scales each effect is bounded for itself.
        """
        first, second = self.of(left, shown[0]), self.of(right, shown[1])
        up, down = first.up + second.down, first.down + second.up
        pair = self.pairs.get((min(left, right), max(left, right)))
        if pair is None:
            return Bought(up, down)
        alone, other = self.bought[left], self.bought[right]
        both = min(self.shown[item] / max(each, 1.0) for item, each in zip((left, right), shown, strict=True))
        pair = pair if left < right else Bought(pair.down, pair.up)
        return Bought(
            up - both * max(alone.up + other.down - pair.up, 0.0),
            down - both * max(alone.down + other.up - pair.down, 0.0),
        )

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
        slack = np.zeros((len(fit.items_), len(fit.items_)))
        for (i, left), (j, right) in combinations(enumerate(places), 2):
            pair = self.of_pair(left.item, right.item, (shown[i], shown[j]))
            slack[rows[i], rows[j]], slack[rows[j], rows[i]] = pair.up, pair.down
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
