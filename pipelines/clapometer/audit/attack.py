"""What one person with the key of a page can buy: events added to a copy of a run's lake, and the ranking made anew.

Tried, not computed: every event goes through the collector's judgement, the loader, the fold and the training, as
everybody's do. What is closed is knocked at, too, and reported with what the door says.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from clapometer.audit.attack_routes import EACH, ROUTES, Door, Goal, Route, Slot, Visit
from clapometer.audit.findings import Finding, status
from clapometer.audit.rehearsal import rehearse
from clapometer.audit.run import Audited
from clapometer.domain import Verdict
from clapometer.lake.statements import sql
from clapometer.training.boards.rows import Row
from clapometer.training.boards.votes import EVIDENCE
from clapometer.training.reading import UNLIMITED, Resources

__all__ = ["Attacker", "attack_findings"]

_AN_HOUR = 120
"""Impressions that one person answers in an hour."""
_MOST_SLOTS = 100_000
_REFINED = 2
"""How often the gap between too few and enough is halved."""
_CLAIMS = (str(Verdict.KEEP), str(Verdict.STOP))


@dataclass(frozen=True)
class Attacker:
    """Whom a ranking should withstand.

    Attributes:
        door: Where their events come in.
        viewers: How many they make up; ten times as many are tried where these are not enough.
        days: Over how many days.
        resources: What the trials may use.
    """

    door: Door
    viewers: int = 200
    days: int = 3
    resources: Resources = UNLIMITED

    @property
    def most(self) -> int:
        """The most made-up viewers that are tried."""
        return 10 * self.viewers


@dataclass(frozen=True)
class _Standing:
    """What a ranking says.

    Attributes:
        order: Items with a place, best first.
        claimed: Whether it says that the first is better than all others.
        verdicts: By item.
        effects: By item.
    """

    order: list[str]
    claimed: bool
    verdicts: dict[str, str]
    effects: dict[str, float]

    @classmethod
    def of(cls, rows: list[Row], *, by_votes: bool) -> _Standing:
        """Returns that of the ranking of model versions among rows, by votes or by what viewers did."""
        wanted = EVIDENCE if by_votes else "all"
        ranked = [
            row for row in rows if row["subject"] == "model_versions" and row["segment"] == wanted and "rank" in row
        ]
        ranked.sort(key=lambda row: row["rank"])
        claimed = bool(ranked) and ranked[0]["rank_high"] == 1
        names = [row["item"] for row in ranked]
        return cls(
            names,
            claimed,
            {row["item"]: row["verdict"] for row in ranked},
            {row["item"]: row["effect"] for row in ranked},
        )


@dataclass
class _Trials:
    """What a route came to with so many viewers; each number is tried once."""

    audited: Audited
    attacker: Attacker
    route: Route
    goal: Goal
    known: dict[int, _Standing] = field(default_factory=dict)
    weighs: int = 0
    sent: int = 0
    why: str = ""

    def at(self, viewers: int) -> _Standing:
        """Returns the ranking with so many made-up viewers."""
        if viewers not in self.known:
            self.known[viewers] = self._tried(viewers)
        return self.known[viewers]

    def _tried(self, viewers: int) -> _Standing:
        attacker, blocks = self.attacker, []
        end = _newest(self.audited)
        begin, step = end - dt.timedelta(days=attacker.days), dt.timedelta(days=attacker.days) / viewers
        self.sent = self.weighs = 0
        for viewer in range(viewers):
            when = begin + viewer * step
            events = list(self.route.events(Visit(attacker.door, self.goal, viewer, when)))
            for entry in attacker.door.send(events, when + dt.timedelta(minutes=EACH)):
                blocks.append(entry.block)
                self.weighs += entry.weighs
                self.why = self.why or entry.why
            self.sent += len(events)
        rows = rehearse(self.audited.lake, self.audited.run, blocks, attacker.resources)
        return _Standing.of(rows, by_votes=self.route.by_votes)


def attack_findings(audited: Audited, attacker: Attacker, routes: Sequence[Route] = ROUTES) -> Iterator[Finding]:
    """Yields for each route how few made-up viewers put another model version first, and buy a verdict."""
    rows = rehearse(audited.lake, audited.run, [], attacker.resources)
    for route in routes:
        before = _Standing.of(rows, by_votes=route.by_votes)
        order = before.order or _Standing.of(rows, by_votes=False).order
        if len(order) < 2:
            yield Finding(
                check="attack", subject=route.name, status="skipped",
                found="nothing to attack: fewer than two model versions have a place",
            )  # fmt: skip
            continue
        yield _finding(audited, attacker, route, before, order)


def _finding(audited: Audited, attacker: Attacker, route: Route, before: _Standing, order: list[str]) -> Finding:
    trials = _Trials(audited, attacker, route, _goal(audited, order[1], order[0]))
    if before == trials.at(attacker.viewers):
        return _closed(trials)
    to_lead = _fewest(lambda viewers: trials.at(viewers).order[:1] != before.order[:1], attacker)
    praised = next((item for item in order if before.verdicts.get(item) != Verdict.KEEP), order[1])
    if praised != trials.goal.helped:
        other = order[0] if praised != order[0] else order[1]
        trials = _Trials(audited, attacker, route, _goal(audited, praised, other))
    to_claim = _fewest(lambda viewers: bool(_claims(before, trials.at(viewers))), attacker)
    bought = _claims(before, trials.at(to_claim)) if to_claim else []
    sold = [
        what
        for what, viewers, matters in (("the top", to_lead, before.claimed), ("a verdict", to_claim, True))
        if matters and viewers is not None and viewers <= attacker.viewers
    ]
    top = "" if before.claimed else " (which the ranking does not claim to be better than the next)"
    events = trials.sent / max(trials.known) if trials.known else 0.0
    return Finding(
        check="attack", subject=route.name, status=status(bool(sold)),
        found=f"{route.who}: the top{top} is turned by {_some(to_lead, attacker)}, a verdict by "
        f"{_some(to_claim, attacker)}" + (f" ({'; '.join(bought)})" if bought else ""),
        advice=f"{' and '.join(sold)} can be bought: {route.advice}" if sold else "",
        numbers={
            "viewers": to_lead, "impressions": _times(to_lead, EACH), "hours": _times(to_lead, EACH / _AN_HOUR),
            "viewers_for_verdict": to_claim, "impressions_for_verdict": _times(to_claim, EACH),
            "hours_for_verdict": _times(to_claim, EACH / _AN_HOUR), "events_of_a_viewer": round(events, 1),
            "claimed": int(before.claimed), "most": attacker.most,
        },
    )  # fmt: skip


def _closed(trials: _Trials) -> Finding:
    """Returns the finding on a route by which nothing moves."""
    if trials.weighs < trials.sent:
        why = f"of {trials.sent:,} events {trials.sent - trials.weighs:,} count for nothing: {trials.why}"
    else:
        why = f"{trials.sent:,} events were taken, and no ranking is made of them"
    return Finding(
        check="attack", subject=trials.route.name, status="passed", found=f"{trials.route.who}: no effect: {why}",
        numbers={"viewers": None, "viewers_for_verdict": None, "events": trials.sent, "weighed": trials.weighs},
    )  # fmt: skip


def _claims(before: _Standing, after: _Standing) -> list[str]:
    """Returns the verdicts that are there after and were not before."""
    return [
        f"{item}: {said}"
        for item, said in after.verdicts.items()
        if said in _CLAIMS and before.verdicts.get(item) != said
    ]


def _fewest(enough: Callable[[int], bool], attacker: Attacker) -> int | None:
    """Returns about how few are enough, where more are enough as well; None where the most are not."""
    low, high = 0, attacker.viewers
    if not enough(high):
        low, high = high, attacker.most
        if not enough(high):
            return None
    for _ in range(_REFINED):
        middle = (low + high) // 2
        if middle > low:
            low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _goal(audited: Audited, helped: str, hurt: str) -> Goal:
    given = {"tenant": audited.run.tenant, "models": [helped, hurt], "most": _MOST_SLOTS}
    return Goal(helped, hurt, [Slot(*row) for row in audited.con.execute(sql("audit/sql/slots.sql"), given).fetchall()])


def _newest(audited: Audited) -> dt.datetime:
    """Returns the time of the latest impression that is mature."""
    run = audited.run
    mature = run.as_of - dt.timedelta(hours=run.rule.maturity)
    query = "SELECT max(shown_at) FROM outcomes WHERE tenant = $tenant AND shown_at <= $mature"
    found: dt.datetime | None = audited.con.execute(query, {"tenant": run.tenant, "mature": mature}).fetchall()[0][0]
    return found or mature


def _times(viewers: int | None, factor: float) -> float | None:
    return None if viewers is None else viewers * factor


def _some(viewers: int | None, attacker: Attacker) -> str:
    if viewers is None:
        return f"not even {attacker.most:,} viewers"
    shown = viewers * EACH
    return f"{viewers:,} viewers with {shown:,} impressions ({shown / _AN_HOUR:,.1f} hours of one person)"
