"""What counts: the one definition of why an outcome does not, from which Python and SQL read."""

from __future__ import annotations

from enum import StrEnum

VOUCHED = ("key", "token")
"""Trust of the impressions that somebody vouches for: a secret key sent them, or a token that a slate handed out."""


class Exclusion(StrEnum):
    """Why an outcome does not count in a run; of several reasons the first is given."""

    UNTRUSTED = "untrusted impression"
    UNREGISTERED = "clip not registered"
    WITHDRAWN = "clip withdrawn"
    AD = "advertisement"
    WATERMARK = "watermark"
    REPOST = "repost"
    OWN_VIEW = "creator's own view"
    TOO_RECENT = "too recent"
    BLIND = "viewer reacts to clips it did not watch"
    EVERYTHING = "viewer reacts to nearly everything it is shown"
    ROUND_THE_CLOCK = "viewer is active at all hours, day after day"
    RATE = "viewer sees more clips an hour than a person can"
    LOCKSTEP = "viewer reacts to the same clips as a group of other accounts"
    COHORT = "viewer came with others who react to a model version as nobody else does"
    NEW = "viewer is too new to be known"
    OUTSIDE = "outside the days of the run"
    UNLIKELY = "propensity below what exploration allows"
    UNPAID = "revenue far beyond all other"

    @property
    def number(self) -> int:
        """Its place, from 1: 0 is of an outcome that counts."""
        return 1 + list(Exclusion).index(self)


BY_NUMBER: tuple[Exclusion | None, ...] = (None, *Exclusion)
"""The reasons by their numbers."""
