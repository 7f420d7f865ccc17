"""What numbers mean, in plain words: the same on the page, in the API and on the terminal."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clapometer.domain import MEANINGS, Exclusion

_TIERS = {
    "A": "Tier A: people compared these directly, by votes or creators' choices.",
    "B": "Tier B: exposure was randomised and logged, so these intervals answer for what viewers were shown.",
    "C": "Tier C: no logged exposure; these intervals are not calibrated. So the places that the data allow, and the "
    "chances of being the best, are not known: the order is no more than a guess.",
}
COST = "cost far beyond all other"
SET_ASIDE: dict[str, str] = {
    Exclusion.UNTRUSTED: "sent by a browser without a token that `POST /v1/slates` signed for it",
    Exclusion.UNREGISTERED: "`PUT /v1/clips/{id}` was not called for the clip",
    Exclusion.WITHDRAWN: "the clip was taken down",
    Exclusion.AD: "the clip is an advertisement",
    Exclusion.WATERMARK: "the clip has a watermark",
    Exclusion.REPOST: "the clip is a copy of another one",
    Exclusion.OWN_VIEW: "the viewer made the clip",
    Exclusion.TOO_RECENT: "viewers may still answer it: the next run counts it",
    **dict.fromkeys(
        (
            Exclusion.BLIND,
            Exclusion.EVERYTHING,
            Exclusion.ROUND_THE_CLOCK,
            Exclusion.RATE,
            Exclusion.LOCKSTEP,
        ),
        "no person watches like that",
    ),
    Exclusion.COHORT: "accounts that came together and react alike count for nothing",
    Exclusion.NEW: "the viewer was first seen days ago: later runs count it",
    "engagement without impression": "events that answer an impression which nobody sent",
    Exclusion.OUTSIDE: "its date is far from all other traffic: look at the clock of its sender",
    Exclusion.UNLIKELY: "no slot can have been filled with so small a chance",
    "vote that does not quote the tokens of its impressions": "whoever knows two ids could have sent it",
    "vote on an untrusted impression": "nobody vouches for both impressions, by a secret key or a token",
    "vote on impressions of two viewers": "a vote compares two clips that the voter was shown",
    "vote of a viewer that is no person": "the viewer was screened out",
    "vote that a later one of the same viewer replaced": "of a viewer and a pair of clips the latest vote counts",
    "vote of the creator of a clip": "the voter made one of the two",
    "vote on a clip that is not registered": "`PUT /v1/clips/{id}` was not called for one of the two",
    "vote on clips of two prompts, or on one clip": "only clips of one prompt can be compared",
    "vote on a clip that does not count": "one of the two was taken down, or is an advertisement",
    Exclusion.UNPAID: "more than ten times as much as any other impression earned, "
    "or 1.5 times where the label rule weighs revenue",
    COST: "the clips count, but not what they are said to have cost: `FROM excluded_costs` lists them",
}
"""What the reasons of a run mean; a reason that is not here is shown as it stands."""
_CLEAR_MAJORITY = 2 / 3
"""A currency of fewer is told to be one that few events could change."""
_NOT_CALIBRATED = "Not calibrated: these intervals may be too narrow."


def tier_notes(tier: str | None, *, calibrated: bool, reason: str | None = None) -> list[str]:
    """Returns what a reader must know of a ranking of this tier; the run says for what ``reason`` it is C."""
    notes = [_TIERS[tier]] if tier in _TIERS else []
    if reason and tier == "C":
        notes.append(f"Why tier C: {reason}.")
    if not calibrated and tier != "C":
        notes.append(_NOT_CALIBRATED)
    return notes


def money_notes(row: Mapping[str, Any]) -> list[str]:
    """Returns what a reader must know of the currencies of a ranking, by any row of it: what they leave out."""
    revenue = _currency_notes("Revenue", row["currency"], row["currency_share"], "impressions that sold")
    cost = _currency_notes("Cost", row["cost_currency"], row["cost_currency_share"], "clips of known cost")
    return revenue + cost


def _currency_notes(what: str, currency: str | None, share: float | None, of: str) -> list[str]:
    if currency is None or share is None or share == 1:
        return []
    known = percent(min(share, 0.999))  # never all
    told = f"{what} is told in {currency}, the currency of {known} of the {of}; the others are left out."
    if share >= _CLEAR_MAJORITY:
        return [told]
    return [f"{told} That is no clear majority: a few more in another currency, and it is told in that one."]


@dataclass(frozen=True)
class Terms:
    """What a ranking rests on and what its numbers are, for people.

    Attributes:
        question: What it answers.
        effect: Heading of the effect, and ``unit`` what it is measured in.
        value: Heading of the value.
        counts: What is counted: the name of the column, and of the field.
    """

    question: str
    effect: str
    unit: str
    value: str
    counts: str
    by_votes: bool = False


_ENGAGEMENT = Terms(
    question="What viewers prefer", effect="Effect", unit="effect: label units per impression, against the mean item",
    value="Value", counts="impressions",
)  # fmt: skip
_VOTES = Terms(
    question="What people said when they compared two clips", effect="Strength",
    unit="strength: log-odds to win a vote against the average item", value="Chance to win", counts="votes",
    by_votes=True,
)  # fmt: skip


def terms(segment: str) -> Terms:
    """Returns the words of the rankings of a segment."""
    return _VOTES if segment == "evidence" else _ENGAGEMENT


def set_aside(excluded: object, *, votes: bool) -> list[tuple[int, str, str]]:
    """Returns what a run left out, most first: how many, the reason, and what that means where it is one of ours.

    Args:
        excluded: The run's counts by reason.
        votes: Those of votes, rather than of impressions.
    """
    counts = excluded if isinstance(excluded, dict) else {}
    found = [(n, reason) for reason, n in counts.items() if isinstance(n, int) and n and votes == _is_vote(reason)]
    return [(n, reason, SET_ASIDE.get(reason, "")) for n, reason in sorted(found, key=lambda one: (-one[0], one[1]))]


def things(reason: str) -> str:
    """Returns what a reason leaves out: votes, impressions, or costs of clips that count."""
    return "votes" if _is_vote(reason) else "costs" if reason == COST else "impressions"


def _is_vote(reason: str) -> bool:
    return reason.startswith("vote ")


def withheld(verdict: str | None, viewers: int | None) -> str:
    """Returns why a verdict is not given that the interval alone would give; nothing where none is withheld."""
    if verdict is None:
        return ""
    return f"{verdict} is withheld: could be bought by {counted(viewers, 'viewers') if viewers else 'few viewers'}"


def meaning(verdict: str) -> str:
    """Returns what a verdict says; nothing where it is none of ours."""
    return next((text for known, text in MEANINGS.items() if known == verdict), "")


def ago(time: dt.datetime | None, now: dt.datetime) -> str:
    """Returns how long ago something was, such as ``3 minutes ago``."""
    if time is None:
        return "never"
    return f"{span((now - time).total_seconds())} ago"


def span(seconds: float) -> str:
    """Returns a duration in its largest unit, rounded down."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            n = int(seconds // size)
            return f"{n} {unit}{'s' if n > 1 else ''}"
    n = max(0, int(seconds))
    return f"{n} second{'' if n == 1 else 's'}"


def number(value: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """Returns a number for people; a dash where it is unknown."""
    if value is None:
        return "–"
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    # The minus sign is as wide as the plus sign, a hyphen is not.
    return text.replace("-", "−")


def percent(value: float | None, digits: int = 1) -> str:
    """Returns a ratio in per cent; a dash where it is unknown."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def count(value: int | None) -> str:
    """Returns a count with its thousands apart; a dash where it is unknown."""
    return "–" if value is None else f"{value:,}"


def counted(value: int, things: str) -> str:
    """Returns a count of things, whose name ends in s for all but one, such as ``1 vote``."""
    return f"{count(value)} {things.removesuffix('s') if value == 1 else things}"


def places(low: int | None, high: int | None) -> str:
    """Returns a rank range, such as ``2–4``."""
    if low is None or high is None:
        return "–"
    return str(low) if low == high else f"{low}–{high}"
