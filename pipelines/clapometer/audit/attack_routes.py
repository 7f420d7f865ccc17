"""The ways by which one person with the key of a page can try to move a ranking, each as the events that it takes.

The made-up viewers mimic people: each has a few impressions, watches what it praises, praises not all of what it should
help, and buries not all of what it should hurt. Of the slates that they are given they show only what serves them.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

__all__ = ["EACH", "ROUTES", "Door", "Entry", "Goal", "Route", "Slot", "Visit"]

EACH = 10
"""Impressions of a made-up viewer."""
_PAUSE = dt.timedelta(seconds=30)
_LONG_AGO = dt.timedelta(days=30)
_LEFT_AFTER_MS = 1_600
_SHARES = (("like", 8), ("save", 4), ("share", 4), ("dislike", 5))
"""In how many of ten impressions they react: the last to what is to be hurt, the others to what is to be helped."""
_LOST_VOTES = 5
"""One vote in so many goes the other way: whoever never loses has no place."""

Wire = dict[str, Any]
"""A CloudEvent, as a page sends it."""
_OF_A_SLOT = (
    "clip_id", "position", "surface", "policy_id", "propensity", "candidates", "explored", "audience", "locale",
)  # fmt: skip


class Entry(Protocol):
    """What became of the events of a request (see the collector's door)."""

    @property
    def block(self) -> bytes:
        """For the event log."""
        ...

    @property
    def weighs(self) -> int:
        """How many of them count."""
        ...

    @property
    def why(self) -> str:
        """What is said of the first that does not."""
        ...


class Door(Protocol):
    """Where events come in."""

    def token(self, impression: Mapping[str, Any], now: dt.datetime) -> str:
        """Returns the token of an impression that a slate offers."""
        ...

    def send(self, events: Sequence[Wire], now: dt.datetime) -> Sequence[Entry]:
        """Returns what becomes of events that are sent at a time."""
        ...


class Slot(NamedTuple):
    """A slot as it was really filled, of ``audit_slots.sql``."""

    model: str
    clip_id: str
    prompt: str
    duration_ms: int
    position: int | None
    surface: str | None
    policy_id: str | None
    propensity: float | None
    candidates: int | None
    explored: bool | None
    audience: str | None
    locale: str | None
    impression_id: str
    viewer_id: str


@dataclass(frozen=True)
class Goal:
    """What is to be bought.

    Attributes:
        helped: The model version that is to gain.
        hurt: The one that is to lose.
        slots: Of both, as slates hand them out.
    """

    helped: str
    hurt: str
    slots: Sequence[Slot]


class Visit(NamedTuple):
    """A made-up viewer's, when it begins."""

    door: Door
    goal: Goal
    viewer: int
    when: dt.datetime

    def slots(self) -> Iterator[tuple[int, Slot, dt.datetime]]:
        """Yields number and time of what the viewer shows of the slates that it is given."""
        slots, start = self.goal.slots, self.viewer * EACH
        for n in range(EACH):
            yield n, slots[(start + n) % len(slots)], self.when + n * _PAUSE

    def shown(self, slot: Slot, n: int) -> Wire:
        """Returns the data of an impression in a slot."""
        kept = {name: value for name in _OF_A_SLOT if (value := getattr(slot, name)) is not None}
        return {"impression_id": f"made up {self.viewer} {n}", "viewer_id": f"made up {self.viewer}"} | kept


@dataclass(frozen=True)
class Route:
    """A way in.

    Attributes:
        name: Of the finding.
        who: What they do, and who can.
        advice: What narrows it.
        events: Makes those of one visit.
        by_votes: Whether it is the ranking by votes that is to move.
    """

    name: str
    who: str
    advice: str
    events: Callable[[Visit], Iterator[Wire]]
    by_votes: bool = False


def _event(kind: str, id_: str, time: dt.datetime, /, **data: object) -> Wire:
    said = {name: value for name, value in data.items() if value is not None}
    envelope = {"specversion": "1.0", "type": f"clapometer.{kind}.v1", "source": "/made/up"}
    return {**envelope, "id": f"{kind} {id_}", "time": time.isoformat(), "data": said}


def _answers(visit: Visit, place: tuple[int, Slot, dt.datetime], about: str, token: str | None) -> Iterator[Wire]:
    """Yields what is said of an impression to help or to hurt its model version."""
    n, slot, when = place
    helps, serial = slot.model == visit.goal.helped, visit.viewer * EACH + n
    watched = slot.duration_ms if helps else min(_LEFT_AFTER_MS, slot.duration_ms)
    then = when + dt.timedelta(milliseconds=watched)
    told = {"impression_id": about, "token": token}
    yield _event("watched", about, then, **told, watched_ms=watched)
    for number, (reaction, share) in enumerate(_SHARES):
        if helps != (reaction == "dislike") and (serial * 7 + number * 3) % 10 < share:
            yield _event("reacted", f"{about} {reaction}", then, **told, reaction=reaction)


def _impressions(visit: Visit, *, signed: bool = True, told: Mapping[str, object] | None = None) -> Iterator[Wire]:
    """Yields impressions of slots, and answers; ``told`` is said instead of what was signed."""
    for n, slot, when in visit.slots():
        shown = visit.shown(slot, n)
        token = visit.door.token(shown, when) if signed else None
        about = shown["impression_id"]
        yield _event("impression", about, when, **shown | dict(told or {}), token=token)
        yield from _answers(visit, (n, slot, when), about, token)


def _small_sets(visit: Visit) -> Iterator[Wire]:
    of_two = [slot._replace(propensity=0.5, candidates=2, explored=True) for slot in visit.goal.slots]
    return _impressions(visit._replace(goal=replace(visit.goal, slots=of_two)))


def _unsigned(visit: Visit) -> Iterator[Wire]:
    return _impressions(visit, signed=False)


def _improbable(visit: Visit) -> Iterator[Wire]:
    return _impressions(visit, told={"propensity": 1e-4, "candidates": 100})


def _long_ago(visit: Visit) -> Iterator[Wire]:
    return _impressions(visit._replace(when=visit.when - _LONG_AGO))


def _rewritten(visit: Visit) -> Iterator[Wire]:
    """Yields answers to impressions of others, of which only the ids are known."""
    for n, slot, when in visit.slots():
        yield from _answers(visit, (n, slot, when), slot.impression_id, None)


def _bought(visit: Visit) -> Iterator[Wire]:
    """Yields purchases beyond measure on impressions with tokens."""
    for n, slot, when in visit.slots():
        if slot.model == visit.goal.helped:
            shown = visit.shown(slot, n)
            about, token = shown["impression_id"], visit.door.token(shown, when)
            paid = {"kind": "purchase", "value": 1e12, "currency": "USD", "order_id": f"made up {visit.viewer} {n}"}
            yield _event("converted", about, when, impression_id=about, token=token, **paid)


def _voted(visit: Visit) -> Iterator[Wire]:
    """Yields votes on pairs of clips of one prompt, both of which the voter was shown, on either side in turn."""
    for n, (good, bad) in enumerate(itertools.islice(_pairs(visit), EACH // 2)):
        when, left_is_good = visit.when + n * _PAUSE, (visit.viewer + n) % 2 == 0
        seen = [visit.shown(slot, 2 * n + k) for k, slot in enumerate((good, bad) if left_is_good else (bad, good))]
        tokens = [visit.door.token(shown, when) for shown in seen]
        for shown, token in zip(seen, tokens, strict=True):
            yield _event("impression", shown["impression_id"], when, **shown, token=token)
        left, right = (shown["impression_id"] for shown in seen)
        praises = (visit.viewer + n) % _LOST_VOTES > 0
        yield _event(
            "voted", f"{visit.viewer} {n}", when + _PAUSE / 2, left_impression_id=left, right_impression_id=right,
            left_token=tokens[0], right_token=tokens[1], result="left" if left_is_good == praises else "right",
        )  # fmt: skip


def _pairs(visit: Visit) -> Iterator[tuple[Slot, Slot]]:
    """Yields slots of both model versions with the same prompt, other ones first for every viewer."""
    goal = visit.goal
    bad = {slot.prompt: slot for slot in goal.slots if slot.model == goal.hurt}
    good = {slot.prompt: slot for slot in goal.slots if slot.model == goal.helped and slot.prompt in bad}
    pairs = [(slot, bad[prompt]) for prompt, slot in good.items()]
    start = visit.viewer * (EACH // 2) % max(len(pairs), 1)
    yield from pairs[start:] + pairs[:start]


def _surveyed(visit: Visit) -> Iterator[Wire]:
    """Yields answers to questions about clips."""
    for n, slot, when in visit.slots():
        said = {"clip_id": slot.clip_id, "viewer_id": f"made up {visit.viewer}"}
        answer = "good" if slot.model == visit.goal.helped else "bad"
        yield _event("surveyed", f"{visit.viewer} {n}", when, **said, answer=answer)


def _registered(visit: Visit) -> Iterator[Wire]:
    """Yields registrations that make all these clips the helped model version's."""
    name, _, version = visit.goal.helped.rpartition("@")
    for n, slot, when in visit.slots():
        said = {"prompt": {"text": slot.prompt}, "model": {"name": name, "version": version}, "task": "t2v"}
        about = {"clip_id": slot.clip_id, "duration_ms": slot.duration_ms}
        yield _event("clip_registered", f"{visit.viewer} {n}", when, **about, **said)


_VOUCH = "ask for slates only for viewers whom your platform vouches for, and rate them by viewer and address"
_CLOSED = "a door that should be closed is open: see the collector's settings, and docs/explanation/security.md"
ROUTES = (
    Route("impressions", "made-up viewers show, of the slates that they are given, what serves them, and praise it",
          _VOUCH, _impressions),
    Route("small candidate sets", "the same, where a page gets them slates of two candidates",
          "let no page choose the candidates of a slate", _small_sets),
    Route("votes", "made-up viewers vote on clips that they were shown", _VOUCH, _voted, by_votes=True),
    Route("impressions without a token", "whoever copies the key from a page makes impressions up", _CLOSED, _unsigned),
    Route("answers", "whoever knows the ids of others' impressions answers them", _CLOSED, _rewritten),
    Route("purchases", "made-up viewers say that they paid", _CLOSED, _bought),
    Route("propensities", "made-up viewers say that what they were shown was improbable", _CLOSED, _improbable),
    Route("dates", "made-up viewers say that it was a month ago", _CLOSED, _long_ago),
    Route("registrations", "whoever copies the key from a page says whose clip it is", _CLOSED, _registered),
    Route("surveys", "whoever copies the key from a page answers questions", _CLOSED, _surveyed),
)  # fmt: skip
