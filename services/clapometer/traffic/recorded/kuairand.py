"""Real engagement to replay: KuaiRand, as its sample with likes and hates or as its logs are published.

The clips are not generated, and nobody logged how likely each was to be shown. The published logs say which slots were
filled at random (`is_rand`): those are sent as explored, but how often that happened is not published, so no impression
has a propensity. They are registered as made by
``kuairand`` version ``real``, each from a prompt of its own: a ranking must say that such clips share no prompt
with others, and that nothing about them is calibrated (tier C).

References:
    Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos",
    CIKM 2022, doi 10.1145/3511808.3557624.
"""

import datetime as dt
import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from clapometer.domain import Event, InputError, events
from clapometer.lake.duck import connect
from clapometer.lake.statements import sql
from clapometer.traffic.recorded.bad_rows import RowsRead
from clapometer.traffic.recorded.kuairand_rows import Play, Video, read_kuairand

SOURCE = "/replay/kuairand"
MODEL = events.Model(name="kuairand", version="real")
SAMPLE = Path(__file__).parent / "kuairand_sample"
"""The sample that comes with Clapometer (CC BY-SA 4.0; docs in ``data/kuairand``)."""
REACTIONS_FILE = "reactions.tsv.gz"
FEATURES_FILE = "video_features_basic_pure.csv.gz"
_FEATURES = re.compile(r"video_features_basic_(pure|1k|27k)\.csv(\.gz)?")
_FETCH_ROWS = 5_000
_STORED_ROWS = 20_000
_MEMORY = "512MB"


@dataclass(frozen=True)
class KuaiRandCounts:
    """What the file holds.

    Attributes:
        rows: Rows in it, bad ones too.
        bad: Those that are left out; ``KuaiRand.read`` says which and why.
        images: Those of image posts (duration 0), which are no clips and are not sent.
        repeated: Those sent that repeat viewer, video and time of an earlier one: duplicates on arrival.
        repeated_images: The same among the image posts.
        clips: Different videos sent.
        explored: Impressions sent whose slot was filled at random.
        events: Events that are sent.
        last_at: When the last impression was; ``None`` where there is none.
    """

    rows: int
    bad: int
    images: int
    repeated: int
    repeated_images: int
    clips: int
    explored: int
    events: int
    last_at: dt.datetime | None


class _Clip(NamedTuple):
    video_id: int
    duration_ms: int
    first_ms: int
    author_id: int | None
    is_ad: bool


class _View(NamedTuple):
    user_id: int
    video_id: int
    time_ms: int
    play_ms: int
    duration_ms: int
    liked: bool
    hated: bool
    followed: bool
    commented: bool
    forwarded: bool
    explored: bool | None
    tab: int | None


class KuaiRand:
    """The rows of a KuaiRand file as events, in the order of their time.

    Attributes:
        counts: What the file holds.
        read: Its rows, and which of them are bad.
        features: The file of video features, where there is one.
        features_read: Its rows, and which of them are bad: what they say of their video is not known.
    """

    def __init__(self, reactions: Path, features: Path | None = None) -> None:
        """Reads the files; ``features`` defaults to those of the same release beside ``reactions``, if they are there.

        Raises:
            InputError: A file is missing, empty or not of KuaiRand's form.
        """
        self.features = features or _beside(reactions)
        self.read, self.features_read = RowsRead(), RowsRead()
        self._database = connect(memory_limit=_MEMORY, threads=1)
        self._database.execute(_sql("kuairand_tables"))
        self._store("kuairand_plays", read_kuairand(_found(reactions), Play, self.read))
        if self.features is not None:
            self._store("kuairand_videos", read_kuairand(_found(self.features), Video, self.features_read))
        if not self.read.rows:
            msg = "holds no row"
            raise InputError(msg, str(reactions))
        self.counts = self._counts()

    def _counts(self) -> KuaiRandCounts:
        total, images, repeated, repeated_images, clips, said, explored, last_ms = next(self._fetch("kuairand_counts"))
        return KuaiRandCounts(
            rows=self.read.rows,
            bad=self.read.n_bad,
            images=images,
            repeated=repeated,
            repeated_images=repeated_images,
            clips=clips,
            explored=explored,
            events=clips + 2 * (total - images) + said,
            last_at=None if last_ms is None else _instant(last_ms),
        )

    def _store(self, statement: str, rows: Iterator[Play] | Iterator[Video]) -> None:
        while some := list(itertools.islice(rows, _STORED_ROWS)):
            self._database.register("typed", _table(some))
            self._database.execute(_sql(statement))
            self._database.unregister("typed")

    def events(self, ends_at: dt.datetime | None = None) -> Iterator[Event]:
        """Yields registrations, then impressions with what answered them, by time.

        Args:
            ends_at: Moves all times so that the last impression was then; ids stay as they are.
        """
        last_at = self.counts.last_at
        shift = dt.timedelta() if ends_at is None or last_at is None else ends_at - last_at
        for clip in map(_Clip._make, self._fetch("kuairand_clips")):
            yield _registered(clip, _instant(clip.first_ms) + shift)
        for view in map(_View._make, self._fetch("kuairand_views")):
            yield from _viewed(view, _instant(view.time_ms) + shift)

    def _fetch(self, statement: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._database.cursor()
        cursor.execute(_sql(statement))
        while rows := cursor.fetchmany(_FETCH_ROWS):
            yield from rows


def _found(path: Path) -> Path:
    if not path.is_file():
        msg = f"no such file; the sample is {REACTIONS_FILE}, with {FEATURES_FILE} beside it"
        raise InputError(msg, str(path))
    return path


def _beside(reactions: Path) -> Path | None:
    """Returns the features of the videos of a log: of its release, or of the only release that is there."""
    found = sorted(path for path in reactions.parent.glob("*") if _FEATURES.fullmatch(path.name.lower()))
    release = re.search(r"_(pure|1k|27k)[_.]", reactions.name.lower())
    alike = [path for path in found if release and f"_{release[1]}." in path.name.lower()]
    return next(iter(alike), found[0] if len(found) == 1 else None)


def _table(rows: Sequence[msgspec.Struct]) -> pa.Table:
    types = {name: pa.string() if name == "video_type" else pa.int64() for name in rows[0].__struct_fields__}
    return pa.table({name: pa.array([getattr(row, name) for row in rows], of) for name, of in types.items()})


def _sql(statement: str) -> str:
    return sql(f"traffic/recorded/sql/{statement}.sql")


def _instant(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC)


def _clip_id(video_id: int) -> str:
    return f"kuairand-{video_id}"


def _registered(clip: _Clip, time: dt.datetime) -> Event:
    author = None if clip.author_id is None else f"kuairand-author-{clip.author_id}"
    return events.ClipRegistered(
        specversion="1.0",
        id=f"{_clip_id(clip.video_id)}-registered",
        source=SOURCE,
        time=time,
        data=events.ClipRegisteredData(
            clip_id=_clip_id(clip.video_id),
            prompt=events.Prompt(hash=hashlib.sha256(f"kuairand:{clip.video_id}".encode()).hexdigest()),
            model=MODEL,
            duration_ms=clip.duration_ms,
            task="t2v",  # none of the tasks fits a recorded video; the model's name says what it is
            lineage=None if author is None else events.Lineage(creator_id=author),
            flags=events.Flags(ad=True) if clip.is_ad else None,
        ),
    )


def _viewed(view: _View, time: dt.datetime) -> Iterator[Event]:
    """Yields what one row says; rows that repeat viewer, video and time give the same ids."""
    impression_id = f"kuairand-{view.user_id}-{view.video_id}-{view.time_ms}"
    yield events.Impression(
        specversion="1.0",
        id=impression_id,
        source=SOURCE,
        time=time,
        data=events.ImpressionData(
            impression_id=impression_id,
            clip_id=_clip_id(view.video_id),
            viewer_id=f"kuairand-{view.user_id}",
            surface="kuairand" if view.tab is None else f"kuairand-tab-{view.tab}",
            explored=view.explored,
        ),
    )
    stopped_at = time + dt.timedelta(milliseconds=view.play_ms)
    yield events.Watched(
        specversion="1.0",
        id=f"{impression_id}-watched",
        source=SOURCE,
        time=stopped_at,
        data=events.WatchedData(
            impression_id=impression_id,
            watched_ms=min(view.play_ms, view.duration_ms),
            total_ms=view.play_ms,
        ),
    )
    for reaction in _reactions(view):
        yield events.Reacted(
            specversion="1.0",
            id=f"{impression_id}-{reaction}",
            source=SOURCE,
            time=stopped_at,
            data=events.ReactedData(impression_id=impression_id, reaction=reaction),
        )


def _reactions(view: _View) -> Iterator[events.Reaction]:
    if view.liked:
        yield "like"
    if view.hated:
        yield "dislike"
    if view.followed:
        yield "follow"
    if view.commented:
        yield "comment"
    if view.forwarded:
        yield "share"
