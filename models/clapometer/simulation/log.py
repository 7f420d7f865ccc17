"""The log a world produces: impressions and what answered them, day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.simulation.behaviour import Seen, return_chance, signal_chances
from clapometer.simulation.bots import bot_impressions
from clapometer.simulation.feed import fill_slots, insight, popularity_scores
from clapometer.simulation.world import World

__all__ = ["TYPICAL_DURATION_MS", "EngagementLog", "seen_by", "simulate_log"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Random = np.random.Generator

TYPICAL_DURATION_MS = 8_000
"""Duration of a clip whose `log_duration` is 0."""


@dataclass(frozen=True, slots=True, eq=False)
class EngagementLog:
    """Impressions with outcomes, ``(n_impressions,)`` each, ordered by day.

    Attributes:
        viewer: Index; humans first, then fake accounts.
        session: Index.
        clip: Row of `Clips`.
        day: Days since the start.
        second: Seconds since midnight.
        position: 0 is the top.
        surface: 0, or 1 for the autoplay surface.
        explored: The slot was filled uniformly at random (and the app said so).
        propensity: Chance with which the policy drew this clip, NaN when it was not logged.
        candidates: Clips that were eligible.
        watched_ms: Played time.
        complete: Watched to the end.
        like: And so on: the reactions that arrived before the end of the log.
        save: As `like`.
        share: As `like`.
        dislike: As `like`.
        delay_days: Days after which the reactions arrive.
        returned: The viewer came back the next day: a long-term outcome for fitting label weights.
        bot: A fake account did it: truth, not for estimators.
    """

    viewer: Ints
    session: Ints
    clip: Ints
    day: Ints
    second: Ints
    position: Ints
    surface: Ints
    explored: Bools
    propensity: Floats
    candidates: Ints
    watched_ms: Floats
    complete: Bools
    like: Bools
    save: Bools
    share: Bools
    dislike: Bools
    delay_days: Ints
    returned: Bools
    bot: Bools

    def __len__(self) -> int:
        return len(self.viewer)

    def where(self, keep: Bools) -> EngagementLog:
        """The impressions that `keep` selects."""
        return EngagementLog(**{name: getattr(self, name)[keep] for name in EngagementLog.__slots__})


def simulate_log(world: World, seed: int) -> EngagementLog:
    """The log of `world`, in which each day's feed learns from the days before."""
    config = world.config
    random = np.random.default_rng(seed)
    insider = insight(world, random)
    shown, liked = np.zeros((2, len(world.clips.appeal)))
    days: list[dict[str, NDArray[np.generic]]] = []
    for day in range(config.n_days):
        available = np.flatnonzero(world.clips.published & (world.clips.published_day <= day))
        score = popularity_scores(world, shown[available], liked[available], insider[available])
        rows = _day(world, random, day, available, score)
        shown += np.bincount(rows["clip"], minlength=len(shown))
        liked += np.bincount(rows["clip"], rows["like"], len(liked))
        days.append(rows)
    if config.bots:
        days.append(bot_impressions(world, random))
    log = EngagementLog(**{name: np.concatenate([rows[name] for rows in days]) for name in days[0]})
    return seen_by(config.n_days, log)


def _day(world: World, random: Random, day: int, available: Ints, score: Floats) -> dict[str, NDArray[np.generic]]:
    config = world.config
    n, width = config.n_sessions // config.n_days, config.slots_per_session
    viewer = random.choice(config.n_viewers, n, p=world.viewers.activity)
    surface = (random.random(n) < 0.4).astype(np.int64)
    slots = fill_slots(world, random, viewer=viewer, surface=surface, available=available, score=score)
    logs = np.repeat(world.viewers.logs_propensity[viewer], width)
    start = random.integers(0, 86_000, n)
    rows = {
        "viewer": np.repeat(viewer, width),
        "session": np.repeat(np.arange(n) + day * n, width),
        "clip": slots.clip.ravel(),
        "day": np.full(n * width, day),
        "second": (start[:, None] + 20 * np.arange(width)).ravel(),
        "position": np.tile(np.arange(width), n),
        "surface": np.repeat(surface, width),
        "explored": slots.explored.ravel() & logs,
        "propensity": np.where(logs, slots.propensity.ravel(), np.nan),
        "candidates": np.full(n * width, len(available)),
        "bot": np.zeros(n * width, bool),
    }
    mood = np.repeat(random.normal(0, config.mood_spread, n), width)
    return rows | _outcomes(world, random, _seen(world, rows, mood), rows)


def _seen(world: World, rows: dict[str, NDArray[np.int64]], mood: Floats) -> Seen:
    clip, viewer = rows["clip"], rows["viewer"]
    topic = world.prompts.topic[world.clips.prompt[clip]]
    age = rows["day"] - world.clips.published_day[clip]
    return Seen(
        appeal=world.clips.appeal[clip] + world.viewers.taste[viewer, topic],
        leniency=world.viewers.leniency[viewer],
        mood=mood,
        hook=world.clips.hook[clip],
        log_duration=world.clips.log_duration[clip],
        shift=world.day_shift[rows["day"]] + 0.35 * np.exp(-age / 1.5) * world.config.novelty,
        position=rows["position"].astype(float),
        surface=rows["surface"].astype(float),
    )


def _outcomes(
    world: World, random: Random, seen: Seen, rows: dict[str, NDArray[np.int64]]
) -> dict[str, NDArray[np.generic]]:
    n = len(seen.mood)
    happened = random.random((5, n)) < signal_chances(world.config, seen)
    complete, like, save, share, dislike = happened
    stop = 1 / (1 + np.exp(-seen.appeal - random.normal(size=n)))
    watched = np.where(complete, 1.0, 0.98 * stop)
    duration = TYPICAL_DURATION_MS * np.exp(world.clips.log_duration[rows["clip"]])
    late = (random.random(n) < 0.2) * world.config.late_events
    return {
        "watched_ms": np.floor(watched * duration),
        "complete": complete,
        "like": like,
        "save": save,
        "share": share,
        "dislike": dislike,
        "delay_days": (late * random.geometric(0.5, n)).astype(np.int64),
        "returned": random.random(n) < return_chance(seen),
    }


def seen_by(day: int, log: EngagementLog) -> EngagementLog:
    """The log as it stands at the start of `day`: later reactions are missing; watching is known at once."""
    log = log.where(log.day < day)
    there = log.day + log.delay_days < day
    columns = {name: getattr(log, name) for name in EngagementLog.__slots__}
    for reaction in ("like", "save", "share", "dislike"):
        columns[reaction] = columns[reaction] & there
    return EngagementLog(**columns)
