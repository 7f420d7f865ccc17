"""A release decision: what is required of a comparison, and what the data say to it."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from clapometer.domain import Answer, Decision, Requirement, decide
from clapometer.serving.reading.answers import Comparison
from clapometer.serving.reading.queries import Connection, RankingQuery, read_run, rows
from clapometer.serving.wording import number

BOUGHT = "the interval alone would tell, but some viewers that one person could have made up within days carry it"
_ALL_LOOKS, _ONE_LOOK = "the interval that holds at all looks together", "the interval of one look"


@dataclass(frozen=True)
class Required:
    """What was required, and what the data say to it.

    Attributes:
        decision: The answer.
        told: The same for machines.
        sentence: The same for people.
    """

    decision: Decision
    told: dict[str, Any]
    sentence: str


def required(
    connection: Connection, tenant: str, comparison: Comparison, requirement: Requirement, margin: float
) -> Required:
    """Returns whether a comparison meets a requirement, by the interval that holds at all looks where there is one."""
    always = comparison.always_low is not None
    low, high = (
        (comparison.always_low, comparison.always_high) if always else (comparison.low, comparison.high)
    )  # fmt: skip
    wanted = {"better": "better", "not-worse": "not worse"}[requirement] + (f" by {margin:g}" if margin else "")
    told: dict[str, Any] = {"requirement": requirement, "margin": margin, "interval": "always" if always else "once"}
    if comparison.difference is None or low is None or high is None:
        reason = comparison.reason or "there is no interval"
        decision = Decision(Answer.NOT_ENOUGH, margin)
        return Required(
            decision, {**told, "answer": decision.answer, "reason": reason}, _said(wanted, decision, reason)
        )
    ask = partial(
        decide, requirement, margin, difference=comparison.difference, calibrated=comparison.calibrated,
        days=_days(connection, tenant, comparison.run_id),
    )  # fmt: skip
    decision = ask(low=low, high=high)
    up, down = _bought(comparison)
    withheld = ask(low=low - up, high=high + down).answer != decision.answer
    if withheld:
        decision = Decision(Answer.NOT_ENOUGH, decision.least)
    told |= {"low": low, "high": high, "answer": decision.answer, "days_more": decision.days_more, "withheld": withheld}
    reason = BOUGHT if withheld else _reason(decision, comparison.calibrated, always, low, high)
    return Required(decision, told, _said(wanted, decision, reason))


def _bought(comparison: Comparison) -> tuple[float, float]:
    """Returns how far the difference could have been raised and lowered by who was bought."""
    if None in (comparison.low, comparison.high, comparison.bought_low, comparison.bought_high):
        return 0.0, 0.0
    return comparison.low - comparison.bought_low, comparison.bought_high - comparison.high  # type: ignore[operator]


def _reason(decision: Decision, calibrated: bool, always: bool, low: float, high: float) -> str:
    if not calibrated:
        return "the intervals of this ranking are not calibrated, and more days do not mend that; see the notes"
    interval = _ALL_LOOKS if always else _ONE_LOOK
    spelt = f"{number(low, sign=True)} to {number(high, sign=True)}"
    least = number(decision.least, sign=True)
    if decision.answer is Answer.YES:
        return f"{interval}, {spelt}, lies above {least}"
    if decision.answer is Answer.NO:
        return f"{interval}, {spelt}, does not reach beyond {least}"
    more = (
        f"about {decision.days_more:,} more days of this traffic would tell"
        if decision.days_more
        else "the difference is so near to it that no number of days would tell soon"
    )
    return f"{interval}, {spelt}, includes {least}; {more}"


def _said(wanted: str, decision: Decision, reason: str) -> str:
    return f"{wanted}: {decision.answer}; {reason}"


def _days(connection: Connection, tenant: str, run_id: str) -> int | None:
    """Returns on how many days the clips that a run read were shown."""
    run = read_run(connection, tenant, RankingQuery(run=run_id))
    (found,) = rows(connection, "serving/reading/sql/days.sql", tenant=tenant, until=run.started_at)
    return int(found["days"]) or None
