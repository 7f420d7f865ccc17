"""A simulated world as the events that its platform would send.

Days of the world are whole UTC days, so that they are the days that the lake and its rankings speak of.
"""

import dataclasses
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass

from clapometer.domain import Event, InputError
from clapometer.simulation import EngagementLog, World, WorldConfig, build_world, simulate_log
from clapometer.traffic.worlds.clips import registrations
from clapometer.traffic.worlds.extras import conversions, votes
from clapometer.traffic.worlds.ids import IdSpace
from clapometer.traffic.worlds.prompt_texts import PromptText, write_prompts
from clapometer.traffic.worlds.viewers import REACTIONS, Signing, ViewWriter

CHUNK = 5_000
"""Impressions that are plain Python values at a time."""


@dataclass(frozen=True)
class TrafficOptions:
    """What to add to a world to make it traffic.

    Attributes:
        seed: Of the world, its log, its texts and its ids.
        until: The log ends at the last UTC midnight up to this moment.
        conversions: Share of impressions that lead to a click or more.
        votes: Human votes on pairs of clips of the same prompt.
        signing: How impressions get tokens; without, a secret API key vouches for them.
    """

    seed: int
    until: dt.datetime
    conversions: float = 0.002
    votes: int = 500
    signing: Signing | None = None


@dataclass(frozen=True)
class WorldTraffic:
    """A world, its log, and how both are named on the wire.

    Attributes:
        world: The latent world.
        log: What happened in it.
        prompts: Text of each prompt, in the order of the world's.
        ids: Names of everything.
        options: As given.
    """

    world: World
    log: EngagementLog
    prompts: list[PromptText]
    ids: IdSpace
    options: TrafficOptions

    @property
    def source(self) -> str:
        """CloudEvents source of the events."""
        return f"/simulate/{self.ids.name}"

    @property
    def starts_at(self) -> dt.datetime:
        """First midnight of the log."""
        midnight = self.options.until.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight - dt.timedelta(days=self.world.config.n_days)

    @property
    def n_events(self) -> int:
        """How many events there are, but for conversions and votes that find no pair."""
        reactions = sum(int(getattr(self.log, name).sum()) for name in REACTIONS)
        return int(self.world.clips.published.sum()) + 2 * len(self.log) + reactions + self.options.votes

    def registrations(self) -> Iterator[Event]:
        """Yields the registrations alone."""
        return registrations(self.world, self.prompts, self.ids, source=self.source, starts_at=self.starts_at)

    def events(self) -> Iterator[Event]:
        """Yields every event: registrations, then what viewers did by day, then conversions and votes."""
        yield from self.registrations()
        yield from self.engagement()

    def engagement(self) -> Iterator[Event]:
        """Yields all but the registrations: what a publishable key may send."""
        writer = ViewWriter(self.world, self.ids, self.source, self.starts_at, self.options.signing)
        for start in range(0, len(self.log), CHUNK):
            yield from writer.write(_rows(self.log, start, start + CHUNK), start)
        yield from conversions(self.world, self.log, writer, self.options.conversions, self.options.seed)
        yield from votes(self.world, self.log, writer, self.options.votes, self.options.seed)


def build_traffic(config: WorldConfig, options: TrafficOptions) -> WorldTraffic:
    """Returns the traffic of a world: the same arguments give the same events with the same ids.

    ``options.until`` moves the times only: the ids stay.

    Raises:
        InputError: The world is so small that some day would have nothing to show, or nobody to show it to.
    """
    world = build_world(config, options.seed)
    _check_first_day(world)
    named = json.dumps({"config": dataclasses.asdict(config), "seed": options.seed}, sort_keys=True)
    return WorldTraffic(
        world=world,
        log=simulate_log(world, options.seed),
        prompts=write_prompts(world.prompts.topic.tolist(), world.prompts.template.tolist(), options.seed),
        ids=IdSpace(named),
        options=options,
    )


def _rows(log: EngagementLog, start: int, stop: int) -> EngagementLog:
    """Returns a part of the log without copying it."""
    return EngagementLog(**{name: getattr(log, name)[start:stop] for name in EngagementLog.__slots__})


def _check_first_day(world: World) -> None:
    config = world.config
    if config.n_sessions < config.n_days:
        msg = f"fewer than one a day; give at least {config.n_days}"
        raise InputError(msg, "sessions")
    if not (world.clips.published & (world.clips.published_day == 0)).any():
        msg = "so few that there is no clip to show on the first day; give more, or fewer days or models"
        raise InputError(msg, "prompts")
