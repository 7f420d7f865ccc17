"""Real engagement to replay: the rows of KuaiRand on which viewers said like or hate.

The clips are not generated, and nobody logged how likely each was to be shown. They are registered as made by
``kuairand`` version ``real``, each from a prompt of its own: a ranking must say that such clips share no prompt
with others, and that nothing about them is calibrated (tier C).

References:
    Gao et al., "KuaiRand: An Unbiased Sequential Recommendation Dataset with Randomly Exposed Videos",
    CIKM 2022, doi 10.1145/3511808.3557624.
"""

import datetime as dt
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from clapometer.domain import Event, InputError, events

SOURCE = "/replay/kuairand"
MODEL = events.Model(name="kuairand", version="real")
SAMPLE = Path(__file__).parent / "kuairand_sample"
"""The sample that comes with Clapometer (CC BY-SA 4.0; docs in ``data/kuairand``)."""
REACTIONS_FILE = "reactions.tsv.gz"
FEATURES_FILE = "video_features_basic_pure.csv.gz"
_FETCH_ROWS = 5_000
_MEMORY = "512MB"


@dataclass(frozen=True)
class KuaiRandCounts:
    """What the file holds.

    Attributes:
        rows: Impressions in it.
        images: Those of image posts (duration 0), which are no clips and are not sent.
        repeated: Those sent that repeat viewer, video and time of an earlier one: duplicates on arrival.
        repeated_images: The same among the image posts.
        clips: Different videos sent.
        events: Events that are sent.
        last_at: When the last impression was.
    """

    rows: int
    images: int
    repeated: int
    repeated_images: int
    clips: int
    events: int
    last_at: dt.datetime


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
    followed: bool
    commented: bool
    forwarded: bool


class KuaiRand:
    """The rows of a KuaiRand file as events, in the order of their time."""

    def __init__(self, reactions: Path, features: Path | None = None) -> None:
        """Reads the files; ``features`` defaults to the file of that name beside ``reactions``, if it is there.

        Raises:
            InputError: A file is missing, empty or not of KuaiRand's form.
        """
        beside = reactions.parent / FEATURES_FILE
        features = features or (beside if beside.is_file() else None)
        self._database = duckdb.connect(config={"memory_limit": _MEMORY, "threads": 1})
        self._read("kuairand_plays", reactions)
        if features is None:
            self._database.execute(_sql("kuairand_no_videos"))
        else:
            self._read("kuairand_videos", features)
        total, images, repeated, repeated_images, clips, extra, last_ms = next(self._fetch("kuairand_counts"))
        if not total:
            msg = "holds no row"
            raise InputError(msg, str(reactions))
        self.counts = KuaiRandCounts(
            rows=total,
            images=images,
            repeated=repeated,
            repeated_images=repeated_images,
            clips=clips,
            events=clips + 3 * (total - images) + extra,
            last_at=_instant(last_ms),
        )

    def _read(self, statement: str, path: Path) -> None:
        if not path.is_file():
            msg = f"no such file; the sample is {REACTIONS_FILE}, with {FEATURES_FILE} beside it"
            raise InputError(msg, str(path))
        try:
            self._database.execute(_sql(statement), {"file": str(path)})
        except duckdb.Error as error:
            msg = f"not of KuaiRand's form: {str(error).splitlines()[0]}"
            raise InputError(msg, str(path)) from error

    def events(self, ends_at: dt.datetime | None = None) -> Iterator[Event]:
        """Yields registrations, then impressions with what answered them, by time.

        Args:
            ends_at: Moves all times so that the last impression was then; ids stay as they are.
        """
        shift = dt.timedelta() if ends_at is None else ends_at - self.counts.last_at
        for clip in map(_Clip._make, self._fetch("kuairand_clips")):
            yield _registered(clip, _instant(clip.first_ms) + shift)
        for view in map(_View._make, self._fetch("kuairand_views")):
            yield from _viewed(view, _instant(view.time_ms) + shift)

    def _fetch(self, statement: str) -> Iterator[tuple[Any, ...]]:
        cursor = self._database.cursor()
        cursor.execute(_sql(statement))
        while rows := cursor.fetchmany(_FETCH_ROWS):
            yield from rows


def _sql(statement: str) -> str:
    return (resources.files("clapometer.client") / "sql" / f"{statement}.sql").read_text()


def _instant(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, tz=dt.UTC)


def _clip_id(video_id: int) -> str:
    return f"kuairand-{video_id}"


def _registered(clip: _Clip, time: dt.datetime) -> Event:
    """Returns the registration; one whose duration no clip can have is the server's to refuse."""
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
            surface="kuairand",
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
    yield "like" if view.liked else "dislike"
    if view.followed:
        yield "follow"
    if view.commented:
        yield "comment"
    if view.forwarded:
        yield "share"
