"""All outcomes of a tenant, and which of them count: read, then screened, then scored, each a value of its own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.domain import BY_NUMBER, Exclusion
from clapometer.labels import LabelRule, ScreeningLimits, ScreeningReason
from clapometer.lake.schema import WEIGHTLESS_SUFFIX
from clapometer.lake.statements import sql
from clapometer.lake.tables import Lake
from clapometer.training.evidence.clips import encode, numbers
from clapometer.training.evidence.cohorts import screen_by_age
from clapometer.training.evidence.counted import Counted, Worths
from clapometer.training.evidence.evidence import Evidence
from clapometer.training.evidence.outcome_files import IMMATURE, OWN, KnownClips, Narrow, NarrowFiles
from clapometer.training.evidence.outliers import find_outliers
from clapometer.training.evidence.screening import Scored, Screening
from clapometer.training.evidence.tiers import (
    MIN_EXPLORED,
    chances_of,
    contradiction,
    counted_exposure,
    first_shown,
    why_not_b,
)
from clapometer.training.evidence.viewers import Viewers
from clapometer.training.evidence.weighing import weigh

__all__ = ["Outcomes"]

Ints = NDArray[np.integer[Any]]

NOBODY = pa.table({"viewer_id": pa.array([], pa.string()), "reason": pa.array([], pa.uint8())})
_MOST_SURFACES = 1_000


@dataclass(frozen=True, eq=False)
class Outcomes:
    """All outcomes of a tenant in a snapshot, as a label rule reads them.

    Attributes:
        con: Connection to the snapshot, with ``registered``.
        tenant: Whose.
        rule: What an outcome is worth.
        paths: The files.
        files: What they have; all of it counts yet.
        weightless: How many outcomes that nobody vouches for there are beside.
        viewers: Everybody.
        automated: Viewers that are not people: ``viewer_id`` and the number of the ``reason``.
        screened_out: Those reasons by the viewer's place in `viewers`.
    """

    con: duckdb.DuckDBPyConnection
    tenant: str
    rule: LabelRule
    paths: Sequence[Path]
    files: Sequence[Counted]
    weightless: int
    viewers: Viewers
    automated: pa.Table = field(default_factory=lambda: NOBODY)
    screened_out: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def read(
        cls,
        con: duckdb.DuckDBPyConnection,
        lake: Lake,
        tenant: str,
        rule: tuple[LabelRule, dt.datetime],
        version: int | None = None,
    ) -> Outcomes:
        """Returns the outcomes of a tenant; each file is decoded once, and kept.

        Args:
            con: Connection to the snapshot, with ``registered``.
            lake: The lake.
            tenant: Whose outcomes.
            rule: What an outcome is worth, and the time as of which it is mature.
            version: Of ``outcomes``; the latest where it is not given.
        """
        known = KnownClips.read(con)
        listed = lake.files("outcomes", version)
        apart = [path for path in listed if path.name.endswith(WEIGHTLESS_SUFFIX)]
        paths = [path for path in listed if not path.name.endswith(WEIGHTLESS_SUFFIX)]
        read = list(NarrowFiles(con, lake.storage, tenant, rule, known).read_all(paths))
        weightless = sum(narrow.weightless for _, narrow in read) + _count(con, apart, tenant)
        narrows = [narrow for _, narrow in read if len(narrow)]
        first_day = min((int(narrow.days[0]) for narrow in narrows), default=0)
        surfaces = _surfaces(narrows)
        files = [Counted.of(each, known.rows(each.clips), surfaces, first_day) for each in narrows]
        held = [path for path, narrow in read if len(narrow)]
        return cls(con, tenant, rule[0], held, files, weightless, Viewers(con, narrows))

    def screened(self, limits: ScreeningLimits | None) -> Outcomes:
        """Returns them with the viewers that are not people.

        Args:
            limits: Where a person ends; None lets everybody count.
        """
        found = {} if limits is None or not self.files else self._found(limits)
        reasons = {viewer: Exclusion(f"viewer {reason}").number for viewer, reason in found.items()}
        names = self.viewers.names(list(found), self.paths, self.tenant)
        rows = sorted(zip(names, reasons.values(), strict=True))
        columns = {"viewer_id": [name for name, _ in rows], "reason": [reason for _, reason in rows]}
        return replace(self, automated=pa.table(columns, NOBODY.schema), screened_out=reasons)

    def _found(self, limits: ScreeningLimits) -> dict[int, ScreeningReason]:
        """Returns why viewers do not count, by place: for what they do, or for when they came."""
        found = self.viewers.screen(limits)
        out = np.zeros(len(self.viewers.hashes), np.bool_)
        out[list(found)] = True
        model = encode(self.con.sql("SELECT model FROM registered ORDER BY clip").to_arrow_table()["model"]).index
        worths = Worths(self.rule, np.zeros(0), np.zeros(0), None)
        return found | screen_by_age(self.viewers, self.files, model, worths, limits=limits, out=out)

    def scored(self, screening: Screening) -> Evidence:
        """Returns those that count, with what they are worth.

        Args:
            screening: Which clips do not count.
        """
        chosen, counts, clips_count = self._chosen(screening)
        outliers, files = find_outliers(chosen, self.rule), list[Counted]()
        for file, left_out in map(outliers.without, chosen):
            files.append(file)
            for reason, count in left_out.items():
                counts[0] -= count
                counts[reason.number] += count
        found = weigh(files, self.rule)
        counted, logged, explored = int(counts[0]), found.places.logged, found.places.explored
        first_day = min((int(file.narrow.days[0]) for file in self.files), default=0)
        chances = chances_of(
            self.con, first_shown(files, len(clips_count)), clips_count,
            first_day=first_day, slots=found.places.slots, logged=logged,
        )  # fmt: skip
        contradicted = contradiction(counted_exposure(files), chances) if explored >= MIN_EXPLORED else ""
        summary = Scored(
            first_day=first_day,
            outcomes=int(counts.sum()),
            excluded={str(reason): counts.item(reason.number) for reason in Exclusion if counts[reason.number]},
            logged=logged,
            explored=explored,
            slots=found.places.slots,
            days=found.days,
            currency=found.currency,
            tier_reason=why_not_b(logged, explored, contradicted) if counted else "no impression counts",
        )
        return Evidence(files, self.viewers, found.worths, outliers, summary, chances)

    def _chosen(self, screening: Screening) -> tuple[list[Counted], Ints, NDArray[np.bool_]]:
        """Returns the files with the rows that count, outcomes by reason, 0 for those, and which clips count."""
        table = self.con.sql(sql("training/sql/known.sql"), params=screening.parameters()).to_arrow_table()
        by_clip = np.zeros(table.num_rows + 1, np.uint8)
        by_clip[numbers(table["clip"])] = numbers(table["reason"])
        by_clip[-1] = Exclusion.UNREGISTERED.number
        by_viewer = np.zeros(len(self.viewers.hashes) if self.screened_out else 0, np.uint8)
        by_viewer[list(self.screened_out)] = list(self.screened_out.values())
        counts = np.zeros(len(BY_NUMBER), np.int64)
        counts[Exclusion.UNTRUSTED.number] = self.weightless
        files = []
        for file, viewers in zip(self.files, self.viewers.rows, strict=True):
            flags = file.narrow.flags
            reason = by_clip[file.clip][file.narrow.clip]
            some = np.bitwise_or.reduce(flags)
            if some & OWN:
                reason[(reason == 0) & (flags & OWN > 0)] = Exclusion.OWN_VIEW.number
            if self.screened_out:
                reason = np.where(reason == 0, by_viewer[viewers][file.narrow.viewer], reason)
            if some & IMMATURE:
                reason[(reason == 0) & (flags & IMMATURE > 0)] = Exclusion.TOO_RECENT.number
            counts += np.bincount(reason, minlength=len(BY_NUMBER))
            files.append(replace(file, kept=np.flatnonzero(reason == 0) if reason.any() else None))
        return files, counts, by_clip[:-1] == 0


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
