"""Fitting a label rule to an anchor in the lake: votes, viewers who come back, purchases."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.folding.fold import Progress, refresh_outcomes, silent
from clapometer.labels import (
    DEFAULT_RULE,
    SIGNALS,
    FittedRule,
    LabelRule,
    SignalName,
    fit_to_outcome,
    fit_to_votes,
    voter_weights,
)
from clapometer.lake.lock import no_training
from clapometer.lake.tables import Lake
from clapometer.training.evidence.clips import Clips
from clapometer.training.evidence.evidence import Evidence
from clapometer.training.evidence.heard import Heard, hear
from clapometer.training.label_rules.anchors import clip_means, purchases, returns
from clapometer.training.reading import Resources, reading

__all__ = ["ANCHORS", "AnchorName", "AnchorOptions", "fit_rule"]

Floats = NDArray[np.float64]
AnchorName = Literal["votes", "retention", "purchases"]
ANCHORS: tuple[AnchorName, ...] = ("votes", "retention", "purchases")

MOST_ROWS = 200_000
"""Rows of an anchor that are fitted to; of more, a share of the viewers is taken."""
_ANSWERS: tuple[SignalName, ...] = ("click", "visual_search", "add_to_cart", "purchase", "revenue")
"""The way to a purchase: a rule fitted to purchases by them would learn the shape of the shop, and keeps theirs."""


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
        TrainingLockedError: A training, an erasure or another fit is under way; try again.
    """
    with no_training(lake):  # an erasure must not be half done where outcomes are folded, or read
        refresh_outcomes(lake, threads=threads, memory_limit=memory_limit, progress=progress)
        resources = Resources(threads, memory_limit)
        with reading(lake, tenant, (rule, as_of), resources=resources, progress=progress) as read:
            summary = read.evidence.summary
            if not summary.counted:
                reasons = ", ".join(f"{count:,} {reason}" for reason, count in summary.excluded.items())
                msg = f"no impression counts, so there is nothing to fit ({reasons or 'none was received'})"
                raise InputError(msg, "anchor")
            progress("fit", 0, 1)
            if anchor == "votes":
                return _fit_votes(read.evidence, hear(read.con, read.clips, tenant), read.clips, rule, options)
            return _fit_outcome(read.evidence, anchor, rule, options)


def _signals(rule: LabelRule) -> tuple[SignalName, ...]:
    """Returns the signals that have a weight."""
    return tuple(signal.name for signal in SIGNALS if rule.weights.of(signal.name))


def _fit_votes(evidence: Evidence, heard: Heard, clips: Clips, rule: LabelRule, options: AnchorOptions) -> FittedRule:
    signals = _signals(rule)
    shown, means = clip_means(evidence, signals, clips.unit)
    said, voted = heard.said, heard.voted
    assert said.voter is not None
    left, right = said.left, said.right
    known = voted & (np.minimum(shown[left], shown[right]) >= options.min_impressions)
    if voted.any() and not known.any():
        most = int(np.minimum(shown[left], shown[right])[voted].max())
        msg = (
            f"no vote is about two clips with {options.min_impressions} impressions each (at most {most}): "
            "ask for votes on clips that were shown more, or lower --min-impressions"
        )
        raise InputError(msg, "anchor")
    left, right = left[known], right[known]
    return fit_to_votes(
        rule, signals, means[left] - means[right], said.result[known],
        group=clips.prompt.index[left], weight=voter_weights(said.voter[known]), strength=options.strength,
    )  # fmt: skip


def _fit_outcome(evidence: Evidence, anchor: AnchorName, rule: LabelRule, options: AnchorOptions) -> FittedRule:
    one_in = max(1, -(-evidence.summary.counted // MOST_ROWS))
    signals = tuple(name for name in _signals(rule) if anchor != "purchases" or name not in _ANSWERS)
    if anchor == "retention":
        rows, what = returns(evidence, signals, one_in, options.within_days), "viewer-days"
    else:
        rows, what = purchases(evidence, signals, one_in), "impressions"
    return fit_to_outcome(
        rule, signals, rows.signals, rows.happened, group=rows.viewer, strength=options.strength,
        what=f"{what}, {anchor}",
    )  # fmt: skip
