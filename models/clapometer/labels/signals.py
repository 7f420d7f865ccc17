"""What a viewer can do with a clip, and the column of ``outcomes`` that says whether they did."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["EXPLICIT_SIGNALS", "FLAGS", "SIGNALS", "Signal", "SignalName"]

SignalName = Literal[
    "watch", "completed", "like", "save", "share", "comment", "follow", "dislike", "hide", "not_interested", "report",
    "click", "visual_search", "add_to_cart", "purchase", "revenue",
]  # fmt: skip


class Signal(NamedTuple):
    """One signal of a label rule.

    Attributes:
        name: Its name in a rule.
        column: Column of ``outcomes``; empty for signals computed from several.
        explicit: Whether it is a reaction, something the viewer said, rather than watching or buying.
    """

    name: SignalName
    column: str
    explicit: bool


SIGNALS: tuple[Signal, ...] = (
    Signal("watch", "", False),
    Signal("completed", "", False),
    Signal("like", "liked", True),
    Signal("save", "saved", True),
    Signal("share", "shared", True),
    Signal("comment", "commented", True),
    Signal("follow", "followed", True),
    Signal("dislike", "disliked", True),
    Signal("hide", "hidden", True),
    Signal("not_interested", "not_interested", True),
    Signal("report", "reported", True),
    Signal("click", "clicked", False),
    Signal("visual_search", "visual_searched", False),
    Signal("add_to_cart", "carted", False),
    Signal("purchase", "purchased", False),
    Signal("revenue", "", False),
)
"""Every signal, in the order in which labels add them up."""

FLAGS = tuple(signal for signal in SIGNALS if signal.column)
"""The signals that are a yes or no in a column of ``outcomes``."""

EXPLICIT_SIGNALS = tuple(signal.name for signal in SIGNALS if signal.explicit)
