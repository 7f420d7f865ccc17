"""Label rules: versioned weights that turn what an impression came to into one number.

``label = scale * sum(weight * signal)``. The watch signal is the impression's place among those of clips of
the same length (:mod:`clapometer.labels.duration`), so that long clips are not punished for being long.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from clapometer.domain import InputError
from clapometer.labels.signals import EXPLICIT_SIGNALS, SIGNALS, SignalName

__all__ = ["DEFAULT_RULE", "LabelRule", "Watch", "Weights", "decode_rule", "encode_rule", "implicit_part", "rule_toml"]

Weight = Annotated[float, Meta(ge=-1e6, le=1e6)]
Hours = Annotated[float, Meta(ge=0, le=24 * 366)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(min_length=1, max_length=100)]
_AT = re.compile(r" - at `(?:key` in `)?\$\.?([^`]*)`$")


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings shared by every part of a rule: closed and immutable."""


class Weights(_Part, frozen=True):
    """What each signal is worth, in likes. ``revenue`` is per unit of the rule's currency."""

    watch: Weight = 0.25
    completed: Weight = 0.0
    like: Weight = 1.0
    save: Weight = 1.5
    share: Weight = 1.5
    comment: Weight = 0.5
    follow: Weight = 1.5
    dislike: Weight = -1.0
    hide: Weight = -1.0
    not_interested: Weight = -1.0
    report: Weight = -2.0
    click: Weight = 0.05
    visual_search: Weight = 0.5
    add_to_cart: Weight = 1.5
    purchase: Weight = 3.0
    revenue: Weight = 0.0

    def of(self, name: SignalName) -> float:
        """Returns the weight of one signal."""
        weight: float = getattr(self, name)
        return weight


class Watch(_Part, frozen=True):
    """How watching is read.

    Attributes:
        measure: ``total`` counts loops, up to ``max_plays`` times the clip's length; ``unique`` does not.
        max_plays: A clip left looping on a table stops counting here.
        glance_ms: A clip that was on screen for less than this says nothing about itself: the viewer may not
            have looked. 0 turns this off. (Advertising counts a video as seen from 2 s on: MRC/IAB, Viewable
            Ad Impression Measurement Guidelines, 2014.)
        neutral: Watch signal of such an impression, and of one that was clicked but for which no playback was
            measured; 0.5 is the mean of all others.
        completed_ratio: Share of the clip's length from which ``completed`` holds.
        min_impressions: Impressions of about the same length that a watch quantile rests on, at least;
            neighbouring lengths are taken in until there are as many.
    """

    measure: Literal["total", "unique"] = "total"
    max_plays: Annotated[float, Meta(ge=1, le=100)] = 2.0
    glance_ms: Annotated[int, Meta(ge=0, le=60_000)] = 1_500
    neutral: Ratio = 0.5
    completed_ratio: Annotated[float, Meta(gt=0, le=1)] = 0.95
    min_impressions: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000


class LabelRule(_Part, frozen=True):
    """A named and versioned way of reading engagement.

    Attributes:
        name: Its name; name and version are recorded with every ranking.
        version: Raised whenever anything below changes.
        weights: What each signal is worth.
        watch: How watching is read.
        maturity_hours: Per signal, the hours after which one that has not come is counted as not coming.
            Impressions younger than the longest window of a weighted signal are left out as immature.
        scale: Factor on the whole label.
        currency: Revenue in other currencies counts 0.
        anchor: What the weights were fitted to, for the record; empty for weights chosen by hand.
    """

    name: Name
    version: Annotated[int, Meta(ge=1)]
    weights: Weights = Weights()
    watch: Watch = Watch()
    maturity_hours: dict[SignalName, Hours] = {}
    scale: Annotated[float, Meta(gt=0, le=1e6)] = 1.0
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")] | None = None
    anchor: Annotated[str, Meta(max_length=1_000)] = ""

    def __post_init__(self) -> None:
        if all(self.weights.of(signal.name) == 0 for signal in SIGNALS):
            msg = "every weight is 0; give at least one signal a weight"
            raise ValueError(msg)
        if self.weights.revenue and self.currency is None:
            msg = "a weight for revenue needs `currency`, an ISO 4217 code such as EUR"
            raise ValueError(msg)

    @property
    def id(self) -> str:
        """Name and version, such as ``default@1``."""
        return f"{self.name}@{self.version}"

    @property
    def by_watching(self) -> bool:
        """Whether nothing but watching counts, for how long or to the end."""
        return all(self.weights.of(signal.name) == 0 for signal in SIGNALS if signal.name not in {"watch", "completed"})

    @property
    def maturity(self) -> float:
        """Hours until every signal that has a weight has had its time."""
        windows = [hours for name, hours in self.maturity_hours.items() if self.weights.of(name)]
        return max(windows, default=0.0)


DEFAULT_RULE = LabelRule(name="default", version=1)
"""Hand-tuned weights; fit them to an anchor (:mod:`clapometer.labels.fit`) where there is one."""


def decode_rule(source: str | Mapping[str, Any]) -> LabelRule:
    """Returns the rule that a TOML text, or the mapping parsed from one, describes.

    Raises:
        InputError: Names the field and the fix; unknown keys are refused.

    Example:
        >>> rule = decode_rule({"name": "likes", "version": 2, "weights": {"like": 1.0, "watch": 0.0}})
        >>> rule.id
        'likes@2'
    """
    if isinstance(source, str):
        try:
            source = tomllib.loads(source)
        except tomllib.TOMLDecodeError as error:
            msg = f"not TOML: {error}"
            raise InputError(msg) from error
    _refuse_non_finite(source, "")
    try:
        return msgspec.convert(source, LabelRule)
    except msgspec.ValidationError as error:
        raise _explain(error) from error


def encode_rule(rule: LabelRule) -> str:
    """Returns the rule as JSON with every field, for run records; `decode_rule` of its mapping gives it back."""
    return msgspec.json.encode(rule, order="deterministic").decode()


def rule_toml(rule: LabelRule) -> str:
    """Returns the rule as TOML with every field that is set; `decode_rule` of it gives the rule back."""
    plain: dict[str, Any] = msgspec.to_builtins(rule)
    tables = {name: value for name, value in plain.items() if isinstance(value, dict)}
    lines = [f"{name} = {_toml(value)}" for name, value in plain.items() if name not in tables and value is not None]
    for name, table in tables.items():
        if table:
            lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: str | float) -> str:
    """A number or a text; JSON's escapes are TOML's but for DEL, which TOML wants escaped."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def implicit_part(rule: LabelRule) -> LabelRule:
    """Returns the rule without explicit reactions: what watching and buying alone say."""
    weights = msgspec.structs.replace(rule.weights, **dict.fromkeys(EXPLICIT_SIGNALS, 0.0))
    return msgspec.structs.replace(rule, name=f"{rule.name}-implicit", weights=weights)


def _refuse_non_finite(value: object, path: str) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_non_finite(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, float) and not math.isfinite(value):
        msg = "must be a finite number"
        raise InputError(msg, path)


def _explain(error: msgspec.ValidationError) -> InputError:
    text = str(error)
    found = _AT.search(text)
    field, reason = (found.group(1), text[: found.start()]) if found else ("", text)
    for prefix, advice in (
        ("Object contains unknown field ", "unknown key; remove it or correct its name"),
        ("Object missing required field ", "required key is missing; add it"),
    ):
        if reason.startswith(prefix):
            name = reason.removeprefix(prefix).strip("`")
            return InputError(advice, f"{field}.{name}" if field else name)
    return InputError(reason, field)
