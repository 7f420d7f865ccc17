"""What slates know of clips, in memory: what they are worth, and which of them were taken down."""

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from clapometer.lake.statements import sql
from clapometer.serving.reading.errors import NoRunError
from clapometer.serving.reading.published import Published, Stamp
from clapometer.serving.reading.queries import Connection, RankingQuery, read_run, rows

_OVERLAP = dt.timedelta(minutes=10)
"""Events of several collectors reach the lake out of order by less than this."""
_FORGET_UNKNOWN_SECONDS = 5.0
_SHARE_OF_TIME = 0.1


class Maker(NamedTuple):
    """The items that a clip belongs to."""

    model: str | None
    prompt: str | None
    template: str | None


class Scored(NamedTuple):
    """A clip that may be shown; ``score`` is ``None`` where nothing is known of it."""

    clip_id: str
    score: float | None


class Values(NamedTuple):
    """What items are worth, from one run; effects in label units by subject and item."""

    run_id: str | None
    effects: Mapping[str, Mapping[str, float]]

    def score(self, maker: Maker | None) -> float | None:
        """Returns the sum of the effects of a clip's model version and prompt (of its template where not ranked)."""
        if maker is None:
            return None
        model = self._effect("model_versions", maker.model)
        prompt = self._effect("prompts", maker.prompt)
        if prompt is None:
            prompt = self._effect("templates", maker.template)
        known = [effect for effect in (model, prompt) if effect is not None]
        return sum(known) if known else None

    def _effect(self, subject: str, item: str | None) -> float | None:
        return None if item is None else self.effects.get(subject, {}).get(item)


_NOTHING = Values(None, {})


class ScoreBook:
    """One tenant's scores. Threads may share it; reading never waits for the lake.

    Args:
        published: The file that everything comes from.
        tenant: Whose clips these are.
        cached_clips: Most clips that are remembered; the least used are forgotten first.
        refresh_seconds: How long the book may lag behind the file. Where refreshing takes long it is done less
            often, so that it never takes more than a tenth of the time.
        seconds: A clock.
    """

    def __init__(
        self,
        published: Published,
        tenant: str,
        *,
        cached_clips: int,
        refresh_seconds: float,
        seconds: Callable[[], float],
    ) -> None:
        self._published = published
        self._tenant = tenant
        self._cached_clips = cached_clips
        self._refresh_seconds = refresh_seconds
        self._seconds = seconds
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._stamp: Stamp | None = None
        self._next_look = float("-inf")
        self._since: dt.datetime | None = None
        self._makers: OrderedDict[str, Maker] = OrderedDict()
        self._unknown_until: dict[str, float] = {}
        self._values = _NOTHING
        self._withdrawn: Mapping[str, str] = {}

    @property
    def run_id(self) -> str | None:
        """The run that the scores come from; ``None`` where there is no ranking yet."""
        return self._values.run_id

    def due(self) -> bool:
        """Whether it is time to look at the file again."""
        return self._seconds() >= self._next_look and not self._refreshing.locked()

    def refresh(self) -> None:
        """Takes over what the file says now, if it changed; returns at once where another thread is at it.

        Raises:
            TransientError: The file cannot be opened; what was known stays.
        """
        if not self._refreshing.acquire(blocking=False):
            return
        begun = self._seconds()
        try:
            stamp = self._published.stamp()
            if stamp is not None and stamp != self._stamp:
                with self._published.read() as connection:
                    self._take(connection)
                self._stamp = stamp
        finally:
            took = self._seconds() - begun
            self._next_look = self._seconds() + max(self._refresh_seconds, took / _SHARE_OF_TIME)
            self._refreshing.release()

    def missing(self, clip_ids: Iterable[str]) -> list[str]:
        """Returns the clips that :meth:`learn` should look up."""
        now = self._seconds()
        with self._lock:
            return [
                clip_id
                for clip_id in clip_ids
                if clip_id not in self._makers and self._unknown_until.get(clip_id, now) <= now
            ]

    def learn(self, clip_ids: Sequence[str]) -> None:
        """Looks up clips that are not in memory.

        Raises:
            TransientError: The file cannot be opened.
        """
        with self._published.read() as connection:
            found = self._clips(connection, only=list(clip_ids), n=len(clip_ids) * 8)
        self._remember(found)
        until = self._seconds() + _FORGET_UNKNOWN_SECONDS
        with self._lock:
            if len(self._unknown_until) > self._cached_clips:
                self._unknown_until.clear()
            self._unknown_until.update({clip_id: until for clip_id in clip_ids if clip_id not in self._makers})

    def rate(self, clip_ids: Sequence[str]) -> tuple[list[Scored], dict[str, str]]:
        """Returns the clips that may be shown with their scores, and the reasons of those that may not."""
        values, withdrawn = self._values, self._withdrawn
        left_out = {clip_id: withdrawn[clip_id] for clip_id in clip_ids if clip_id in withdrawn}
        with self._lock:
            makers = {clip_id: self._makers.get(clip_id) for clip_id in clip_ids}
            for clip_id in clip_ids:
                if clip_id in self._makers:
                    self._makers.move_to_end(clip_id)
        shown = [Scored(clip_id, values.score(makers[clip_id])) for clip_id in clip_ids if clip_id not in left_out]
        return shown, left_out

    def unregistered(self, clip_ids: Iterable[str]) -> list[str]:
        """Returns the clips that the lake was asked for and does not know; none while the lake is away."""
        with self._lock:
            return [clip for clip in clip_ids if clip in self._unknown_until and clip not in self._makers]

    def _take(self, connection: Connection) -> None:
        self._withdrawn = withdrawn_clips(connection, self._tenant)
        try:
            run = read_run(connection, self._tenant, RankingQuery())
        except NoRunError:
            self._values = _NOTHING
        else:
            if run.run_id != self._values.run_id:
                self._values = read_values(connection, self._tenant, run.run_id)
        found = self._clips(connection, since=self._since, n=self._cached_clips)
        self._remember(found)
        if found:
            newest: dt.datetime = max(row["received_at"] for row in found)
            self._since = newest - _OVERLAP

    def _clips(
        self, connection: Connection, *, n: int, only: list[str] | None = None, since: dt.datetime | None = None
    ) -> list[dict[str, Any]]:
        return rows(connection, "serving/slates/sql/clips.sql", tenant=self._tenant, only=only, since=since, n=n)

    def _remember(self, found: Iterable[Mapping[str, Any]]) -> None:
        """Keeps the clips; of one registered twice the first in time counts, as it does in training."""
        with self._lock:
            for row in found:
                self._makers.setdefault(row["clip_id"], Maker(row["model"], row["prompt"], row["template"]))
                self._unknown_until.pop(row["clip_id"], None)
            while len(self._makers) > self._cached_clips:
                self._makers.popitem(last=False)


def read_values(connection: Connection, tenant: str, run_id: str) -> Values:
    """Returns what a run says items are worth."""
    effects: dict[str, dict[str, float]] = {}
    for row in rows(connection, "serving/slates/sql/values.sql", tenant=tenant, run=run_id):
        effects.setdefault(row["subject"], {})[row["item"]] = row["effect"]
    return Values(run_id, effects)


def withdrawn_clips(connection: Connection, tenant: str) -> dict[str, str]:
    """Returns the clips that were taken down, with the reason; descendants and duplicates where that was meant."""
    direct = rows(connection, "serving/slates/sql/withdrawn.sql", tenant=tenant)
    reasons = {row["clip_id"]: row["reason"] for row in direct}
    if any(row["reaches_further"] for row in direct):
        # Who descends from whom needs every registration; so it is only asked where a withdrawal reaches that far.
        reached = connection.execute(
            f"SELECT clip_id, reason FROM ({sql('lake/sql/withdrawn.sql')}) WHERE tenant = $tenant",  # noqa: S608 - our own SQL
            {"tenant": tenant},
        )
        reasons = dict(reached.fetchall()) | reasons
    return {clip_id: f"withdrawn: {reason}" for clip_id, reason in reasons.items()}
