"""What training reads of a file of outcomes, as whole numbers: made once per file, and kept beside the lake.

A file of outcomes never changes, so what is read of it does not either, but for what its clips are said to be: a kept
file names the lengths and creators that it was made with, and is made anew where they changed. Weights of a label rule
are no part of it. Viewers are hashes. The folder may be deleted at any time; a kept file goes when its outcomes go.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from clapometer.domain import VOUCHED
from clapometer.labels import FLAGS, LabelRule, Watch, watch_bins
from clapometer.labels.duration import watch_time
from clapometer.lake.delta.durable import fsync
from clapometer.lake.delta.storage import Storage
from clapometer.lake.kept import kept_file

__all__ = ["KnownClips", "Narrow", "NarrowFiles"]

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

SIGNAL_BITS = tuple(signal.column for signal in FLAGS)
"""The columns whose bits come first in `Narrow.flags`, in this order."""
COMPLETED, EXPLORED, FOLD, BLIND, OWN, IMMATURE = (1 << (len(SIGNAL_BITS) + k) for k in range(6))
"""The bits after them."""
POSITIVE = sum(1 << SIGNAL_BITS.index(name) for name in ("liked", "saved", "shared", "commented", "followed"))
PLACES = 16384
"""More than there are positions."""
MOST_WEIGHT = 1e6
"""Of any weight beyond that nothing can be learnt; infinity could not even be added up."""
_MOMENT_MS = 1_000
_DAY_US = 86_400_000_000
_VERSION = 2
_READ = (
    "tenant", "clip_id", "viewer_id", "position", "surface", "propensity", "candidates", "explored", "audience",
    "locale", "shown_at", "trust", "watched_ms", "total_ms", *SIGNAL_BITS, "revenue", "currency",
)  # fmt: skip
_NAMES = ("tenant", "clip_id", "surface", "audience", "locale", "trust", "currency")


@dataclass(frozen=True, eq=False)
class KnownClips:
    """What outcomes are joined with, by row of ``registered``, ``(n_clips,)`` each.

    Attributes:
        ids: Clip ids.
        duration: In milliseconds.
        duration_bin: Of the watch quantiles.
        creator: Hash of the creator, 0 where nobody is named.
    """

    ids: pa.Array
    duration: Floats
    duration_bin: Ints
    creator: NDArray[np.uint64]

    @classmethod
    def read(cls, con: duckdb.DuckDBPyConnection) -> KnownClips:
        """Returns those of ``registered``."""
        table = con.sql(
            "SELECT clip_id, CAST(duration_ms AS DOUBLE) AS duration, duration_bin, "
            "if(creator_id IS NULL, 0::UBIGINT, hash(creator_id)) AS creator FROM registered ORDER BY clip"
        ).to_arrow_table()
        columns = (table[name].to_numpy() for name in ("duration", "duration_bin", "creator"))
        return cls(table["clip_id"].combine_chunks(), *columns)

    def rows(self, ids: pa.Array) -> NDArray[np.int64]:
        """Returns the row of each clip; -1 where it is not registered."""
        found = pc.index_in(ids, value_set=self.ids).fill_null(-1)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


@dataclass(frozen=True, eq=False)
class Narrow:
    """Outcomes of a tenant in one file that somebody vouches for, and the lists that their numbers point into.

    Attributes:
        weightless: How many others there are.
        days: On which they were shown, in order, in days since 1970.
        newest: Latest time of an impression, in microseconds since 1970.
        clips: Ids of the clips.
        duration: Of the clips as it was made with, NaN where they were not registered.
        creator: Hashes of their creators.
        viewers: Hashes of the viewers, in order.
        surfaces: By place; empty where none is given.
        positions: By place, from 1; 0 where none is given.
        audiences: Names; the first is empty.
        locales: The same.
        clip: Index in `clips`, ``(n,)`` like all that follow.
        day: Index in `days`.
        viewer: Index in `viewers`.
        place: Index in `surfaces` and `positions`.
        watch: Length bin, ratio bin and whether watching says nothing, in one number.
        flags: `SIGNAL_BITS` and the bits after them.
        weight: ``1 / (propensity * candidates)``; NaN where it is not known.
        candidates: 0 where they are not known.
        hour: Of the day.
        audience: Index in `audiences`.
        locale: Index in `locales`.
        paid: Rows with a currency, ``(n_paid,)`` like the next two.
        revenue: NaN where it is not known.
        currency: Names.
    """

    weightless: int
    days: NDArray[np.int64]
    newest: int
    clips: pa.Array
    duration: Floats
    creator: NDArray[np.uint64]
    viewers: NDArray[np.uint64]
    surfaces: pa.Array
    positions: Ints
    audiences: pa.Array
    locales: pa.Array
    clip: Ints
    day: Ints
    viewer: Ints
    place: Ints
    watch: Ints
    flags: Ints
    weight: Floats
    candidates: Ints
    hour: Ints
    audience: Ints
    locale: Ints
    paid: Ints
    revenue: Floats
    currency: pa.Array

    def __len__(self) -> int:
        return len(self.clip)

    def stored(self) -> pa.Table:
        """Returns all of it as one row of lists, which are read without copying."""
        columns = {}
        for field in fields(self):
            value = getattr(self, field.name)
            column = value if isinstance(value, pa.Array) else pa.array(np.atleast_1d(value))
            columns[field.name] = pa.LargeListArray.from_arrays(pa.array([0, len(column)], pa.int64()), column)
        return pa.table(columns)

    @classmethod
    def restored(cls, table: pa.Table) -> Narrow:
        """Returns what `stored` made a table of."""
        columns: dict[str, Any] = {}
        for field in fields(cls):
            values = table[field.name].chunk(0).values
            columns[field.name] = values if pa.types.is_string(values.type) else values.to_numpy()
        columns |= {name: int(columns[name][0]) for name in ("weightless", "newest")}
        return cls(**columns)


class NarrowFiles:
    """Reads files of outcomes, from the cache where they were read before.

    Args:
        con: To compute hashes with.
        storage: Of the lake.
        tenant: Whose outcomes.
        rule: How watching is read and when outcomes are mature, and the time as of which they are.
        known: The tenant's clips.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        storage: Storage,
        tenant: str,
        rule: tuple[LabelRule, dt.datetime],
        known: KnownClips,
    ) -> None:
        self._con, self._storage, self._tenant, self._watch, self._known = con, storage, tenant, rule[0].watch, known
        self._mature = _mature_until(*rule)
        watch = self._watch
        read = (_VERSION, tenant, watch.measure, watch.max_plays, watch.glance_ms, watch.completed_ratio)
        self._digest = hashlib.sha256(repr(read).encode()).hexdigest()[:16]

    def read_all(self, paths: Iterable[Path]) -> Iterator[tuple[Path, Narrow]]:
        """Yields the outcomes of files, in their order; as many at a time are read as DuckDB may use threads."""
        threads = self._con.sql("SELECT current_setting('threads')").fetchall()[0][0]
        with ThreadPoolExecutor(threads, "clapometer-outcomes") as pool:
            yield from pool.map(lambda path: (path, self.read(path)), paths)

    def read(self, path: Path) -> Narrow:
        """Returns the outcomes of a file."""
        kept = kept_file(self._storage, path, self._digest)
        found = self._kept(kept)
        if found is None:
            found = self._make(path)
            if found.newest <= self._mature:  # else it is another one tomorrow
                _keep(self._storage, kept, found)
        return found

    def _kept(self, path: Path) -> Narrow | None:
        try:
            with pa.memory_map(str(path)) as source:
                found = Narrow.restored(pa.ipc.open_file(source).read_all())
        except (OSError, pa.ArrowException, KeyError, IndexError, TypeError):  # not there, or torn: made anew
            return None
        duration, creator = self._facts(self._known.rows(found.clips))
        same = np.array_equal(duration, found.duration, equal_nan=True) and np.array_equal(creator, found.creator)
        return found if same and found.newest <= self._mature else None

    def _facts(self, rows: NDArray[np.int64]) -> tuple[Floats, NDArray[np.uint64]]:
        """Returns lengths and creators of clips by their rows in `KnownClips`."""
        if not len(self._known.ids):
            return np.full(len(rows), np.nan), np.zeros(len(rows), np.uint64)
        known = rows >= 0
        return np.where(known, self._known.duration[rows], np.nan), np.where(known, self._known.creator[rows], 0)

    def _make(self, path: Path) -> Narrow:
        table = pq.read_table(path, columns=list(_READ), read_dictionary=list(_NAMES), partitioning=None)
        if table["tenant"].combine_chunks().unique().to_pylist() != [self._tenant]:
            table = table.filter(pc.equal(table["tenant"].cast(pa.string()), self._tenant))
        trusted = _trusted(table["trust"])
        weightless = len(trusted) - int(np.count_nonzero(trusted))
        if weightless:
            table = table.filter(pa.array(trusted))
        clip, clips = _codes(table["clip_id"])
        rows = self._known.rows(clips)
        duration, creator = self._facts(rows)
        hashes = self._hashes(table["viewer_id"])
        viewers, viewer = _numbered(hashes)
        shown = _integers(table["shown_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), 0)
        days, day = _days(shown)
        place, surfaces, positions = _places(table)
        audience, audiences = _names(table["audience"])
        locale, locales = _names(table["locale"])
        paid = np.flatnonzero(table["currency"].is_valid().to_numpy())
        propensity, candidates = _floats(table["propensity"]), _integers(table["candidates"], 0)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            weight = np.where((propensity > 0) & (candidates > 0), 1 / (propensity * candidates), np.nan)
        watch, flags = _watched(table, self._watch, duration[clip])
        length = np.where(rows >= 0, self._known.duration_bin[rows], 0) if len(self._known.ids) else rows * 0
        flags[hashes & np.uint64(1) > 0] |= FOLD
        if creator.any():
            flags[(creator[clip] == hashes) & (creator[clip] != 0)] |= OWN
        if shown.max(initial=0) > self._mature:
            flags[shown > self._mature] |= IMMATURE
        return Narrow(
            weightless=weightless, days=days, newest=int(shown.max(initial=0)), clips=clips, duration=duration,
            creator=creator, viewers=viewers, surfaces=surfaces, positions=positions, audiences=audiences,
            locales=locales,
            clip=_smallest(clip), day=day, viewer=_smallest(viewer), place=place,
            watch=(length[clip] * 2048 + watch).astype(np.int32), flags=flags,
            weight=np.minimum(weight, MOST_WEIGHT), candidates=candidates.astype(np.int32),
            hour=(shown // 3_600_000_000 % 24).astype(np.uint8), audience=audience, locale=locale,
            paid=_smallest(paid), revenue=_floats(table["revenue"])[paid],
            currency=table["currency"].cast(pa.string()).take(pa.array(paid)).combine_chunks(),
        )  # fmt: skip

    def _hashes(self, ids: pa.ChunkedArray) -> NDArray[np.uint64]:
        """Returns DuckDB's hash of each id: that of all queries."""
        with self._con.cursor() as con:  # files are read several at a time
            con.register("named", pa.table({"id": ids}))
            found: NDArray[np.uint64] = (
                con.sql("SELECT hash(id) AS hash FROM named").to_arrow_table()["hash"].to_numpy()
            )
        return found


def _keep(storage: Storage, path: Path, narrow: Narrow) -> None:
    """Writes a file for the next time; where there is no room, the next time reads the outcomes again."""
    temporary = storage.temporary(path.suffix)
    with suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        try:
            table = narrow.stored()
            with pa.OSFile(str(temporary), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            fsync(temporary)  # what is read without copying is read without checking
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def _watched(table: pa.Table, watch: Watch, duration: Floats) -> tuple[Ints, NDArray[np.int32]]:
    """Returns the ratio bin and whether watching says nothing, and the flags that come from single rows."""
    flags = np.zeros(len(table), np.int32)
    for bit, name in enumerate(SIGNAL_BITS):
        flags |= np.left_shift(_flags(table[name]), bit, dtype=np.int32)
    unique, total = (_integers(table[name], 0).astype(np.float64) for name in ("watched_ms", "total_ms"))
    known = np.where(duration >= 0, duration, 1.0)
    watched = watch_time(watch, unique, total, known)
    clicked = flags & 1 << SIGNAL_BITS.index("clicked") > 0
    silent = ((watched > 0) & (watched < watch.glance_ms)) | ((watched == 0) & clicked)
    blind = (np.maximum(unique, total) < _MOMENT_MS) & (flags & POSITIVE > 0)
    if table["watched_ms"].null_count:
        blind &= table["watched_ms"].is_valid().to_numpy() | table["total_ms"].is_valid().to_numpy()
    flags[watched >= watch.completed_ratio * duration] |= COMPLETED
    flags[_flags(table["explored"])] |= EXPLORED
    flags[blind] |= BLIND
    return watch_bins(watch, unique, total, known)[1] * 2 + silent, flags


def _trusted(column: pa.ChunkedArray) -> Flags:
    """Returns whether each impression is vouched for."""
    codes, names = _codes(column)
    counts = np.array([*(name in VOUCHED for name in names.to_pylist()), False])  # the last is for null
    return counts[codes]


def _numbered(values: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """Returns the distinct values in order, and the number of each one's."""
    order = np.argsort(values)
    ordered = values[order]
    first = np.ones(len(values), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    number = np.empty(len(values), np.int32)
    number[order] = np.cumsum(first, dtype=np.int32) - 1
    return ordered[first], number


def _places(table: pa.Table) -> tuple[Ints, pa.Array, Ints]:
    """Returns the place of each row, and the surface and position of each place."""
    surface, names = _names(table["surface"])
    key = surface * np.int64(PLACES) + _integers(table["position"], -1) + 1
    present = np.flatnonzero(np.bincount(key))
    code = np.zeros(int(key.max(initial=0)) + 1, np.int32)
    code[present] = np.arange(len(present))
    return _smallest(code[key]), names.take(pa.array(present // PLACES)), present % PLACES


def _names(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """Returns a column of names as codes from 1, and the names; the first, for none, is empty."""
    codes, names = _codes(column)
    return _smallest(codes + 1), pa.concat_arrays([pa.array([""], pa.string()), names])


def _codes(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """Returns codes, -1 for null, and what they stand for."""
    whole = column.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        whole = whole.chunk(0) if whole.num_chunks else pa.array([], whole.type)
    coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    return _integers(coded.indices, -1), coded.dictionary.cast(pa.string())


def _smallest(values: Ints) -> Ints:
    """Returns whole numbers from 0 in the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _integers(column: pa.Array | pa.ChunkedArray, none: int) -> NDArray[np.int64]:
    filled = column.fill_null(none) if column.null_count else column
    return np.asarray(filled.to_numpy(), np.int64)


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.to_numpy(), np.float64)


def _flags(column: pa.ChunkedArray) -> Flags:
    filled = column.fill_null(False) if column.null_count else column
    return np.asarray(filled.to_numpy(), np.bool_)


def _days(shown: NDArray[np.int64]) -> tuple[NDArray[np.int64], Ints]:
    """Returns the days of some instants, in order, and the index of each one's."""
    if not len(shown) or shown.min() // _DAY_US == shown.max() // _DAY_US:  # nearly always
        return shown[:1] // _DAY_US, np.zeros(len(shown), np.uint8)
    days, day = np.unique(shown // _DAY_US, return_inverse=True)
    return days, _smallest(day)


def _mature_until(rule: LabelRule, as_of: dt.datetime) -> int:
    """Returns the latest time of an impression that is mature, in microseconds since 1970."""
    if rule.maturity == 0:
        return 1 << 62
    until = (as_of - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    return until - round(rule.maturity * 3600) * 1_000_000
