"""The label of an impression, from its columns.

The reference: training reads the same from narrow files, signal by signal, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clapometer.domain import InputError
from clapometer.labels.duration import watch_time
from clapometer.labels.rule import LabelRule
from clapometer.labels.signals import FLAGS

__all__ = [
    "label_columns",
    "label_values",
    "signal_values",
]

Floats = NDArray[np.float64]


def label_columns(rule: LabelRule) -> tuple[str, ...]:
    """Returns the columns that the label needs beside ``watch_quantile``, in order of use."""
    columns: list[str] = []
    if rule.weights.watch or rule.weights.completed:
        columns += ["watched_ms", "total_ms", "duration_ms", "clicked"]
    columns += [signal.column for signal in FLAGS if rule.weights.of(signal.name)]
    if rule.weights.revenue:
        columns += ["revenue", "currency"]
    return tuple(dict.fromkeys(columns))


def signal_values(rule: LabelRule, columns: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    """Returns the value of every signal that has a weight, in the order in which they are added.

    Args:
        rule: The rule.
        columns: ``watch_quantile`` and those of `label_columns`, each ``(n,)``; NaN and None count as absent.

    Raises:
        InputError: A column is missing.
    """
    weights, values = rule.weights, {}
    if weights.watch or weights.completed:
        duration = _numbers(columns, "duration_ms")
        # Comparisons with an unknown length are false.
        watched = watch_time(
            rule.watch,
            _numbers(columns, "watched_ms"),
            _numbers(columns, "total_ms"),
            np.where(duration >= 0, duration, np.inf),
        )
        if weights.watch:
            quantile = _numbers(columns, "watch_quantile")
            silent = ((watched > 0) & (watched < rule.watch.glance_ms)) | (
                (watched == 0) & (_flags(columns, "clicked") > 0)
            )
            values["watch"] = np.where(silent | np.isnan(quantile), rule.watch.neutral, quantile)
        if weights.completed:
            values["completed"] = np.where(watched >= rule.watch.completed_ratio * duration, 1.0, 0.0)
    for signal in FLAGS:
        if weights.of(signal.name):
            values[signal.name] = _flags(columns, signal.column)
    if weights.revenue:
        paid = np.asarray(_column(columns, "currency"), dtype=object) == rule.currency
        values["revenue"] = np.where(paid, np.nan_to_num(_numbers(columns, "revenue")), 0.0)
    return values


def label_values(rule: LabelRule, columns: Mapping[str, ArrayLike]) -> Floats:
    """Returns the label of every row, ``(n,)``; see `signal_values` for the columns."""
    values = signal_values(rule, columns)
    total: Floats = np.sum([getattr(rule.weights, name) * value for name, value in values.items()], axis=0)
    return rule.scale * total


def _column(columns: Mapping[str, ArrayLike], name: str) -> ArrayLike:
    if name not in columns:
        msg = "the label rule needs this column"
        raise InputError(msg, name)
    return columns[name]


def _numbers(columns: Mapping[str, ArrayLike], name: str) -> Floats:
    return np.asarray(_column(columns, name), dtype=np.float64)


def _flags(columns: Mapping[str, ArrayLike], name: str) -> Floats:
    return np.nan_to_num(np.asarray(_column(columns, name), dtype=np.float64))
