"""The rarer signals of a simulated world: what viewers bought, and what people said when asked."""

import datetime as dt
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clapometer.domain import events
from clapometer.simulation import EngagementLog, World
from clapometer.traffic.worlds.viewers import ViewWriter

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
                token=writer.answer_token(impression_id),
            ),
        )


def votes(world: World, log: EngagementLog, writer: ViewWriter, n_votes: int, seed: int) -> Iterator[events.Voted]:
    """Yields votes of viewers on two clips of one prompt by different model versions that they both saw.

    Those that the log shows are drawn from, one of each viewer and prompt; fewer than ``n_votes`` where it has fewer.
    """
    random = np.random.default_rng([seed, 2])
    pairs = random.permutation(_seen_by_one(world, log))[:n_votes]
    for vote, pair in enumerate(pairs.tolist()):
        one, other = random.permutation(pair).tolist()
        difference = float(world.clips.appeal[log.clip[one]] - world.clips.appeal[log.clip[other]])
        result = _judge(difference, float(random.random()))
        left, right = (writer.ids.id("impression", row) for row in (one, other))
        moment = max(_shown_at(writer, log, row) for row in (one, other))
        yield events.Voted(
            specversion="1.0",
            id=writer.ids.id("vote", vote),
            source=writer.source,
            time=moment + dt.timedelta(minutes=1),
            data=events.VotedData(
                left_impression_id=left,
                right_impression_id=right,
                result=result,
                left_token=writer.answer_token(left),
                right_token=writer.answer_token(right),
            ),
        )


def _seen_by_one(world: World, log: EngagementLog) -> NDArray[np.int64]:
    """Rows of two impressions of one human viewer, of one prompt and two model versions, ``(n, 2)``."""
    rows = np.flatnonzero(~log.bot)
    prompt, model = world.clips.prompt[log.clip[rows]], world.clips.model[log.clip[rows]]
    order = np.lexsort((rows, model, prompt, log.viewer[rows]))
    rows, prompt, model, viewer = rows[order], prompt[order], model[order], log.viewer[rows[order]]
    same = (viewer[1:] == viewer[:-1]) & (prompt[1:] == prompt[:-1])
    first = np.flatnonzero(same & (model[1:] != model[:-1]))
    _, once = np.unique(np.column_stack([viewer[first], prompt[first]]), axis=0, return_index=True)
    chosen = first[once]
    return np.column_stack([rows[chosen], rows[chosen + 1]])


def _judge(difference: float, dice: float) -> events.VoteResult:
    if abs(difference) < TIE_MARGIN:
        return "tie"
    return "left" if dice < expit(JUDGEMENT * difference) else "right"


def _shown_at(writer: ViewWriter, log: EngagementLog, row: int) -> dt.datetime:
    return writer.starts_at + dt.timedelta(days=int(log.day[row]), seconds=int(log.second[row]))
