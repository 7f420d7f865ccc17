"""Two items of one ranking: which is better, by how much, and how sure that is."""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

from clapometer.domain import InputError, against
from clapometer.serving.reading.answers import Comparison, NotRanked, Standing
from clapometer.serving.reading.errors import UnknownItemError
from clapometer.serving.reading.queries import (
    Connection,
    RankingQuery,
    item_of,
    nearest_items,
    read_items,
    read_run,
    rows,
)
from clapometer.serving.wording import tier_notes

_Z = NormalDist().inv_cdf(0.975)
APPROXIMATE = (
    "Approximate: the run stored no joint covariance for this pair, so the interval is made from the two intervals "
    "as if the items were independent."
)
BOUGHT = (
    "That is withheld: some viewers that one person could have made up within days carry it. More viewers, over more "
    "days, make it sturdier."
)
_Difference = dict[str, Any]


def compare(connection: Connection, tenant: str, query: RankingQuery, left: str, right: str) -> Comparison:
    """Returns what a ranking says about ``left`` against ``right``.

    Raises:
        InputError: Both are the same item.
        NoRunError: No run has been good yet, or not the one that is asked for.
        UnknownItemError: The ranking has no such item.
    """
    if left == right:
        msg = "left and right are the same item"
        raise InputError(msg, "right")
    run = read_run(connection, tenant, query)
    found = {row["item"]: item_of(row) for row in read_items(connection, tenant, run.run_id, query, [left, right])}
    first, second = (
        _item(found, name, query, nearest=lambda name: nearest_items(connection, tenant, run.run_id, query, name))
        for name in (left, right)
    )
    reason = _refusal(first, second)
    difference = _joint(connection, tenant, run.run_id, query, left=left, right=right) if reason is None else {}
    if reason is None and not difference:
        assert isinstance(first, Standing)
        assert isinstance(second, Standing)
        difference = independent_difference(first, second)
        reason = None if difference else "the run gave one of them no interval"
    calibrated = all(isinstance(item, Standing) and bool(item.calibrated) for item in (first, second))
    tier = difference.get("tier")
    notes = tier_notes(tier, calibrated=calibrated, reason=run.tier_reason) if difference else []
    if difference.get("method") == "from_intervals":
        notes.append(APPROXIMATE)
    said = against(difference.get("low"), difference.get("high"), calibrated=calibrated)
    sure = said
    if difference.get("bought_low") is not None:
        sure = against(difference["bought_low"], difference["bought_high"], calibrated=calibrated)
    if said != sure:
        notes.append(f"The interval alone says {str(said)!r}. {BOUGHT}")
    return Comparison(
        subject=query.subject,
        segment=query.segment,
        segment_value=query.segment_value,
        run_id=run.run_id,
        comparable=reason is None,
        verdict=sure,
        reason=reason,
        difference=difference.get("difference"),
        low=difference.get("low"),
        high=difference.get("high"),
        always_low=difference.get("always_low"),
        always_high=difference.get("always_high"),
        p_left=difference.get("p_left"),
        bought_low=difference.get("bought_low"),
        bought_high=difference.get("bought_high"),
        method=difference.get("method"),
        tier=tier,
        calibrated=calibrated,
        notes=notes,
        left=first,
        right=second,
    )


def independent_difference(left: Standing, right: Standing) -> _Difference:
    """Returns left less right from their two intervals; empty where one of them has none.

    The interval is the square-and-add one of Zou and Donner, Construction of confidence limits about effect
    measures, Statistics in Medicine 27 (2008); the probability takes the difference as normal with that width.
    """
    if left.effect is None or left.effect_low is None or left.effect_high is None:
        return {}
    if right.effect is None or right.effect_low is None or right.effect_high is None:
        return {}
    difference = left.effect - right.effect
    below = math.hypot(left.effect - left.effect_low, right.effect_high - right.effect)
    above = math.hypot(left.effect_high - left.effect, right.effect - right.effect_low)
    deviation = (below + above) / (2 * _Z)
    certain = 0.5 if difference == 0 else float(difference > 0)
    return {
        "difference": difference,
        "low": difference - below,
        "high": difference + above,
        "p_left": NormalDist(0, deviation).cdf(difference) if deviation > 0 else certain,
        "tier": max(left.tier or "C", right.tier or "C"),
        "method": "from_intervals",
    }


def _joint(
    connection: Connection, tenant: str, run_id: str, query: RankingQuery, *, left: str, right: str
) -> _Difference:
    found = rows(
        connection,
        "serving/reading/sql/contrast.sql",
        tenant=tenant,
        run=run_id,
        subject=query.subject,
        segment=query.segment,
        segment_value=query.segment_value,
        left_item=left,
        right_item=right,
    )
    if not found:
        return {}
    (row,) = found
    if row["left_item"] != left:
        row |= {
            "difference": -row["difference"],
            "low": -row["high"],
            "high": -row["low"],
            "always_low": None if row["always_high"] is None else -row["always_high"],
            "always_high": None if row["always_low"] is None else -row["always_low"],
            "p_left": None if row["p_left"] is None else 1 - row["p_left"],
            "bought_low": None if row["bought_high"] is None else -row["bought_high"],
            "bought_high": None if row["bought_low"] is None else -row["bought_low"],
        }
    return {**row, "method": "joint"}


def _item(
    found: dict[str, Standing | NotRanked], item: str, query: RankingQuery, nearest: Callable[[str], str]
) -> Standing | NotRanked:
    if item not in found:
        where = "" if query.segment_value == "" else f" with {query.segment} {query.segment_value!r}"
        msg = f"the ranking of {query.subject}{where} has no item {item!r}{nearest(item)}"
        raise UnknownItemError(msg)
    return found[item]


def _refusal(left: Standing | NotRanked, right: Standing | NotRanked) -> str | None:
    reasons = [f"{item.item} is not ranked: {item.reason}" for item in (left, right) if isinstance(item, NotRanked)]
    return "; ".join(reasons) or None
