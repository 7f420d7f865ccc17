"""The label of an impression: as SQL over ``outcomes``, and the same in numpy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clapometer.domain import InputError
from clapometer.labels.duration import watch_time, watched_sql
from clapometer.labels.rule import LabelRule
from clapometer.labels.signals import FLAGS, SignalName

__all__ = [
    "fixed_label_sql",
    "label_columns",
    "label_sql",
    "label_values",
    "mature_sql",
    "signal_sql",
    "signal_values",
    "silent_sql",
    "watch_signal_sql",
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


def watch_signal_sql(rule: LabelRule) -> str:
    """Returns the SQL of the watch signal: ``watch_quantile``, or neutral where watching says nothing."""
    neutral = rule.watch.neutral
    return f"CASE WHEN {silent_sql(rule)} THEN {neutral!r} ELSE COALESCE(watch_quantile, {neutral!r}) END"


def silent_sql(rule: LabelRule) -> str:
    """Returns the SQL condition that watching says nothing about the clip: a glance, or no playback was measured."""
    watched = watched_sql(rule.watch)
    unseen = f"({watched} = 0 AND COALESCE(clicked, FALSE))"
    glanced = f"({watched} > 0 AND {watched} < {rule.watch.glance_ms})"
    return f"{glanced} OR {unseen}"


def fixed_label_sql(rule: LabelRule) -> str:
    """Returns the SQL of what does not depend on how long others watch: ``label_sql`` without the watch signal.

    The label is this plus ``scale * weights.watch * watch_signal``, up to the order in which doubles are added. It
    avoids ``CASE`` and decimals, which cost DuckDB more than all the rest.
    """
    weights = rule.weights
    terms: list[str] = []
    if weights.completed:
        reached = f"{watched_sql(rule.watch)} >= {rule.watch.completed_ratio!r} * duration_ms"
        terms.append(f"{_double(weights.completed)} * CAST(COALESCE({reached}, FALSE) AS DOUBLE)")
    terms += [
        f"{_double(weights.of(signal.name))} * CAST(COALESCE({signal.column}, FALSE) AS DOUBLE)"
        for signal in FLAGS
        if weights.of(signal.name)
    ]
    if weights.revenue:
        revenue = f"CASE WHEN currency = '{rule.currency}' THEN COALESCE(revenue, 0.0) ELSE 0.0 END"
        terms.append(f"{_double(weights.revenue)} * ({revenue})")
    return f"{_double(rule.scale)} * ({' + '.join(terms) or '0e0'})"


def _double(value: float) -> str:
    """Returns a literal that SQL reads as a double; without an exponent it were a decimal."""
    return repr(value) if "e" in repr(value) else f"{value!r}e0"


def signal_sql(rule: LabelRule) -> dict[SignalName, str]:
    """Returns the SQL of the value of every signal that has a weight, in the order in which labels add them.

    It reads what `label_sql` reads; no value is NULL.
    """
    weights, terms = rule.weights, dict[SignalName, str]()
    if weights.watch:
        terms["watch"] = watch_signal_sql(rule)
    if weights.completed:
        reached = f"{watched_sql(rule.watch)} >= {rule.watch.completed_ratio!r} * duration_ms"
        terms["completed"] = f"CASE WHEN {reached} THEN 1.0 ELSE 0.0 END"
    for signal in FLAGS:
        if weights.of(signal.name):
            terms[signal.name] = f"CASE WHEN {signal.column} THEN 1.0 ELSE 0.0 END"
    if weights.revenue:
        terms["revenue"] = f"CASE WHEN currency = '{rule.currency}' THEN COALESCE(revenue, 0.0) ELSE 0.0 END"
    return terms


def label_sql(rule: LabelRule) -> str:
    """Returns one SQL expression for the label of a row.

    It reads the columns of ``outcomes``, the clip's ``duration_ms``, and ``watch_quantile`` (DOUBLE, NULL where
    the clip's length is unknown); it is NULL for no row. DuckDB and Spark understand it.
    """
    terms = [f"{rule.weights.of(name)!r} * ({value})" for name, value in signal_sql(rule).items()]
    return f"CAST({rule.scale!r} * ({' + '.join(terms)}) AS DOUBLE)"


def mature_sql(rule: LabelRule, as_of: str = "$as_of") -> str:
    """Returns the SQL condition that every weighted signal of a row has had its time at ``as_of``.

    Args:
        rule: The rule.
        as_of: SQL of the time the labels are made for: the run's snapshot, not the clock.
    """
    if rule.maturity == 0:
        return "TRUE"
    return f"shown_at <= {as_of} - INTERVAL '{round(rule.maturity * 3600)}' SECOND"


def signal_values(rule: LabelRule, columns: Mapping[str, ArrayLike]) -> dict[str, Floats]:
    """Returns the value of every signal that has a weight, in the order in which the SQL adds them.

    Args:
        rule: The rule.
        columns: ``watch_quantile`` and those of `label_columns`, each ``(n,)``; NaN and None count as absent.

    Raises:
        InputError: A column is missing.
    """
    weights, values = rule.weights, {}
    if weights.watch or weights.completed:
        duration = _numbers(columns, "duration_ms")
        # Comparisons with an unknown length are false, as in SQL.
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
    """Returns what `label_sql` computes, for columns in memory; see `signal_values` for them."""
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
