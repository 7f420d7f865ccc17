"""Fake accounts that know the screening: each is a copy of a person but for the clips of one model version.

A copy has a person's rates, watch times, positions, propensities and sessions; nothing but its answers to the target,
and when it came, is made up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.simulation.log import TYPICAL_DURATION_MS, EngagementLog
from clapometer.simulation.world import World

__all__ = ["ADVERSARIES", "Adversary", "with_adversary"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Adversary:
    """How fake accounts go about it.

    Attributes:
        share: Impressions, as a share of those of people.
        each: Impressions of an account, at most.
        came: First days on which accounts are made, from and before, as shares of the log.
        active: Days for which an account is there; what it does is spread over them.
        praise: Chance that it likes a clip of the target, which it watches to the end.
        mimics: Answers all other clips as the person did; else it likes none.
        asleep: Share of its impressions that it answers as the person did before it begins.
    """

    share: float = 0.05
    each: int = 50
    came: tuple[float, float] = (0.7, 0.71)
    active: int = 3
    praise: float = 0.8
    mimics: bool = True
    asleep: float = 0.0


ADVERSARIES: dict[str, Adversary] = {
    "likes one version only": Adversary(mimics=False),
    "answers like people but for one version": Adversary(),
    "many accounts, few impressions each": Adversary(each=12),
    "new in the last three days": Adversary(came=(0.9, 0.9), each=12),
    "behaves for half its life": Adversary(came=(0.5, 0.51), active=12, asleep=0.5),
    "came on any day": Adversary(came=(0.05, 0.9), active=28),
    "came on any day, likes half": Adversary(came=(0.05, 0.9), active=28, praise=0.5),
    "there from the first day": Adversary(came=(0.0, 0.0), active=28),
    "watches only": Adversary(praise=0.0),
}
"""By what they do; each gives 5 % of the traffic on the target that is second best."""


def with_adversary(world: World, log: EngagementLog, adversary: Adversary, target: int, seed: int) -> EngagementLog:
    """The log with fake accounts who push a model version."""
    random = np.random.default_rng(seed)
    rows, account = _copied(log, adversary, random)
    columns = {name: getattr(log, name)[rows] for name in EngagementLog.__slots__}
    clips, shown = world.clips, columns["clip"]
    size = np.bincount(account)[account]
    rank = np.arange(len(rows)) - np.searchsorted(account, account)
    low, high = (int(share * world.config.n_days) for share in adversary.came)
    came = random.integers(low, high + 1, int(account.max(initial=-1)) + 1)[account]
    day = came + rank * adversary.active // size
    hit = (clips.model[shown] == target) & (rank >= adversary.asleep * size)
    liked = random.random(len(rows)) < adversary.praise
    if not adversary.mimics:
        for name in ("like", "save", "share", "dislike"):
            columns[name] = columns[name] & hit
    columns |= {
        "viewer": int(log.viewer.max()) + 1 + account,
        "session": int(log.session.max()) + 1 + columns["session"],
        "day": np.clip(np.maximum(day, clips.published_day[shown]), 0, world.config.n_days - 1),
        "like": np.where(hit, liked, columns["like"]),
        "complete": columns["complete"] | hit,
        "watched_ms": np.where(
            hit, np.floor(TYPICAL_DURATION_MS * np.exp(clips.log_duration[shown])), columns["watched_ms"]
        ),
        "bot": np.ones(len(rows), bool),
    }
    return EngagementLog(**{
        name: np.concatenate([getattr(log, name), columns[name]]) for name in EngagementLog.__slots__
    })  # fmt: skip


def _copied(log: EngagementLog, adversary: Adversary, random: np.random.Generator) -> tuple[Ints, Ints]:
    """Returns rows of people in their order, and the account that copies each."""
    mine = np.flatnonzero(~np.isnan(log.propensity) & ~log.bot)
    mine = mine[np.argsort(log.viewer[mine], kind="stable")]
    _, start, size = np.unique(log.viewer[mine], return_index=True, return_counts=True)
    able = np.flatnonzero(size >= min(adversary.each, int(size.max(initial=0))))
    accounts = max(int(adversary.share * len(log) / adversary.each), 1)
    chosen = [
        start[person] + np.sort(random.permutation(size[person])[: adversary.each])
        for person in random.choice(able, accounts).tolist()
    ]
    return mine[np.concatenate(chosen)], np.repeat(np.arange(accounts), [len(rows) for rows in chosen])
