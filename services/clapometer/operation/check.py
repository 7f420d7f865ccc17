"""What one look of ``clapometer doctor`` found."""

from typing import Literal

import msgspec

Status = Literal["ok", "warning", "error"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at.

    Attributes:
        part: Of the system.
        status: ok, warning (works, not for long) or error.
        found: What was found.
        advice: What to do; empty where nothing is.
    """

    part: str
    status: Status
    found: str
    advice: str = ""
