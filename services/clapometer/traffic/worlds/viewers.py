"""What viewers of a simulated world did, as events."""

import datetime as dt
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from clapometer.domain import events, sign_answer, sign_impression
from clapometer.simulation import TYPICAL_DURATION_MS, EngagementLog, World
from clapometer.traffic.worlds.ids import IdSpace

LOCALES = ("en-US", "pt-BR", "id-ID", "es-MX", "de-DE", "ja-JP", "hi-IN")
SURFACES = ("for_you", "autoplay_rail")
REACTIONS: tuple[events.Reaction, ...] = ("like", "save", "share", "dislike")
POLICY = "simulated-popularity"


@dataclass(frozen=True)
class Signing:
    """What signs impression tokens.

    Attributes:
        tenant: Owner of the API key that sends the events.
        key_id: Name of the token secret.
        secret: The token secret.
        expires: When the tokens end, in Unix seconds.
    """

    tenant: str
    key_id: str
    secret: bytes
    expires: int


class _View(NamedTuple):
    """One row of the log as plain numbers."""

    viewer: int
    session: int
    clip: int
    day: int
    second: int
    position: int
    surface: int
    explored: bool
    propensity: float
    candidates: int
    delay_days: int
    watched_ms: int
    ended: bool
    reactions: int


@dataclass(frozen=True)
class ViewWriter:
    """Writes rows of the log as events.

    Attributes:
        world: The latent world.
        ids: Names of everything.
        source: CloudEvents source.
        starts_at: First midnight of the log.
        signing: How impressions get tokens, if they do.
    """

    world: World
    ids: IdSpace
    source: str
    starts_at: dt.datetime
    signing: Signing | None

    def write(self, log: EngagementLog, first: int) -> Iterator[events.Event]:
        """Yields the events of the impressions of ``log``, whose first one is the ``first``-th of its world."""
        for index, view in enumerate(map(_View._make, zip(*self._columns(log), strict=True)), first):
            impression_id = self.ids.id("impression", index)
            shown_at = self.starts_at + dt.timedelta(days=view.day, seconds=view.second)
            stopped_at = shown_at + dt.timedelta(milliseconds=view.watched_ms)
            yield self._impression(impression_id, shown_at, view)
            yield self._watched(impression_id, stopped_at, view)
            if view.reactions:
                yield from self._reacted(impression_id, stopped_at, view)

    def _columns(self, log: EngagementLog) -> list[list[int] | list[float] | list[bool]]:
        """Returns the columns of :class:`_View`."""
        ended = log.complete & ~log.bot
        reactions = sum(getattr(log, name).astype(np.int64) << bit for bit, name in enumerate(REACTIONS))
        plain = [getattr(log, name) for name in _View._fields[:11]]
        return [column.tolist() for column in (*plain, self.watched_ms(log), ended, np.asarray(reactions))]

    def watched_ms(self, log: EngagementLog) -> NDArray[np.int64]:
        """Returns the unique watch time of each impression, at most the clip's duration."""
        duration = np.floor(TYPICAL_DURATION_MS * np.exp(self.world.clips.log_duration[log.clip]))
        watched = np.where(log.complete & ~log.bot, duration, np.minimum(log.watched_ms, duration))
        return watched.astype(np.int64)

    def _impression(self, impression_id: str, shown_at: dt.datetime, view: _View) -> events.Impression:
        logged = not math.isnan(view.propensity)
        session_id = self.ids.id("session", view.session)
        cohort = self.world.viewers.lenient_cohort
        early = view.viewer < len(cohort) and bool(cohort[view.viewer])
        data = events.ImpressionData(
            impression_id=impression_id,
            clip_id=self.ids.id("clip", view.clip),
            viewer_id=self.ids.id("viewer", view.viewer),
            session_id=session_id,
            slate_id=session_id,
            position=view.position,
            surface=SURFACES[view.surface],
            policy_id=POLICY,
            propensity=view.propensity if logged else None,
            candidates=view.candidates if logged else None,
            explored=view.explored if logged else None,
            audience="early_adopters" if early else "everyone",
            locale=LOCALES[view.viewer % len(LOCALES)],
            device_class="tv" if view.viewer % 11 == 0 else "phone",
            autoplay=view.surface == 1,
        )
        return events.Impression(
            specversion="1.0", id=impression_id, source=self.source, time=shown_at, data=self._signed(data, shown_at)
        )

    def _signed(self, data: events.ImpressionData, shown_at: dt.datetime) -> events.ImpressionData:
        if self.signing is None:
            return data
        signing = self.signing
        token = sign_impression(
            signing.tenant, data, key_id=signing.key_id, secret=signing.secret, issued=int(shown_at.timestamp()),
            expires=signing.expires,
        )  # fmt: skip
        return msgspec.structs.replace(data, token=token)

    def answer_token(self, impression_id: str) -> str | None:
        """Returns what vouches for an answer to an impression, where impressions have tokens."""
        signing = self.signing
        if signing is None:
            return None
        return sign_answer(signing.tenant, impression_id, key_id=signing.key_id, secret=signing.secret)

    def _watched(self, impression_id: str, stopped_at: dt.datetime, view: _View) -> events.Watched:
        return events.Watched(
            specversion="1.0",
            id=f"{impression_id}-watched",
            source=self.source,
            time=stopped_at,
            data=events.WatchedData(
                impression_id=impression_id,
                watched_ms=view.watched_ms,
                total_ms=view.watched_ms,
                end_reason="ended" if view.ended else "skipped",
                token=self.answer_token(impression_id),
            ),
        )

    def _reacted(self, impression_id: str, stopped_at: dt.datetime, view: _View) -> Iterator[events.Reacted]:
        for bit, reaction in enumerate(REACTIONS):
            if view.reactions >> bit & 1:
                yield events.Reacted(
                    specversion="1.0",
                    id=f"{impression_id}-{reaction}",
                    source=self.source,
                    time=stopped_at + dt.timedelta(days=view.delay_days),
                    data=events.ReactedData(
                        impression_id=impression_id, reaction=reaction, token=self.answer_token(impression_id)
                    ),
                )
