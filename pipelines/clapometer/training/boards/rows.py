"""The rows of a ranking: places with their uncertainty, counts and rates, or the reason why there is no place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import norm

from clapometer.domain import Verdict, verdict
from clapometer.ranking import Interval, Ranked, sum_by
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.clips import Clips, Codes
from clapometer.training.evidence.screening import MainCurrency, Scored, main_currency

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Sheet:
    """One ranking to be: a subject on a slice.

    Attributes:
        subject: model_versions, prompts or templates.
        part: The slice.
        names: Item ids.
        labels: What people read.
        facts: Counts and rates of the items.
        tier: Of everything in it.
    """

    subject: str
    part: Slice
    names: Sequence[str]
    labels: Sequence[str]
    facts: Facts
    tier: str

    def place(self) -> Row:
        """Returns the columns that say which ranking this is."""
        return {"subject": self.subject, "segment": self.part.segment, "segment_value": self.part.value}

    def row(self, item: int) -> Row:
        """Returns what is known of an item without any estimate."""
        named = {"item": self.names[item], "label": self.labels[item], "tier": self.tier}
        return self.place() | named | self.facts.of(item)

    def unranked(self, item: int, reason: str) -> Row:
        """Returns the row of an item that has no place: a reason and no number."""
        return self.row(item) | {"unranked_reason": reason, "verdict": str(Verdict.NOT_ENOUGH), "calibrated": False}

    def shown(self, item: int) -> float:
        """Returns how many impressions of an item count."""
        return float(self.facts.impressions[item])

    def ranked(self, place: Ranked, n_ranked: int, level: float, half: float, honest: Ranked | None = None) -> Row:
        """Returns the row of one of `n_ranked` items; its value is `level` + effect, within `half`.

        A verdict is withheld that is not one on the ``honest`` place, which allows for what could have been bought.
        """
        value = place.effect + level
        said, sure = (
            self.verdict(each.joint, each.rank_range, n_ranked, place.probability_best)
            for each in (place, honest or place)
        )
        return self.row(place.item) | {
            "rank": place.rank,
            "effect": place.effect,
            "effect_low": place.interval.low,
            "effect_high": place.interval.high,
            "value": value,
            "value_low": value - half,
            "value_high": value + half,
            "verdict": sure,
            "withheld_verdict": None if said == sure else said,
            "calibrated": self.tier != "C",
            **self.sureness(place.rank_range, place.probability_best),
        }

    def sureness(self, places: tuple[int, int], best: float) -> Row:
        """Returns the places that the data allow and the probability of being the best; unknown in tier C."""
        known = (*places, best) if self.tier != "C" else (None, None, None)
        return dict(zip(("rank_low", "rank_high", "p_best"), known, strict=True))

    def verdict(self, joint: Interval, places: tuple[int, int], n_ranked: int, best: float) -> str:
        """Returns the verdict on an item of `n_ranked` by the interval that holds for all of them at once."""
        return str(verdict(joint.low, joint.high, places, n_ranked, best=best, calibrated=self.tier != "C"))

    def contrast(self, left: int, right: int, difference: float, error: float, reach: float) -> Row:
        """Returns the row of the difference of two items, with its interval of `reach` standard errors."""
        return self.place() | {
            "left_item": self.names[left],
            "right_item": self.names[right],
            "difference": difference,
            "low": difference - reach * error,
            "high": difference + reach * error,
            "p_left": float(norm.cdf(difference / error)) if error > 0 else None,
            "tier": self.tier,
        }


@dataclass(frozen=True, eq=False)
class Facts:
    """What can be counted about items, estimated or not; every column ``(n_items,)``."""

    impressions: Floats
    clips: Ints
    prompts: Ints
    completed: Floats
    liked: Floats
    revenue: Floats
    cost: Floats
    currency: MainCurrency
    cost_currency: MainCurrency

    def of(self, item: int) -> Row:
        """Returns the counts and rates of one item; rates of nothing are unknown."""
        shown = self.impressions[item]
        paid = self.currency.name is not None and shown > 0
        return {
            "impressions": int(shown),
            "clips": int(self.clips[item]),
            "prompts": int(self.prompts[item]),
            "completion_rate": float(self.completed[item] / shown) if shown > 0 else None,
            "like_rate": float(self.liked[item] / shown) if shown > 0 else None,
            "revenue_per_1000": float(self.revenue[item] / shown * 1_000) if paid else None,
            "cost_per_clip": None if np.isnan(self.cost[item]) else float(self.cost[item]),
            "currency": self.currency.name,
            "currency_share": self.currency.share,
            "cost_currency": self.cost_currency.name,
            "cost_currency_share": self.cost_currency.share,
        }


def item_facts(part: Slice, clips: Clips, items: Codes, scored: Scored) -> Facts:
    """Counts what the clips of each item came to; reposts count for the item of the original."""
    n = len(items.names)
    of_clip = items.index[clips.unit[part.rows]]
    named = of_clip >= 0
    cell = of_clip[part.cells.cells.clip]
    counted = cell >= 0

    def total(values: Floats) -> Floats:
        return sum_by(cell[counted], values[counted], n)

    canonical = named & part.table.is_canonical
    pairs = np.unique(np.column_stack([of_clip[canonical], part.table.prompt[canonical]]), axis=0).reshape(-1, 2)
    cost_currency = _main_currency(clips)
    cost = np.where(_in_currency(clips, cost_currency.name), clips.cost, np.nan)[part.rows]
    known = canonical & ~np.isnan(cost)
    spent, made = sum_by(of_clip[known], cost[known], n), np.bincount(of_clip[known], minlength=n)
    return Facts(
        impressions=total(part.cells.cells.impressions),
        clips=np.bincount(of_clip[canonical], minlength=n),
        prompts=np.bincount(pairs[:, 0], minlength=n),
        completed=total(part.cells.completed),
        liked=total(part.cells.liked),
        revenue=total(part.cells.revenue),
        cost=np.divide(spent, made, out=np.full(n, np.nan), where=made > 0),
        currency=scored.currency,
        cost_currency=cost_currency,
    )


def _main_currency(clips: Clips) -> MainCurrency:
    """Returns the currency of most clips whose cost counts; as views choose, not that of purchases."""
    codes = clips.cost_currency
    given = codes.index[(codes.index >= 0) & ~np.isnan(clips.cost)]
    return main_currency(dict(zip(codes.names, np.bincount(given, minlength=len(codes.names)).tolist(), strict=True)))


def _in_currency(clips: Clips, currency: str | None) -> Flags:
    if currency not in clips.cost_currency.names:
        return np.zeros(len(clips), bool)
    same: Flags = clips.cost_currency.index == clips.cost_currency.names.index(currency or "")
    return same


def to_table(rows: list[Row], schema: pa.Schema, **columns: object) -> pa.Table:
    """Returns rows as a table: floats to 12 digits, so that no processor's last bit shows; ``columns`` are constant."""
    fixed = [{name: _rounded(row.get(name)) for name in schema.names} | columns for row in rows]
    return pa.Table.from_pylist(fixed, schema=schema)


def _rounded(value: object) -> object:
    return float(f"{value:.12g}") if isinstance(value, float) else value
