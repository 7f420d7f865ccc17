"""The rarer signals of a simulated world: what viewers bought, and what people said when asked."""

import datetime as dt
from collections.abc import Iterator
from typing import Literal

import numpy as np
from scipy.special import expit

from clapometer.client.world_views import ViewWriter
from clapometer.domain import events
from clapometer.simulation import EngagementLog, World

_KINDS: tuple[Literal["click", "visual_search", "add_to_cart", "purchase"], ...] = (
    "click", "visual_search", "add_to_cart", "purchase",
)  # fmt: skip
_KIND_SHARES = (0.7, 0.1, 0.14, 0.06)
TIE_MARGIN = 0.1
"""Difference in appeal (log-odds) below which a judge says that both are alike."""
JUDGEMENT = 1.5
"""How many times the difference in appeal goes into a judge's log-odds: judges look closer than viewers."""


def conversions(
    world: World, log: EngagementLog, writer: ViewWriter, share: float, seed: int
) -> Iterator[events.Converted]:
    """Yields conversions on about ``share`` of the human impressions, likelier where the clip appeals."""
    random = np.random.default_rng([seed, 1])
    chance = expit(world.clips.appeal[log.clip]) * ~log.bot
    if not chance.any():
        return
    chosen = np.flatnonzero(random.random(len(log)) < share * chance / chance[~log.bot].mean())
    kinds = random.choice(len(_KINDS), len(chosen), p=_KIND_SHARES)
    values = np.round(np.exp(random.normal(3.0, 0.6, len(chosen))), 2)
    for row, kind, value in zip(chosen.tolist(), kinds.tolist(), values.tolist(), strict=True):
        impression_id = writer.ids.id("impression", row)
        paid = _KINDS[kind] == "purchase"
        yield events.Converted(
            specversion="1.0",
            id=f"{impression_id}-{_KINDS[kind]}",
            source=writer.source,
            time=_shown_at(writer, log, row) + dt.timedelta(seconds=15),
            data=events.ConvertedData(
                impression_id=impression_id,
                kind=_KINDS[kind],
                value=value if paid else None,
                currency="USD" if paid else None,
                order_id=f"{impression_id}-order" if paid else None,
            ),
        )


def votes(world: World, log: EngagementLog, writer: ViewWriter, n_votes: int, seed: int) -> Iterator[events.Voted]:
    """Yields human votes on pairs of clips of one prompt by different model versions.

    Those that the log shows are drawn from; fewer than ``n_votes`` where it has fewer such pairs.
    """
    random = np.random.default_rng([seed, 2])
    clips, rows = np.unique(log.clip[~log.bot], return_index=True)
    shown = np.flatnonzero(~log.bot)[rows]
    prompt, model = world.clips.prompt[clips], world.clips.model[clips]
    left = random.permutation(len(clips))
    order = np.lexsort((random.random(len(clips)), prompt))
    after = np.empty(len(clips), np.int64)
    after[order] = np.roll(order, -1)
    pairs = [(i, int(after[i])) for i in left.tolist() if prompt[i] == prompt[after[i]] and model[i] != model[after[i]]]
    for vote, (one, other) in enumerate(pairs[:n_votes]):
        difference = float(world.clips.appeal[clips[one]] - world.clips.appeal[clips[other]])
        result = _judge(difference, float(random.random()))
        impressions = [writer.ids.id("impression", int(shown[clip])) for clip in (one, other)]
        moment = max(_shown_at(writer, log, int(shown[clip])) for clip in (one, other))
        yield events.Voted(
            specversion="1.0",
            id=writer.ids.id("vote", vote),
            source=writer.source,
            time=moment + dt.timedelta(minutes=1),
            data=events.VotedData(left_impression_id=impressions[0], right_impression_id=impressions[1], result=result),
        )


def _judge(difference: float, dice: float) -> events.VoteResult:
    if abs(difference) < TIE_MARGIN:
        return "tie"
    return "left" if dice < expit(JUDGEMENT * difference) else "right"


def _shown_at(writer: ViewWriter, log: EngagementLog, row: int) -> dt.datetime:
    return writer.starts_at + dt.timedelta(days=int(log.day[row]), seconds=int(log.second[row]))
