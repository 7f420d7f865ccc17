"""The outcomes of one file that count, and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clapometer.labels import FLAGS, LabelRule, SignalName
from clapometer.training.evidence.cells import UNIT, sum_by_key
from clapometer.training.evidence.outcome_files import COMPLETED, EXPLORED, FOLD, PLACES, SIGNAL_BITS, Narrow

__all__ = ["UNIT", "Counted", "Worths"]

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_LABEL = 1e6
MOST_CAPPED = 10.0
LABELLED = 2 * COMPLETED - 1
"""The flags that have a worth of their own."""
_LIKED = 1 << SIGNAL_BITS.index("liked")


@dataclass(frozen=True, eq=False)
class Worths:
    """What outcomes are worth.

    Attributes:
        rule: The label rule.
        watch: Signal of watching by `Narrow.watch`: its quantile, or neutral.
        examination: By key of a place.
        currency: In which revenue is counted.
    """

    rule: LabelRule
    watch: Floats
    examination: Floats
    currency: str | None

    def fixed(self) -> Floats:
        """Returns what signals are worth, but for watching and revenue, by their bits of `Narrow.flags`."""
        code, weights = np.arange(LABELLED + 1), self.rule.weights
        value: Floats = weights.completed * (code & COMPLETED > 0).astype(np.float64)
        for bit, signal in enumerate(FLAGS):
            value = value + weights.of(signal.name) * (code >> bit & 1)
        return value


@dataclass(frozen=True, eq=False)
class Counted:
    """A file of outcomes, of which those count that nothing speaks against.

    Attributes:
        narrow: All of them.
        clip: Row of each of its clips in all clips; -1 where it is not registered.
        places: Key of each of its places: surface and position in one number.
        days: Its days, since the first one.
        kept: Rows that count, None for all.
    """

    narrow: Narrow
    clip: NDArray[np.int64]
    places: NDArray[np.int64]
    days: NDArray[np.int64]
    kept: Ints | None = None

    @classmethod
    def of(cls, narrow: Narrow, clip: NDArray[np.int64], surfaces: Mapping[str, int], first_day: int) -> Counted:
        """Returns a file of which everything counts yet.

        Args:
            narrow: The file.
            clip: Row of each of its clips.
            surfaces: Numbers of surfaces; those without one have 0.
            first_day: In days since 1970.
        """
        surface = np.array([surfaces.get(name, 0) for name in narrow.surfaces.to_pylist()], np.int64)
        return cls(narrow, clip, surface * PLACES + narrow.positions, narrow.days - first_day)

    def __len__(self) -> int:
        return len(self.narrow) if self.kept is None else len(self.kept)

    def without(self, rows: Flags) -> Counted:
        """Returns the file of which some rows do not count either."""
        kept = np.arange(len(self.narrow)) if self.kept is None else self.kept
        return replace(self, kept=kept[~rows[kept]])

    def take(self, name: str, rows: Ints | None = None) -> Any:
        """Returns a column of the outcomes that count, or of some of them."""
        return self._only(getattr(self.narrow, name), rows)

    def of_viewers(self, chosen: Flags) -> Ints:
        """Returns which of the outcomes that count are of viewers that are chosen by their numbers in this file."""
        return np.flatnonzero(chosen[self.take("viewer")])

    def _only(self, column: NDArray[Any], rows: Ints | None) -> Any:
        if self.kept is not None:
            rows = self.kept if rows is None else self.kept[rows]
        return column if rows is None else column[rows]

    @property
    def cell(self) -> NDArray[np.int64]:
        """Clip, day (their numbers in this file) and viewer fold in one number."""
        fold = self.take("flags") & FOLD > 0
        clip: NDArray[np.int64] = self.take("clip") * np.int64(2 * len(self.days))
        cell: NDArray[np.int64] = clip + fold
        return cell if len(self.days) == 1 else cell + self.take("day") * np.int64(2)

    @property
    def explored(self) -> Flags:
        """Whether the place was filled by chance."""
        return self.take("flags") & EXPLORED > 0  # type: ignore[no-any-return]

    def keys(self, cell: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns cells by their key among those of all files: ``clip * 2^17 + day * 2 + fold``."""
        clip, day = np.divmod(cell >> 1, len(self.days))
        keys: NDArray[np.int64] = self.clip[clip] * 131_072 + self.days[day] * 2 + (cell & 1)
        return keys

    def clips_of(self, cell: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns cells by their key without the day: ``clip * 2 + fold``."""
        keys: NDArray[np.int64] = self.clip[(cell >> 1) // len(self.days)] * 2 + (cell & 1)
        return keys

    def by_day(self, column: NDArray[Any] | None = None) -> dict[int, float]:
        """Returns how many outcomes count, or the sum of a column of those, by day since the first one."""
        if not len(self):
            return {}
        if len(self.days) == 1:
            return {int(self.days[0]): float(len(self) if column is None else column.sum())}
        day, sums = sum_by_key(self.take("day"), () if column is None else (column,))
        return dict(zip(self.days[day].tolist(), sums[-1].tolist(), strict=True))

    def weights(self, rows: Ints | None = None, *, uniform: bool) -> Floats:
        """Returns uniform-exposure weights, 0 where they are not known; 1 where all are to count alike."""
        weight: Floats = self.take("weight", rows)
        if uniform:
            return np.ones(len(weight))
        unknown = np.isnan(weight)
        return np.where(unknown, 0.0, weight) if unknown.any() else weight

    def labels(self, worths: Worths, rows: Ints | None = None) -> Floats:
        """Returns what each is worth."""
        rule = worths.rule
        label: Floats = (rule.scale * worths.fixed())[self.take("flags", rows) & LABELLED]
        if rule.weights.revenue:
            label += rule.scale * rule.weights.revenue * self._income(rule.currency, rows)
        label += (rule.scale * rule.weights.watch * worths.watch)[self.take("watch", rows)]
        return np.clip(label, -MOST_LABEL, MOST_LABEL, out=label)

    def examination(self, worths: Worths, rows: Ints | None = None) -> Floats:
        """Returns how much the place of each is looked at."""
        looked: Floats = worths.examination[self.places][self.take("place", rows)]
        return looked

    def columns(self, worths: Worths, *, uniform: bool) -> list[Floats | Flags | None]:
        """Returns the columns whose sums are cells (`Cells.of`), in whole units; None where all are 0."""
        flags, label, exposure = self.take("flags"), self.labels(worths), self.examination(worths)
        sizes = [label, exposure]
        if not uniform:
            weight = self.weights(uniform=False)
            capped = np.minimum(weight, MOST_CAPPED)
            sizes += [weight * label, weight * exposure, capped * label, capped * exposure, weight.copy()]
        whole = [_whole(size) for size in sizes]
        if uniform:  # the same columns thrice, which are summed once
            whole = [*whole * 3, np.full(len(label), UNIT)]
        paid = _whole(self._income(worths.currency)) if len(self.narrow.paid) else None
        return [*whole, flags & COMPLETED > 0, flags & _LIKED > 0, paid]

    def signal(self, name: SignalName, worths: Worths) -> Floats:
        """Returns the value of a signal."""
        if name == "watch":
            watched: Floats = worths.watch[self.take("watch")]
            return watched
        if name == "revenue":
            return self._income(worths.rule.currency)
        bit = COMPLETED if name == "completed" else 1 << [signal.name for signal in FLAGS].index(name)
        flag: Floats = (self.take("flags") & bit > 0).astype(np.float64)
        return flag

    def _income(self, currency: str | None, rows: Ints | None = None) -> Floats:
        """Returns the revenue in a currency; 0 where it is in another one."""
        narrow, income = self.narrow, np.zeros(len(self.narrow))
        paid = np.array([name == currency for name in narrow.currency.to_pylist()], np.bool_)
        income[narrow.paid[paid]] = np.nan_to_num(narrow.revenue[paid])
        return self._only(income, rows)  # type: ignore[no-any-return]


def _whole(sizes: Floats) -> Floats:
    """Returns sizes in whole units; takes their place."""
    sizes *= UNIT
    return np.rint(sizes, out=sizes)
