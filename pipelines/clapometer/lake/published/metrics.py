"""The metric catalogue: every number that views show, defined once, in ``metrics.toml``.

A metric of an impression is one SQL expression over a row. All others are ratios of two sums, so that sums of
disjoint sets add up and a share of a share never has to be averaged.
"""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Level = Literal["impression", "group", "clip", "creator"]
SOURCES: dict[Level, str] = {
    "impression": "measures", "group": "counted_measures", "clip": "priced_clips", "creator": "creator_actions",
}  # fmt: skip
"""The view that a metric of each level is computed over."""


class Metric(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A versioned definition; it never changes under its id.

    Attributes:
        id: Name and version, such as ``completion.v1``.
        name: Its column.
        level: Of what it is a number.
        direction: Whether more is better.
        unit: Of its values.
        title: What it says, in a line.
        source: Where the definition is from.
        sql: Of an impression's metric: the expression.
        numerator: Of any other: what is summed; a condition that is counted where the unit is a share.
        denominator: The condition of the rows that it is a ratio of.
        scale: Factor on the ratio.
    """

    id: Annotated[str, Meta(pattern=r"^[a-z0-9_.]+\.v[0-9]+\Z")]
    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*\Z")]
    level: Level
    direction: Literal["up", "down", "none"]
    unit: str
    title: str
    source: str
    sql: str = ""
    numerator: str = ""
    denominator: str = ""
    scale: float = 1

    @property
    def total(self) -> str:
        """SQL of the sum above the line."""
        return f"count(*) FILTER ({self.numerator})" if self.unit == "share" else f"sum({self.numerator})"

    @property
    def base(self) -> str:
        """SQL of the sum below the line."""
        return "count(*)" if self.denominator == "true" else f"count(*) FILTER ({self.denominator})"

    @property
    def expression(self) -> str:
        """SQL of the metric: of a row, or an aggregate over rows; NULL where there is nothing to divide by."""
        return self.sql or self._ratio(self.total, self.base)

    @property
    def ratio_of_sums(self) -> str:
        """SQL of the metric over rows that hold the sums of `sums`."""
        return self._ratio(f"sum({self.name}_total)", f"sum({self.name}_base)")

    @property
    def sums(self) -> str:
        """SQL of two columns that add up over disjoint groups."""
        return f"{self.total} AS {self.name}_total, {self.base} AS {self.name}_base"

    def _ratio(self, total: str, base: str) -> str:
        scale = f"{self.scale:g} * " if self.scale != 1 else ""
        return f"{scale}{total} / nullif({base}, 0)"


@cache
def catalogue() -> tuple[Metric, ...]:
    """Returns every metric, in the order of the file."""
    text = (files("clapometer.lake.published") / "metrics.toml").read_text(encoding="utf-8")
    return tuple(msgspec.convert(tomllib.loads(text)["metric"], list[Metric]))


def of_level(level: Level) -> list[Metric]:
    """Returns the metrics of a level."""
    return [metric for metric in catalogue() if metric.level == level]


def named(names: Iterable[str]) -> list[Metric]:
    """Returns metrics by the names of their columns."""
    by_name = {metric.name: metric for metric in catalogue()}
    return [by_name[name] for name in names]
