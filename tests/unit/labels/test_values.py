"""The label of an impression: undone, absent and unknown count nothing."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from clapometer.domain import InputError
from clapometer.labels import (
    DEFAULT_RULE,
    FLAGS,
    LabelRule,
    decode_rule,
    implicit_part,
    label_columns,
    label_values,
    signal_values,
)

RULES = [
    DEFAULT_RULE,
    implicit_part(DEFAULT_RULE),
    decode_rule("name = 'a'\nversion = 1\nscale = 2.5\n[weights]\ncompleted = 0.7\nwatch = 0\nlike = -0.25"),
    decode_rule("name = 'b'\nversion = 1\ncurrency = 'EUR'\n[weights]\nrevenue = 0.03\n[watch]\nmeasure = 'unique'"),
    decode_rule("name = 'c'\nversion = 1\n[watch]\nglance_ms = 0\nneutral = 0.3"),
]


def rows(n: int, seed: int = 0) -> pa.Table:
    """Returns outcomes with everything that may be missing missing somewhere."""
    rng = np.random.default_rng(seed)

    def some(values: np.ndarray, share: float = 0.15) -> pa.Array:
        return pa.array(values, mask=rng.random(n) < share)

    watched = rng.integers(0, 4_000, n)
    columns: dict[str, Any] = {signal.column: some(rng.random(n) < 0.3) for signal in FLAGS}
    return pa.table(
        columns
        | {
            "watched_ms": some(watched),
            "total_ms": some(watched + rng.integers(0, 9_000, n) * (rng.random(n) < 0.3)),
            "duration_ms": some(rng.integers(1_000, 9_000, n)),
            "watch_quantile": some(rng.random(n)),
            "revenue": some(rng.random(n) * 50),
            "currency": some(rng.choice(["EUR", "USD"], n)),
        }
    )


def in_memory(table: pa.Table) -> dict[str, np.ndarray]:
    """Returns the columns with NaN (numbers) or None (text) for NULL."""
    return {
        name: np.array(table[name].to_pylist(), dtype=object if name == "currency" else float)
        for name in table.column_names
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_named_columns_are_enough(rule: LabelRule) -> None:
    table = rows(10).select([*label_columns(rule), "watch_quantile"])
    assert np.isfinite(label_values(rule, in_memory(table))).all()


def test_a_missing_column_is_named() -> None:
    columns = in_memory(rows(3))
    del columns["saved"]
    with pytest.raises(InputError, match="saved"):
        label_values(DEFAULT_RULE, columns)


def one(**values: Any) -> dict[str, np.ndarray]:
    columns = {signal.column: np.array([0.0]) for signal in FLAGS}
    columns |= {"watched_ms": np.array([3_000.0]), "total_ms": np.array([3_000.0])}
    columns |= {"duration_ms": np.array([6_000.0]), "watch_quantile": np.array([0.2])}
    return columns | {name: np.array([value]) for name, value in values.items()}


def test_signals_add_up_with_their_weights() -> None:
    weights = DEFAULT_RULE.weights
    label = label_values(DEFAULT_RULE, one(liked=1.0, saved=1.0, hidden=1.0))
    assert label == pytest.approx([0.2 * weights.watch + weights.like + weights.save + weights.hide])


@pytest.mark.parametrize(
    ("values", "signal"),
    [
        ({}, 0.2),
        ({"watched_ms": 900.0, "total_ms": 900.0}, 0.5),
        ({"watched_ms": 900.0, "total_ms": 4_000.0}, 0.2),
        ({"watched_ms": 0.0, "total_ms": 0.0}, 0.2),
        ({"watched_ms": 0.0, "total_ms": 0.0, "clicked": 1.0}, 0.5),
        ({"watched_ms": np.nan, "total_ms": np.nan}, 0.2),
        ({"watch_quantile": np.nan}, 0.5),
    ],
    ids=["watched", "glance", "looped", "not started", "clicked, not measured", "nothing sent", "unknown length"],
)
def test_a_glance_and_an_unmeasured_playback_say_nothing(values: dict[str, float], signal: float) -> None:
    assert signal_values(DEFAULT_RULE, one(**values))["watch"] == pytest.approx([signal])
