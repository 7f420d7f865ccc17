"""What viewers do with a clip, as chances: the part of the simulator that log and truth share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clapometer.simulation.config import WorldConfig

__all__ = ["SIGNALS", "Seen", "examination", "return_chance", "signal_chances"]

Floats = NDArray[np.float64]

SIGNALS = ("complete", "like", "save", "share", "dislike")
"""Order of the rows of `signal_chances` and of label weights."""

UNATTENDED = 0.3
"""Chance that a clip nobody looks at runs to its end on an autoplay surface."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Who sees what, one entry per impression, ``(n,)`` each.

    Attributes:
        appeal: Log-odds of the viewer being satisfied with the clip: the truth.
        leniency: How easily the viewer reacts.
        mood: Of the session.
        hook: Clickbait of the clip.
        log_duration: Logarithm of the duration over its typical value.
        shift: Calendar day and novelty.
        position: 0 is the top.
        surface: 0 or 1.
    """

    appeal: Floats
    leniency: Floats
    mood: Floats
    hook: Floats
    log_duration: Floats
    shift: Floats
    position: Floats
    surface: Floats


def examination(config: WorldConfig, position: Floats, surface: Floats) -> Floats:
    """Chance that the viewer looks at the slot at all."""
    second = surface == 1
    base = np.where(second & config.surface, 0.75, 0.95)
    steepness = np.where(second & config.surface, 0.22, 0.10) if config.position else np.zeros(len(base))
    seen: Floats = base / (1.0 + steepness * position)
    return seen


def signal_chances(config: WorldConfig, seen: Seen) -> Floats:
    """Chance of each signal per impression, examination included, ``(5, n)`` in the order of `SIGNALS`."""
    appeal, leniency, mood, hook = seen.appeal + seen.shift, seen.leniency, seen.mood, seen.hook
    slower = 0.9 * seen.log_duration if config.duration else 0.0
    looked = examination(config, seen.position, seen.surface)
    chances = np.stack(
        [
            expit(0.25 + appeal + 0.25 * leniency + 0.3 * mood + 0.7 * hook - slower),
            expit(-1.9 + 1.1 * appeal + leniency + 0.6 * mood + 0.25 * hook),
            expit(-3.0 + 1.2 * appeal + 0.9 * leniency + 0.5 * mood),
            expit(-3.6 + 1.1 * appeal + 0.9 * leniency + 0.5 * mood + 0.3 * hook),
            expit(-4.0 - 1.3 * appeal - 0.3 * leniency - 0.4 * mood + 0.6 * hook),
        ]
    )
    chances *= looked
    if config.autoplay:
        chances[0] += (1 - looked) * UNATTENDED * (seen.surface == 1)
    return chances


def return_chance(seen: Seen) -> Floats:
    """Chance that the viewer comes back tomorrow: moved by satisfaction, hurt by clickbait."""
    satisfied = expit(seen.appeal) - 0.5
    back: Floats = expit(-0.4 + 2.4 * satisfied + 0.6 * seen.mood + 0.25 * seen.leniency - 0.15 * seen.hook)
    return back
