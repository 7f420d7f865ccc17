"""A row of a ranking: the one list of its columns, from which lake, reference and answers are read."""

from __future__ import annotations

import datetime as dt

import msgspec


class RankingRow(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a ranking: its place with its uncertainty and what was counted, or the reason why it has none.

    ``effect`` is the difference from the mean item in label units per impression under uniform exposure, ``value`` its
    expected label; both with 95 % intervals. An item that cannot be ranked has a reason, no number. What analysts are
    told of each column is in ``lake/published/comments.toml``.
    """

    run_id: str
    tenant: str
    created_at: dt.datetime
    subject: str
    segment: str
    segment_value: str
    item: str
    label: str | None = None
    rank: int | None = None
    rank_low: int | None = None
    rank_high: int | None = None
    effect: float | None = None
    effect_low: float | None = None
    effect_high: float | None = None
    value: float | None = None
    value_low: float | None = None
    value_high: float | None = None
    p_best: float | None = None
    verdict: str | None = None
    tier: str | None = None
    calibrated: bool | None = None
    unranked_reason: str | None = None
    impressions: int | None = None
    clips: int | None = None
    prompts: int | None = None
    viewers: int | None = None
    completion_rate: float | None = None
    like_rate: float | None = None
    cost_per_clip: float | None = None
    revenue_per_1000: float | None = None
    currency: str | None = None
    currency_share: float | None = None
    cost_currency: str | None = None
    cost_currency_share: float | None = None
    fake_reactions_to_top: int | None = None
    impressions_to_drop: int | None = None
    votes: int | None = None
    withheld_verdict: str | None = None
    viewers_to_buy: int | None = None


WHICH = RankingRow.__struct_fields__[:6]
"""Columns that say which ranking a row is of: the same in all its rows."""
COLUMNS = RankingRow.__struct_fields__[6:]
"""Columns that say something of the item."""
