"""Narrow outcomes to sufficient statistics: the looks at every impression that a training takes.

Each look goes over the files one by one, so memory does not grow with their number.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.labels import LabelRule, ScreeningLimits, ScreeningReason, WatchCounts, fit_watch_quantiles
from clapometer.lake.schema import WEIGHTLESS_SUFFIX
from clapometer.lake.statements import sql
from clapometer.lake.tables import Lake
from clapometer.ranking import Exposure, effective_sample_size, outlier_limit, position_curve
from clapometer.training.evidence.cells import UNIT, Cells, Sums, add_up, cells_by_value, cells_of, sum_by_key
from clapometer.training.evidence.clips import encode, numbers
from clapometer.training.evidence.cohorts import screen_by_age
from clapometer.training.evidence.counted import MOST_CAPPED, Counted, Worths
from clapometer.training.evidence.outcome_files import IMMATURE, OWN, PLACES, KnownClips, Narrow, NarrowFiles
from clapometer.training.evidence.outliers import Outliers, find_outliers
from clapometer.training.evidence.screening import REASONS, MainCurrency, Scored, Screening, main_currency
from clapometer.training.evidence.tiers import MIN_EXPLORED, contradiction
from clapometer.training.evidence.viewers import Viewers

__all__ = ["Impressions", "Sample"]

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

_MOST_SURFACES = 1_000
_UNTRUSTED, _UNREGISTERED, _OWN, _RECENT = (
    REASONS.index(name) for name in ("untrusted impression", "clip not registered", "creator's own view", "too recent")
)


@dataclass(frozen=True, eq=False)
class Sample:
    """Impressions that count, ``(n,)`` each.

    Attributes:
        clip: Row in all clips.
        viewer: Number of the viewer.
        day: Of the impression, from the first.
        label: What they are worth.
        examination: Of their place.
        weight: Uniform-exposure weight; 1 where all count alike.
        every: Of the viewers, every how many are in it.
    """

    clip: NDArray[np.int64]
    viewer: NDArray[np.int64]
    day: NDArray[np.int64]
    label: Floats
    examination: Floats
    weight: Floats
    every: int = 1


class Impressions:
    """All outcomes of a tenant in a snapshot, as a label rule reads them.

    Args:
        con: Connection to the snapshot, with ``registered``.
        lake: The lake.
        tenant: Whose outcomes.
        rule: What an outcome is worth, and the time as of which it is mature.
        version: Of ``outcomes``; the latest where it is not given.

    Attributes:
        files: The outcomes, of which those count that `score` chose.
        outliers: What does not count because no other outcome is like it, from `score` on.
        worths: What they are worth, from `score` on.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        lake: Lake,
        tenant: str,
        rule: tuple[LabelRule, dt.datetime],
        version: int | None = None,
    ) -> None:
        self._con, self._tenant, self._rule = con, tenant, rule[0]
        known = KnownClips.read(con)
        listed = lake.files("outcomes", version)
        apart = [path for path in listed if path.name.endswith(WEIGHTLESS_SUFFIX)]
        paths = [path for path in listed if not path.name.endswith(WEIGHTLESS_SUFFIX)]
        read = list(NarrowFiles(con, lake.storage, tenant, rule, known).read_all(paths))
        self._weightless = sum(narrow.weightless for _, narrow in read) + _count(con, apart, tenant)
        self._paths = [path for path, narrow in read if len(narrow)]
        narrows = [narrow for _, narrow in read if len(narrow)]
        self._first_day = min((int(narrow.days[0]) for narrow in narrows), default=0)
        surfaces = _surfaces(narrows)
        self.files = [Counted.of(each, known.rows(each.clips), surfaces, self._first_day) for each in narrows]
        self._automated: dict[int, int] = {}
        self.outliers = Outliers()
        self.worths = Worths(self._rule, np.zeros(0), np.zeros(0), None)

    @cached_property
    def viewers(self) -> Viewers:
        """Everybody."""
        return Viewers(self._con, [file.narrow for file in self.files])

    def screen(self, limits: ScreeningLimits | None) -> pa.Table:
        """Leaves out viewers that are not people from now on; returns ``viewer_id`` and the number of the ``reason``.

        Args:
            limits: Where a person ends; None lets everybody count.
        """
        found = {} if limits is None or not self.files else self._found(limits)
        self._automated = {viewer: REASONS.index(f"viewer {reason}") for viewer, reason in found.items()}
        names = self.viewers.names(list(found), self._paths, self._tenant)
        rows = sorted(zip(names, self._automated.values(), strict=True))
        columns = {"viewer_id": [name for name, _ in rows], "reason": [reason for _, reason in rows]}
        return pa.table(columns, pa.schema([("viewer_id", pa.string()), ("reason", pa.uint8())]))

    def _found(self, limits: ScreeningLimits) -> dict[int, ScreeningReason]:
        """Returns why viewers do not count, by place: for what they do, or for when they came."""
        found = self.viewers.screen(limits)
        out = np.zeros(len(self.viewers.hashes), np.bool_)
        out[list(found)] = True
        model = encode(self._con.sql("SELECT model FROM registered ORDER BY clip").to_arrow_table()["model"]).index
        return found | screen_by_age(self.viewers, self.files, model, self.worths, limits=limits, out=out)

    def score(self, screening: Screening) -> Scored:
        """Finds which outcomes count and what they are worth; all methods below are about these.

        Args:
            screening: Which clips do not count.
        """
        reasons = self._set_aside(self._choose(screening))
        keys, shown, slots = self._places()
        explored = int(shown[3].sum())
        currency = _main_currency(self.files)
        self.worths = Worths(self._rule, self._watch_signals(), np.zeros(0), currency.name)
        examination = self._examination(keys, shown, shown[4 if explored >= MIN_EXPLORED else 0])
        self.worths = Worths(self._rule, self.worths.watch, examination, currency.name)
        return Scored(
            first_day=self._first_day,
            outcomes=int(reasons.sum()),
            excluded={REASONS[reason]: count for reason, count in enumerate(reasons.tolist()) if reason and count},
            logged=int(shown[1].sum()),
            explored=explored,
            slots=slots,
            days=self._days(),
            currency=currency,
            contradicted=contradiction(self.exposure()) if explored >= MIN_EXPLORED else "",
        )

    def exposure(self) -> Exposure:
        """Returns what was shown with which chance, of those that have one."""
        found = []
        for file in self.files:
            weight, cell, explored = file.take("weight"), file.cell, file.explored
            logged = ~np.isnan(weight)
            if not logged.all():
                weight, cell, explored = weight[logged], cell[logged], explored[logged]
            cell, sums = sum_by_key(cell, (np.rint(weight * UNIT), np.rint(weight * weight * 64), explored))
            found.append((file.clips_of(cell), sums))
        keys, (shown, weight, squares, explored) = add_up(found, 4)
        return Exposure(keys >> 1, keys & 1, shown, weight / UNIT, squares / 64, explored)

    def values(self, column: str, min_impressions: int, max_values: int) -> list[str]:
        """Returns the values of a column with enough impressions, the most frequent first."""
        counts: dict[str, int] = {}
        for file in self.files:
            names = getattr(file.narrow, f"{column}s").to_pylist()
            for name, count in zip(names, np.bincount(file.take(column), minlength=len(names)).tolist(), strict=True):
                counts[name] = counts.get(name, 0) + count
        enough = sorted((-count, name) for name, count in counts.items() if name and count >= min_impressions)
        return [name for _, name in enough][:max_values]

    def cells(self, tier: str, values: Mapping[str, Sequence[str]]) -> tuple[Cells, dict[str, dict[str, Cells]]]:
        """Returns the cells of everything, and of those values of some columns that are wanted, in one look.

        Args:
            tier: C counts every impression alike, because nothing is known of how it came about.
            values: By column (audience, locale).
        """
        whole: list[Sums] = []
        parts: dict[tuple[str, str], list[Sums]] = {(name, value): [] for name in values for value in values[name]}
        for file in self.files:
            cell, columns = file.cell, file.columns(self.worths, uniform=tier == "C")
            keys, sums = sum_by_key(cell, columns)
            whole.append((file.keys(keys), sums))
            for name, wanted in values.items():
                code, names = file.take(name), getattr(file.narrow, f"{name}s").to_pylist()
                there = np.flatnonzero(np.bincount(code, minlength=len(names)))
                if len(there) == 1 and names[there[0]] in wanted:
                    parts[name, names[there[0]]].append(whole[-1])
                elif len(there) > 1:
                    for value, (keys, sums) in cells_by_value(code, names, wanted, cell, columns).items():
                        parts[name, value].append((file.keys(keys), sums))
        everything = cells_of(whole)
        found = {name: dict[str, Cells]() for name in values}
        for (name, value), listed in parts.items():
            same = len(listed) == len(whole) and all(one is other for one, other in zip(listed, whole, strict=True))
            found[name][value] = everything if same else cells_of(listed)
        return everything, found

    def sample(self, most: float, *, uniform: bool) -> Sample:
        """Returns about so many impressions: all, or those of every n-th viewer."""
        total = sum(len(file) for file in self.files)
        every = max(1, int(total // most))
        parts = list(self._sampled(every, uniform=uniform))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 6
        clip, viewer, day = (column.astype(np.int64) for column in columns[:3])
        label, examination, weight = columns[3:]
        return Sample(clip, viewer, day, label, examination, weight, every)

    def _sampled(self, every: int, *, uniform: bool) -> Iterator[tuple[Any, ...]]:
        """Yields the columns of `Sample` from every file."""
        for file, numbered in zip(self.files, self.viewers.rows, strict=True):
            rows = file.of_viewers(file.narrow.viewers % np.uint64(every) == 0)
            clip = file.clip[file.take("clip", rows)]
            yield (
                clip, numbered[file.take("viewer", rows)], file.days[file.take("day", rows)],
                file.labels(self.worths, rows), file.examination(self.worths, rows),
                file.weights(rows, uniform=uniform),
            )  # fmt: skip

    def viewers_by_model(self, models: Ints, most: int = 1 << 28) -> Ints:
        """Returns how many viewers saw each model version, ``(n_models,)``.

        Where viewers times models are more than ``most``, of every n-th viewer, counted n times.

        Args:
            models: Model index of each clip.
            most: Bytes of memory.
        """
        n, everybody = int(models.max(initial=-1)) + 1, len(self.viewers.hashes)
        every = 1 + n * everybody // most
        width = everybody // every + 1
        seen = np.zeros(n * width, np.bool_)
        for file, numbered in zip(self.files, self.viewers.rows, strict=True):
            rows = file.of_viewers(numbered % every == 0) if every > 1 else None
            viewer = (numbered // every)[file.take("viewer", rows)]
            seen[(models * width)[file.clip][file.take("clip", rows)] + viewer] = True
        viewers: Ints = seen.reshape(n, width).sum(1) * every
        return viewers

    def _choose(self, screening: Screening) -> Ints:
        """Sets which rows of every file count; returns how many outcomes there are by reason, 0 for those that do."""
        table = self._con.sql(sql("training/sql/known.sql"), params=screening.parameters()).to_arrow_table()
        by_clip = np.zeros(table.num_rows + 1, np.uint8)
        by_clip[numbers(table["clip"])] = numbers(table["reason"])
        by_clip[-1] = _UNREGISTERED
        by_viewer = np.zeros(len(self.viewers.hashes) if self._automated else 0, np.uint8)
        by_viewer[list(self._automated)] = list(self._automated.values())
        counts = np.zeros(len(REASONS), np.int64)
        counts[_UNTRUSTED] = self._weightless
        for k, file in enumerate(self.files):
            flags = file.narrow.flags
            reason = by_clip[file.clip][file.narrow.clip]
            some = np.bitwise_or.reduce(flags)
            if some & OWN:
                reason[(reason == 0) & (flags & OWN > 0)] = _OWN
            if self._automated:
                reason = np.where(reason == 0, by_viewer[self.viewers.rows[k]][file.narrow.viewer], reason)
            if some & IMMATURE:
                reason[(reason == 0) & (flags & IMMATURE > 0)] = _RECENT
            counts += np.bincount(reason, minlength=len(REASONS))
            file.kept = np.flatnonzero(reason == 0) if reason.any() else None
        return counts

    def _set_aside(self, counts: Ints) -> Ints:
        """Lets outliers count no longer; returns how many outcomes there are by reason, given how many there were."""
        self.outliers = find_outliers(self.files, self._rule)
        for file in self.files:
            for reason, rows in self.outliers.of(file).items():
                out = file.leave_out(rows)
                counts[0] -= out
                counts[REASONS.index(reason)] += out
        return counts

    def _days(self) -> float:
        """Returns how many days of equal traffic tell as much as those that there are."""
        shown: dict[int, float] = {}
        for file in self.files:
            for day, count in file.by_day().items():
                shown[day] = shown.get(day, 0.0) + count
        return effective_sample_size(np.array([*shown.values()], np.float64))

    def _places(self) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Returns keys of places, what was shown in each, and slots by day.

        What was shown: impressions, logged, explored, explored and logged ones, and slots, a row each.
        """
        found, days = [], dict[int, float]()
        most = self._most_of_a_slot()
        for file in self.files:
            explored, logged = file.explored, ~np.isnan(file.take("weight"))
            slot = np.rint(UNIT * np.minimum(1 / np.maximum(file.take("candidates"), 1), most))
            both = explored
            if not logged.all():
                slot, both = slot * logged, explored & logged
            place, sums = sum_by_key(file.take("place"), (logged, explored, both, slot))
            found.append((file.places[place], sums))
            for day, chances in file.by_day(slot).items():
                days[day] = days.get(day, 0.0) + chances
        keys, shown = add_up(found, 5)
        shown[4] /= UNIT
        slots = np.zeros(max(days, default=-1) + 1)
        slots[list(days)] = list(days.values())
        return keys, shown, slots / UNIT

    def _most_of_a_slot(self) -> float:
        """Returns the largest ``1 / candidates`` that is taken as it is: a slot is a chance for every clip."""
        chances = [1 / np.maximum(file.take("candidates"), 1)[~np.isnan(file.take("weight"))] for file in self.files]
        return outlier_limit(chances, 2.0)

    def _watch_signals(self) -> Floats:
        """Returns the signal of watching by `Narrow.watch`."""
        found = []
        for file in self.files:
            weight = file.take("weight")
            capped = np.where(np.isnan(weight), 1.0, np.minimum(weight, MOST_CAPPED))
            found.append(sum_by_key(file.take("watch"), (np.rint(capped * UNIT),)))
        watch, (_, weight) = add_up(found, 2)
        rule, bins = self._rule, (watch >> 11, watch >> 1 & 1023)
        quantiles = fit_watch_quantiles(WatchCounts(*bins, weight / UNIT), rule.watch)
        signals = np.zeros(int(watch.max(initial=0)) + 1)
        signals[watch] = np.where(watch & 1, rule.watch.neutral, quantiles.at(*bins))
        return signals

    def _examination(self, keys: NDArray[np.int64], shown: Floats, slots: Floats) -> Floats:
        """Returns how much each place is looked at, by key: learnt from those that were filled by chance."""
        earned = np.zeros(1 + max((int(file.places.max()) for file in self.files), default=0))
        for file in self.files:
            rows = np.flatnonzero(file.explored)
            label = np.rint(file.labels(self.worths, rows) * UNIT)
            places, (_, sums) = sum_by_key(file.take("place")[rows], (label,))
            np.add.at(earned, file.places[places], sums)
        surface, position = keys // PLACES, keys % PLACES - 1
        curve = np.zeros(len(earned))
        # where no position is given, there is nothing to bend along
        curve[keys] = position_curve(
            surface * 2 + (position < 0), np.maximum(position, 0), slots, shown[2], earned[keys] / UNIT
        )
        return curve


def _surfaces(files: Sequence[Narrow]) -> dict[str, int]:
    """Returns numbers of the most frequent surfaces, from 1."""
    counts: dict[str, int] = {}
    for file in files:
        shown = np.bincount(file.place, minlength=len(file.surfaces)).tolist()
        for name, count in zip(file.surfaces.to_pylist(), shown, strict=True):
            counts[name] = counts.get(name, 0) + count
    counts.pop("", None)
    most = sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_SURFACES]
    return {name: number for number, name in enumerate(sorted(most), start=1)}


def _count(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], tenant: str) -> int:
    """Returns how many outcomes of a tenant files have."""
    if not paths:
        return 0
    query = "SELECT count(*) FROM read_parquet(?, hive_partitioning = false) WHERE tenant = ?"
    count: int = con.execute(query, [[str(path) for path in paths], tenant]).fetchall()[0][0]
    return count


def _main_currency(files: Sequence[Counted]) -> MainCurrency:
    """Returns the currency of most purchases that count."""
    counts: dict[str, int] = {}
    for file in files:
        paid = file.narrow.currency
        if file.kept is not None:
            paid = paid.filter(pa.array(np.isin(file.narrow.paid, file.kept)))
        for pair in paid.value_counts().to_pylist():
            counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
    return main_currency(counts)
