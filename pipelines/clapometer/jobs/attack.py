"""What it takes to buy the first place: made-up viewers in a copy of a run's outcomes, and the ranking made anew.

Simulated, not computed: their outcomes go through screening, outliers' limits and all estimators as everybody's do. The
viewers mimic people: each has few impressions, praises not all of what it should help, and watches what it praises.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clapometer.jobs.audited import Audited, fit_again
from clapometer.jobs.findings import Finding, status
from clapometer.jobs.impressions import Impressions
from clapometer.jobs.kept import drop_kept
from clapometer.labels import ScreeningLimits
from clapometer.lake import sql
from clapometer.ranking import Ranked

__all__ = ["attack_findings"]

FEWEST_BOUGHT = 20
"""A top that fewer made-up viewers buy is for sale."""
_EACH, _AN_HOUR = 50, 120
"""Impressions of a made-up viewer, and how many of them one person answers in an hour."""
_FIRST, _REFINED = 5, 2
"""Viewers to begin with, which are doubled, and how often the gap between too few and enough is halved."""


@dataclass(frozen=True)
class _Route:
    """A way in.

    Attributes:
        name: Of the finding.
        who: Who can take it.
        chosen: Whether they show what clips they like, or answer what they are given.
        trust: Of their impressions.
        advice: What closes it.
    """

    name: str
    who: str
    chosen: bool
    trust: str
    advice: str


_ROUTES = (
    _Route(
        "slots that are given", "made-up viewers with tokens, who answer what a slate gives them", False, "token",
        "ask for slates only for viewers whom your platform vouches for, and rate them by viewer and address",
    ),
    _Route(
        "slots of their choice", "whoever has a secret key, or a feed of its own", True, "key",
        "take impressions from POST /v1/slates only, and keep secret keys on servers",
    ),
    _Route("without a token", "whoever copies the key from a page", True, "none", ""),
)  # fmt: skip


def attack_findings(audited: Audited) -> Iterator[Finding]:
    """Yields for each route how few made-up viewers put the second model version first, and make it win.

    From then on other viewers are screened: nothing may be read from the audited impressions afterwards.
    """
    if audited.fitted.fit is None:
        reason = audited.fitted.scores.reason or "fewer than two model versions have a place"
        yield Finding(check="attack", status="skipped", found=f"nothing to attack: {reason}")
        return
    first, second = audited.fitted.order[:2]
    with tempfile.TemporaryDirectory(prefix="clapometer-attack-") as folder:
        for route in _ROUTES:
            copy = _Copy(audited, route, Path(folder), audited.name(first), audited.name(second))
            yield _finding(audited, route, copy)


def _finding(audited: Audited, route: _Route, copy: _Copy) -> Finding:
    most = max(audited.fitted.scored.counted // _EACH, 1)
    to_lead = _fewest(copy.leads, most)
    to_win = None if to_lead is None else _fewest(copy.wins, most, at_least=to_lead)
    cheap = to_lead is not None and to_lead < FEWEST_BOUGHT
    return Finding(
        check="attack", subject=route.name, status=status(cheap),
        found=f"{route.who}: {_some(to_lead, most)} put {copy.rival} first, {_some(to_win, most)} have it kept",
        advice=route.advice if cheap else "",
        numbers={
            "viewers": to_lead, "impressions": _times(to_lead, _EACH), "hours": _times(to_lead, _EACH / _AN_HOUR),
            "viewers_to_win": to_win, "most": most,
        },
    )  # fmt: skip


def _times(viewers: int | None, factor: float) -> float | None:
    return None if viewers is None else viewers * factor


def _some(viewers: int | None, most: int) -> str:
    if viewers is None:
        return f"not even {most:,} viewers"
    shown = viewers * _EACH
    return f"{viewers:,} viewers with {shown:,} impressions ({shown / _AN_HOUR:,.0f} hours of one person)"


def _fewest(enough: Callable[[int], bool], most: int, *, at_least: int = _FIRST) -> int | None:
    """Returns about how few are enough, where more are enough as well; None where `most` are not."""
    low, high = 0, min(at_least, most)
    while not enough(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    for _ in range(_REFINED if low else 0):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


class _Copy:
    """A run's outcomes with those of made-up viewers, and what its ranking would be.

    Args:
        audited: The run.
        route: How they get in.
        folder: For their outcomes.
        leader: The model version that is first.
        rival: The one that is to be.
    """

    def __init__(self, audited: Audited, route: _Route, folder: Path, leader: str, rival: str) -> None:
        self._audited, self._route, self._folder, self._leader, self.rival = audited, route, folder, leader, rival
        self._known: dict[int, tuple[bool, bool]] = {}
        self._day = int(max(file.day for file in audited.impressions.files if len(file)))

    def leads(self, viewers: int) -> bool:
        """Returns whether the rival is first with so many made-up viewers."""
        return self._outcome(viewers)[0]

    def wins(self, viewers: int) -> bool:
        """Returns whether the ranking claims then that it is."""
        return self._outcome(viewers)[1]

    def _outcome(self, viewers: int) -> tuple[bool, bool]:
        if viewers not in self._known:
            self._known[viewers] = self._tried(viewers)
        return self._known[viewers]

    def _tried(self, viewers: int) -> tuple[bool, bool]:
        audited, run = self._audited, self._audited.run
        path = self._made_up(viewers)
        try:
            impressions = Impressions(
                audited.con, audited.lake, run.tenant, (run.rule, run.as_of), run.snapshot["outcomes"], more=[path]
            )
            limits = ScreeningLimits() if run.parameters.screen_viewers else None
            fitted = fit_again(audited.con, run, audited.clips, impressions, limits)
        finally:
            drop_kept(audited.lake, [path])
            path.unlink()
        if fitted.fit is None or fitted.scored.tier != audited.fitted.scored.tier:
            return False, False
        top = fitted.fit.ranking()[0]
        first = isinstance(top, Ranked) and audited.clips.model.names[top.item] == self.rival
        return first, first and isinstance(top, Ranked) and top.rank_range[1] == 1

    def _made_up(self, viewers: int) -> Path:
        """Returns the file of the outcomes of so many viewers."""
        run = self._audited.run
        day = np.datetime64("1970-01-01") + self._audited.fitted.scored.first_day + self._day
        name = f"attack-{self._route.name.replace(' ', '-')}-{viewers}-{run.run_id}"
        path = self._folder / f"shown_date={day}" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        given = {
            "tenant": run.tenant, "viewers": viewers, "each": _EACH, "rival": self.rival, "leader": self._leader,
            "chosen": self._route.chosen, "trust": self._route.trust, "day": str(day),
        }  # fmt: skip
        query = f"COPY ({sql('audit_attack')}) TO '{path}' (FORMAT parquet)"
        self._audited.con.execute(query, given)
        return path
