"""Fitting a label rule to an anchor in the lake: votes, viewers who come back, purchases."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.jobs.clips import Clips, load_clips, numbers
from clapometer.jobs.outcomes import Progress, refresh_outcomes, silent
from clapometer.jobs.statistics import score_outcomes, screen
from clapometer.labels import DEFAULT_RULE, FittedRule, LabelRule, SignalName, fit_to_outcome, fit_to_votes, signal_sql
from clapometer.lake import Lake, sql
from clapometer.ranking import sum_by

__all__ = ["ANCHORS", "AnchorName", "AnchorOptions", "fit_rule"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
AnchorName = Literal["votes", "retention", "purchases"]
ANCHORS: tuple[AnchorName, ...] = ("votes", "retention", "purchases")

MOST_ROWS = 200_000
"""Rows of an anchor that are fitted to; of more, a share of the viewers is taken."""
_ANSWERS: tuple[SignalName, ...] = ("click", "visual_search", "add_to_cart", "purchase", "revenue")
"""The way to a purchase: a rule fitted to purchases by them would learn the shape of the shop, and keeps theirs."""
_WHOLE = 1_048_576


@dataclass(frozen=True)
class AnchorOptions:
    """How an anchor is read.

    Attributes:
        min_impressions: Votes count where both clips have as many impressions: weights fitted to clips of which
            little is known lean towards whatever is measured with least noise.
        within_days: A viewer has come back when seen again within as many days.
        strength: Rows of the anchor that the starting rule is worth.
    """

    min_impressions: int = 30
    within_days: int = 1
    strength: float = 60.0


def fit_rule(
    lake: Lake,
    anchor: AnchorName,
    rule: LabelRule = DEFAULT_RULE,
    *,
    as_of: dt.datetime,
    tenant: str = "default",
    options: AnchorOptions = AnchorOptions(),
    threads: int | None = None,
    memory_limit: str | None = None,
    progress: Progress = silent,
) -> FittedRule:
    """Returns the rule fitted to an anchor in the lake, and how well it calibrates on what was held out.

    Signals without a weight in the starting rule stay out.

    Args:
        lake: The lake; its outcomes are brought up to date.
        anchor: What to fit to.
        rule: Where to start from.
        as_of: Outcomes are mature or not as of this time.
        tenant: Whose.
        options: How the anchor is read.
        threads: For DuckDB.
        memory_limit: For DuckDB.
        progress: Is told stages and how far they are.

    Raises:
        InputError: There is no such anchor, too little of it, or it says nothing.
    """
    refresh_outcomes(lake, threads=threads, memory_limit=memory_limit, progress=progress)
    with lake.connect(threads=threads, memory_limit=memory_limit) as con:
        progress("statistics", 0, 1)
        clips = load_clips(con, tenant)
        scored = score_outcomes(con, tenant, _reading(rule, anchor), as_of, automated=screen(con, tenant), signals=True)
        if not scored.counted:
            reasons = ", ".join(f"{count:,} {reason}" for reason, count in scored.excluded.items())
            msg = f"no impression counts, so there is nothing to fit ({reasons or 'none was received'})"
            raise InputError(msg, "anchor")
        progress("fit", 0, 1)
        if anchor == "votes":
            return _fit_votes(con, clips, rule, tenant, options)
        return _fit_outcome(con, anchor, rule, options)


def _reading(rule: LabelRule, anchor: AnchorName) -> LabelRule:
    """The rule that decides which columns are read: purchases are, whatever they weigh."""
    if anchor != "purchases" or rule.weights.purchase:
        return rule
    return msgspec.structs.replace(rule, weights=msgspec.structs.replace(rule.weights, purchase=1.0))


def _fit_votes(
    con: duckdb.DuckDBPyConnection, clips: Clips, rule: LabelRule, tenant: str, options: AnchorOptions
) -> FittedRule:
    signals = signal_sql(rule)
    sums = ", ".join(f'sum(round(({value}) * {_WHOLE})) / {_WHOLE} AS "{name}"' for name, value in signals.items())
    table = con.sql(sql("anchor_clips").replace("{sums}", sums)).to_arrow_table()
    unit, n = clips.unit[numbers(table["clip"])], len(clips)
    shown, looked = (sum_by(unit, _floats(table, name), n) for name in ("impressions", "looked"))
    means = np.stack([sum_by(unit, _floats(table, name), n) for name in signals], axis=1)
    means /= np.maximum(looked, 1e-9)[:, None]
    said = con.sql(sql("train_said"), params={"tenant": tenant}).to_arrow_table()
    voted = np.array(said["evidence"].to_pylist(), object) == "vote"
    left, right = clips.unit[numbers(said["left_clip"])], clips.unit[numbers(said["right_clip"])]
    known = voted & (left != right) & (np.minimum(shown[left], shown[right]) >= options.min_impressions)
    if voted.any() and not known.any():
        most = int(np.minimum(shown[left], shown[right])[voted].max())
        msg = (
            f"no vote is about two clips with {options.min_impressions} impressions each (at most {most}): "
            "ask for votes on clips that were shown more, or lower --min-impressions"
        )
        raise InputError(msg, "anchor")
    left, right = left[known], right[known]
    return fit_to_votes(
        rule, tuple(signals), means[left] - means[right], _floats(said, "result")[known],
        group=clips.prompt.index[left], strength=options.strength,
    )  # fmt: skip


def _fit_outcome(
    con: duckdb.DuckDBPyConnection, anchor: AnchorName, rule: LabelRule, options: AnchorOptions
) -> FittedRule:
    signals = {name: value for name, value in signal_sql(rule).items() if anchor != "purchases" or name not in _ANSWERS}
    rows = con.execute("SELECT count(*) FROM labelled").fetchall()[0][0]
    given: dict[str, object] = {"one_in": max(1, -(-int(rows) // MOST_ROWS))}
    if anchor == "retention":
        means = ", ".join(
            f'sum(round(({value}) * {_WHOLE})) / {_WHOLE} / count(*) AS "{name}"' for name, value in signals.items()
        )
        query, given = sql("anchor_returns").replace("{means}", means), given | {"within": options.within_days}
    else:
        query = sql("anchor_purchases").replace("{values}", ", ".join(f'{v} AS "{n}"' for n, v in signals.items()))
    table = con.sql(query, params=given).to_arrow_table()
    what = "viewer-days" if anchor == "retention" else "impressions"
    return fit_to_outcome(
        rule, tuple(signals), np.stack([_floats(table, name) for name in signals], axis=1), _floats(table, "happened"),
        group=_viewers(table), strength=options.strength, what=f"{what}, {anchor}",
    )  # fmt: skip


def _viewers(table: pa.Table) -> Ints:
    codes: Ints = np.unique(table["viewer"].combine_chunks().to_numpy(zero_copy_only=False), return_inverse=True)[1]
    return codes


def _floats(table: pa.Table, name: str) -> Floats:
    column: Floats = table[name].combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)
    return column
