"""Viewers that are not people, found from the narrow outcomes.

What is dear is computed only for those whom it could screen: distinct hours and days where there were impressions
enough, and all min-hashes where enough others have the same first two. For all others hours are days, a lower bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.labels import ScreeningLimits, ScreeningReason, ViewerSums, rows_seen_often, screen_viewers
from clapometer.labels.screening import MIX, SIGNATURES
from clapometer.training.evidence.outcome_files import BLIND, POSITIVE, Narrow

__all__ = ["Viewers"]

Ints = NDArray[np.integer[Any]]
Hashes = NDArray[np.uint64]
Flags = NDArray[np.bool_]

_FIRST = 2
"""Min-hashes of all; the others only of those whose first agree with those of enough others."""
_HOURS = 24 * 65_536
_NEVER = 1 << 40


@dataclass(frozen=True, eq=False)
class Appearances:
    """When and how often viewers were seen by impressions that are vouched for, ``(n_viewers,)`` each.

    Attributes:
        impressions: How often.
        days: On which days, a bit each; every 64th day has the same.
        first: First day, since 1970.
    """

    impressions: NDArray[np.int64]
    days: Hashes
    first: NDArray[np.int64]


class Viewers:
    """All viewers of some files, by the order of their hashes.

    Args:
        con: To compute hashes with.
        files: Outcomes of one tenant.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, files: Sequence[Narrow]) -> None:
        self._con, self._files = con, files
        everybody = np.concatenate([np.zeros(0, np.uint64), *(file.viewers for file in files)])
        everybody.sort(kind="stable")  # merges what is in order already
        self.hashes: Hashes = everybody[np.diff(everybody, prepend=~everybody[:1]) != 0]
        self.rows = [np.searchsorted(self.hashes, file.viewers) for file in files]
        """Of each file its viewers' places in `hashes`."""

    def screen(self, limits: ScreeningLimits) -> dict[int, ScreeningReason]:
        """Returns why viewers are no people, by place in `hashes`."""
        sums = self._sums(limits)
        chosen = np.flatnonzero(
            (sums.reactions >= limits.min_reactions) | (sums.impressions >= limits.everything_impressions)
        )
        reasons = screen_viewers(sums.take(chosen), limits)
        return {viewer: reason for viewer, reason in zip(chosen.tolist(), reasons, strict=True) if reason is not None}

    def names(self, viewers: Sequence[int], paths: Sequence[Path], tenant: str) -> list[str]:
        """Returns the ids of viewers, from a file of each in which they are."""
        wanted = self.hashes[np.asarray(viewers, np.int64)]
        left, ids = wanted, dict[int, str]()
        for file, path in zip(self._files, paths, strict=True):
            here = left[np.isin(left, file.viewers, assume_unique=True)] if len(left) else left
            if len(here):
                self._con.register("wanted", pa.table({"viewer": here}))
                found = self._con.execute(
                    "SELECT DISTINCT hash(viewer_id), viewer_id FROM read_parquet(?, hive_partitioning = false) "
                    "WHERE tenant = ? AND hash(viewer_id) IN (SELECT viewer FROM wanted)",
                    [str(path), tenant],
                ).fetchall()
                self._con.unregister("wanted")
                ids |= dict(found)
                left = np.setdiff1d(left, here, assume_unique=True)
        return [ids[viewer] for viewer in wanted.tolist()]

    def _sums(self, limits: ScreeningLimits) -> ViewerSums:
        n = len(self.hashes)
        impressions, days = self.seen.impressions, self.seen.days
        reactions, blind = (np.zeros(n, np.int64) for _ in range(2))
        for file, rows, reacted in zip(self._files, self.rows, self._reacted, strict=True):
            reactions[rows] += np.bincount(file.viewer[reacted], minlength=len(rows))
            unseen = reacted[file.flags[reacted] & BLIND > 0]
            blind[rows] += np.bincount(file.viewer[unseen], minlength=len(rows))
        some_days = np.bitwise_count(days).astype(np.int64)
        signature = np.zeros((n, SIGNATURES), np.int64)
        able = reactions >= limits.group_clips
        signature[:, :_FIRST] = self._min_hashes(able, range(_FIRST))
        alike = able.copy()
        alike[able] = rows_seen_often(signature[able, :_FIRST], limits.group_size)
        if alike.any():
            signature[:, _FIRST:] = self._min_hashes(alike, range(_FIRST, SIGNATURES))
        clips, catalogue = self._distinct(alike)
        busy = (impressions >= limits.hours_a_day * some_days) | (impressions > limits.impressions_an_hour)
        hours, all_days = self._hours(busy)
        return ViewerSums(
            impressions, reactions, blind, np.where(busy, hours, some_days), np.where(busy, all_days, some_days),
            clips, signature, catalogue,
        )  # fmt: skip

    @cached_property
    def seen(self) -> Appearances:
        """Returns when and how often viewers were seen."""
        n = len(self.hashes)
        impressions, days, first = np.zeros(n, np.int64), np.zeros(n, np.uint64), np.full(n, _NEVER)
        for file, rows in zip(self._files, self.rows, strict=True):
            impressions[rows] += np.bincount(file.viewer, minlength=len(rows))
            if len(file.days) == 1:
                days[rows] |= np.uint64(1) << np.uint64(file.days[0] % 64)
                first[rows] = np.minimum(first[rows], file.days[0])
            else:
                bit = np.uint64(1) << (file.days % 64).astype(np.uint64)
                np.bitwise_or.at(days, rows[file.viewer], bit[file.day])
                np.minimum.at(first, rows[file.viewer], file.days[file.day])
        return Appearances(impressions, days, first)

    @cached_property
    def _reacted(self) -> list[NDArray[np.int64]]:
        """Returns the rows of each file with a positive reaction."""
        return [np.flatnonzero(file.flags & POSITIVE > 0) for file in self._files]

    def _clip_hashes(self, which: range) -> Iterator[list[NDArray[np.int64]]]:
        """Yields hashes of the clips of each file, one after the other."""
        self._con.register(
            "named", pa.table({"id": pa.chunked_array([file.clips for file in self._files], pa.string())})
        )
        columns = ", ".join(
            f"CAST(hash(xor(hash(id), {MIX * (k + 1) % 2**64}::UBIGINT)) >> 1 AS BIGINT)" for k in which
        )
        found = self._con.sql(f"SELECT {columns} FROM named").to_arrow_table()  # noqa: S608 - numbers
        self._con.unregister("named")
        hashes, end = [column.to_numpy() for column in found.columns], 0
        for file in self._files:
            start, end = end, end + len(file.clips)
            yield [hashed[start:end] for hashed in hashes]

    def _min_hashes(self, chosen: Flags, which: range) -> NDArray[np.int64]:
        """Returns the smallest hashes of the clips that viewers reacted to; 0 for those who are not chosen."""
        least = np.full((len(which), len(chosen)), np.iinfo(np.int64).max)
        hashes = self._clip_hashes(which)
        for file, rows, reacted, hashed in zip(self._files, self.rows, self._reacted, hashes, strict=True):
            viewer = rows[file.viewer[reacted]]
            own = chosen[viewer]
            viewer, clip = viewer[own], file.clip[reacted[own]]
            for column, values in zip(least, hashed, strict=True):
                np.minimum.at(column, viewer, values[clip])
        return np.where(chosen, least, 0).T

    def _distinct(self, chosen: Flags) -> tuple[NDArray[np.int64], int]:
        """Returns how many clips chosen viewers reacted to, 0 for all others, and how many anybody did."""
        if not chosen.any():
            return np.zeros(len(chosen), np.int64), 0
        pairs, everything = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.int64)]
        hashes = self._clip_hashes(range(1))
        for file, rows, reacted, (hashed,) in zip(self._files, self.rows, self._reacted, hashes, strict=True):
            everything.append(hashed[np.unique(file.clip[reacted])])
            viewer, clip = rows[file.viewer[reacted]], file.clip[reacted]
            own = chosen[viewer]
            pairs.append(np.unique(np.column_stack([viewer[own], hashed[clip[own]]]), axis=0))
        viewers = np.unique(np.concatenate(pairs), axis=0)[:, 0]
        return np.bincount(viewers, minlength=len(chosen)), len(np.unique(np.concatenate(everything)))

    def _hours(self, chosen: Flags) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns distinct hours and days with an impression; 0 for viewers who are not chosen."""
        found = [np.zeros(0, np.int64)]
        if chosen.any():
            for file, rows in zip(self._files, self.rows, strict=True):
                row = np.flatnonzero(chosen[rows][file.viewer])
                hour = file.days[file.day[row]] * 24 + file.hour[row]
                found.append(np.unique(rows[file.viewer[row]] * _HOURS + hour))
        hours = np.unique(np.concatenate(found))
        days = np.unique(hours // 24)
        n = len(chosen)
        return np.bincount(hours // _HOURS, minlength=n), np.bincount(days // (_HOURS // 24), minlength=n)
