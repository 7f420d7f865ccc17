"""What the data allow to be claimed: tier B where chance was logged, and fits what was shown; else C, and why.

Tier A is what people said of two clips (votes, creators' choices): pair labels, and the ranking of
`clapometer.training.boards.votes`. No ranking of what viewers did has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.ranking import (
    Exposure,
    available_days,
    balance,
    by_version,
    favoured,
    first_days,
    mean_weight,
    opportunities,
)
from clapometer.training.evidence.cells import UNIT, Sums, add_up, sum_by_key
from clapometer.training.evidence.clips import encode, numbers
from clapometer.training.evidence.counted import Counted

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MIN_EXPLORED = 100
"""Fewest logged impressions by chance for tier B."""
_CERTAIN = 1e-6
_MEAN_TOLERANCE = 0.2
_BALANCE_TOLERANCE = 0.1
MOST_UNEQUAL = 0.1
"""Share by which clips of one version and day may be favoured."""
_UNEQUAL = 1e-4
"""Of logs whose chances are right, those whose clips are taken for favoured: the test looks at two columns."""


_SLACK = 0.1
_FEW, _MANY = 0.8, 1.25
"""Clips that were there over candidates, within which all that were there were candidates."""


@dataclass(frozen=True, eq=False)
class Chances:
    """What clips are due, ``(n_clips,)`` each.

    Attributes:
        version: Model version.
        names: Of the versions.
        opportunity: Sum of ``1 / candidates`` over slots while the clip was there; 0 for no candidate.
        batch: Clips of one number have the same chances; -1 for no candidate.
        slack: Share by which what a version is due may be wrong, ``(n_versions,)``: it came at some time of a day.
    """

    version: Ints
    names: Sequence[str]
    opportunity: Floats
    batch: Ints
    slack: Floats


def chances_of(
    con: duckdb.DuckDBPyConnection,
    shown: Floats,
    counts: NDArray[np.bool_],
    *,
    first_day: int,
    slots: Floats,
    logged: int,
) -> Chances | None:
    """Returns what clips are due; None where slots were filled from some of the clips, or nobody says from how many.

    Args:
        con: Connection with ``registered``.
        shown: Day of each clip's first impressions that count, infinity where it has none, ``(n_clips,)``.
        counts: Whether impressions of each clip count.
        first_day: Day 0, in days since 1970.
        slots: Sum of ``1 / candidates`` by day.
        logged: Slots.
    """
    query = "SELECT model, CAST(registered_at AS DATE) - DATE '1970-01-01' AS day FROM registered ORDER BY clip"
    table = con.sql(query).to_arrow_table()
    codes = encode(table["model"])
    published = available_days(numbers(table["day"]) - first_day, shown, codes.index, slots)
    chance = opportunities(slots, published)
    for candidates in (counts, np.isfinite(shown) & counts):
        due = np.where(candidates, chance, 0.0)
        if _FEW <= due.sum() / max(logged, 1) <= _MANY:
            break
    else:
        return None
    _, batch = np.unique(np.column_stack([codes.index, published]), axis=0, return_inverse=True)
    first = np.full(len(codes.names), len(slots))
    np.minimum.at(first, codes.index, np.clip(published, 0, len(slots)))
    slack = _SLACK + np.where(first > 0, 1 / np.maximum(len(slots) - first, 1), 0.0)
    return Chances(codes.index, codes.names, due, np.where(due > 0, batch.ravel(), -1), slack)


def first_shown(files: Sequence[Counted], n_clips: int) -> Floats:
    """Returns the day of each clip's first impressions that count, infinity where it has none, ``(n_clips,)``."""
    none = np.zeros(0, np.int64)
    found: list[tuple[Ints, Ints, Floats]] = [(none, none, np.zeros(0))]
    for file in files:
        cell, (shown,) = sum_by_key(file.cell, ())
        clip, day = np.divmod(cell >> 1, len(file.days))
        found.append((file.clip[clip], file.days[day], shown))
    clips, days, counts = (np.concatenate(column) for column in zip(*found, strict=True))
    return first_days(clips, days, counts, n_clips)


def exposure_of(table: pa.Table) -> Exposure:
    """Returns the columns of ``audit_policies.sql`` as arrays."""
    weight, squares = (np.asarray(table[name].to_numpy(), np.float64) for name in ("weight", "squares"))
    shown, explored = (numbers(table[name]).astype(np.float64) for name in ("shown", "explored"))
    return Exposure(numbers(table["clip"]), numbers(table["fold"]), shown, weight, squares, explored)


def counted_exposure(files: Sequence[Counted]) -> Exposure:
    """Returns what was shown with which chance, of the outcomes that count and have one."""
    found: list[Sums] = []
    for file in files:
        weight, cell, explored = file.take("weight"), file.cell, file.explored
        logged = ~np.isnan(weight)
        if not logged.all():
            weight, cell, explored = weight[logged], cell[logged], explored[logged]
        cell, sums = sum_by_key(cell, (np.rint(weight * UNIT), np.rint(weight * weight * 64), explored))
        found.append((file.clips_of(cell), sums))
    keys, (shown, weight, squares, explored) = add_up(found, 4)
    return Exposure(keys >> 1, keys & 1, shown, weight / UNIT, squares / 64, explored)


def contradiction(exposure: Exposure, chances: Chances | None = None) -> str:
    """Returns in what the data contradict the logged propensities by far; empty where they do not.

    Args:
        exposure: What was shown with which chance.
        chances: What clips were due, where it is known.
    """
    mean = mean_weight(exposure, _MEAN_TOLERANCE)
    if mean.p_value < _CERTAIN:
        return (
            f"the sum of 1 / propensity is {1 + mean.size:.2f} times the number of candidates, and should be 1.00 times"
        )
    unbalanced = balance(exposure)
    if unbalanced.p_value < _CERTAIN and unbalanced.size > _BALANCE_TOLERANCE:
        return (
            f"by the logged propensities popular clips would get another share of the slots than by chance: "
            f"{unbalanced.size:.0%} of the slots are in the wrong place"
        )
    return "" if chances is None else undue(exposure, chances)


def undue(exposure: Exposure, chances: Chances, *, certain: float = _UNEQUAL) -> str:
    """Returns what was shown far from what it was due; empty where nothing was.

    Args:
        exposure: What was shown with which chance.
        chances: What clips were due.
        certain: Of right logs, the share that may be doubted.
    """
    clip, fold, n = exposure.clip, exposure.fold, len(chances.batch)
    for what, column in (("weighted by 1 / propensity", exposure.weight), ("in explored slots", exposure.explored)):
        found = favoured(clip, fold, column, chances.batch, n)
        if found.p_value < certain / 2 and found.size > MOST_UNEQUAL:
            return (
                f"{what}, clips of one model version and day are shown more or less often by {found.size:.0%}, "
                "the same ones to different viewers, and should be alike"
            )
    version, found = by_version(exposure, chances.version, chances.opportunity, chances.slack)
    if found.p_value < _CERTAIN:
        return (
            f"weighted by 1 / propensity, {chances.names[version]} is shown {1 + found.size:.2f} times as often as its "
            "clips had chances"
        )
    return ""


def why_not_b(logged: int, explored: int, contradicted: str) -> str:
    """Returns why a ranking is of tier C; empty where it is of tier B."""
    if not logged:
        return "no impression has both a propensity and its number of candidates"
    if explored < MIN_EXPLORED:
        return (
            f"only {explored:,} impressions with a propensity were filled by chance (`explored`); "
            f"{MIN_EXPLORED} are needed"
        )
    return f"the data contradict the logged propensities: {contradicted}" if contradicted else ""
