"""The parts that are ranked apart: everything, and every value of a segment with enough impressions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking import ClipCells, ClipTable, available_days, first_days, opportunities, sum_by
from clapometer.training.evidence.cells import Cells
from clapometer.training.evidence.clips import Clips
from clapometer.training.evidence.evidence import Evidence
from clapometer.training.evidence.screening import Scored
from clapometer.training.parameters import Parameters

__all__ = ["Slice", "slices"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Slice:
    """The clips and cells of one segment value.

    Attributes:
        segment: ``all``, or the dimension.
        value: Empty where the segment is ``all``.
        cells: Of clips that can be ranked; ``cells.cells.clip`` counts in `rows`.
        rows: Rows of the clips in `Clips`, ``(n,)``.
        table: The clips.
        whole: Whether slots were filled from all clips, as far as is known of everything.
        of_clips: Whether it is all impressions of some clips, not those of some viewers.
    """

    segment: str
    value: str
    cells: Cells
    rows: Ints
    table: ClipTable
    whole: bool = True
    of_clips: bool = True


def slices(evidence: Evidence, clips: Clips, parameters: Parameters) -> Iterator[Slice]:
    """Yields the clips and cells of every segment value with enough impressions, all of them first."""
    scored = evidence.summary
    values = {
        segment: evidence.values(segment, parameters.min_impressions, parameters.max_values)
        for segment in parameters.segments
        if segment not in clips.segments
    }
    everything, found = evidence.cells(scored.tier, values)
    shown = first_days(everything.cells.clip, everything.cells.day, everything.cells.impressions, len(clips))
    slots = np.zeros_like(scored.slots) if scored.tier == "C" else scored.slots
    published = available_days(clips.registered_day - scored.first_day, shown, clips.model.index[clips.unit], slots)
    first = _slice(clips, everything, scored, published, segment="all")
    # of a part nobody knows how many chances a clip had, but what holds of everything holds of its parts
    whole = first.table.opportunity is not None
    yield first
    for segment in parameters.segments:
        if segment in clips.segments:
            codes = clips.segments[segment]
            seen = sum_by(codes.index[clips.unit][everything.cells.clip] + 1, everything.cells.impressions)[1:]
            for index in np.argsort(-seen, kind="stable")[: parameters.max_values].tolist():
                if seen[index] >= parameters.min_impressions:
                    chosen = codes.index[clips.unit] == index
                    value = codes.names[index]
                    part = _slice(clips, everything, scored, published, chosen, segment=segment, value=value)
                    yield replace(part, whole=whole)
        else:
            for value in values[segment]:
                # how many slots of such viewers a clip had a chance in is not known
                cells = found[segment][value]
                part = _slice(clips, cells, scored, published, segment=segment, value=value, is_pool=False)
                yield replace(part, whole=whole, of_clips=False)


def _slice(
    clips: Clips,
    cells: Cells,
    scored: Scored,
    published: Ints,
    chosen: Flags | None = None,
    *,
    segment: str,
    value: str = "",
    is_pool: bool = True,
) -> Slice:
    keep = ~clips.excluded[clips.unit] & ~clips.excluded
    if chosen is not None:
        keep &= chosen
    rows = np.flatnonzero(keep)
    place = np.full(len(clips), -1)
    place[rows] = np.arange(len(rows))
    kept = cells.take(keep[cells.cells.clip])
    columns = {name: getattr(kept.cells, name) for name in ClipCells.__slots__}
    renumbered = ClipCells(**(columns | {"clip": place[kept.cells.clip]}))
    kept = Cells(renumbered, kept.weight, kept.completed, kept.liked, kept.revenue)
    published = published[rows]
    withdrawn = clips.withdrawn_day[rows]
    table = ClipTable(
        unit=place[clips.unit[rows]],
        model=clips.model.index[clips.unit[rows]],
        prompt=clips.prompt.index[clips.unit[rows]],
        published_day=published,
        stratum=clips.strata[clips.unit[rows]],
        opportunity=_opportunity(published, withdrawn, renumbered, scored) if is_pool else None,
    )
    return Slice(segment, value, kept, rows, table, whole=table.opportunity is not None)


def _opportunity(published: Ints, withdrawn: Ints, cells: ClipCells, scored: Scored) -> Floats | None:
    """Chances that each clip had to be shown, where slots were filled from all clips; None where they were not.

    Over slots, the chances of all clips add up to (clips that were there) / (candidates). So where that is near
    one per slot, all clips, or all that were ever shown, were the candidates.
    """
    if scored.tier == "C" or not scored.logged:
        return None
    chance = opportunities(scored.slots, published)
    shown = np.zeros(len(published), bool)
    shown[cells.clip] = True
    for candidates in (withdrawn < 0, shown):
        if 0.8 <= chance[candidates].sum() / scored.logged <= 1.25:
            return np.where(candidates, chance, 0.0)
    return None
