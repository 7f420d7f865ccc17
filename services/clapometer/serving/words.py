"""What numbers mean, in plain words: the same on the page, in the API and on the terminal."""

import datetime as dt

from clapometer.domain import MEANINGS

_TIERS = {
    "A": "Tier A: people compared these directly, by votes or creators' choices.",
    "B": "Tier B: exposure was randomised and logged, so these intervals answer for what viewers were shown.",
    "C": "Tier C: no logged exposure; these intervals are not calibrated.",
}
_NOT_CALIBRATED = "Not calibrated: these intervals may be too narrow."


def tier_notes(tier: str | None, *, calibrated: bool, parameters: object = None) -> list[str]:
    """Returns what a reader must know of a ranking of this tier; the run's ``parameters`` say why it is C."""
    notes = [_TIERS[tier]] if tier in _TIERS else []
    reason = parameters.get("tier_reason") if isinstance(parameters, dict) and tier == "C" else None
    if reason:
        notes.append(f"Why tier C: {reason}.")
    if not calibrated and tier != "C":
        notes.append(_NOT_CALIBRATED)
    return notes


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
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def places(low: int | None, high: int | None) -> str:
    """Returns a rank range, such as ``2–4``."""
    if low is None or high is None:
        return "–"
    return str(low) if low == high else f"{low}–{high}"
