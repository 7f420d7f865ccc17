"""Figures of the evidence page as SVG, from Vega-Lite specifications."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clapometer.domain import InputError

__all__ = ["Spec", "coverage_forest", "estimator_dots", "write_svg"]

Spec = dict[str, Any]
Row = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the grammar; nothing is fetched from there."""
CONFIG: Spec = {"background": "white", "font": "sans-serif", "view": {"stroke": None}}
OURS, OTHERS = "#0b6e4f", "#8a8f98"


def write_svg(spec: Spec, file: Path) -> None:
    """Draws a specification.

    Raises:
        InputError: `vl-convert-python` is not installed.
    """
    try:
        import vl_convert  # noqa: PLC0415 - only whoever writes the page needs it
    except ImportError as error:
        msg = "drawing needs vl-convert-python, one of the development dependencies"
        raise InputError(msg, "report") from error
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")


def coverage_forest(rows: Sequence[Row]) -> Spec:
    """Coverage of the 95 % intervals by scenario with its sampling error, before the band from 93 to 97 %."""
    data = [
        {
            "scenario": row["scenario"],
            "tier": f"tier {row['tier']}",
            "coverage": row["coverage"],
            "low": row["coverage"] - 1.96 * row["coverage_error"],
            "high": min(row["coverage"] + 1.96 * row["coverage_error"], 1.0),
        }
        for row in rows
    ]
    y = {"field": "scenario", "type": "nominal", "sort": None, "title": None}
    colour = {
        "field": "tier",
        "type": "nominal",
        "scale": {"domain": ["tier B", "tier C"], "range": [OURS, "#b3261e"]},
        "title": None,
    }
    x = {
        "type": "quantitative",
        "scale": {"zero": False},
        "axis": {"format": ".0%", "grid": False},
        "title": "coverage of the 95 % intervals, with its own 95 % interval",
    }
    return {
        "$schema": SCHEMA,
        "width": 460,
        "height": {"step": 17},
        "data": {"values": data},
        "layer": [
            {
                "data": {"values": [{"from": 0.93, "to": 0.97}]},
                "mark": {"type": "rect", "color": "#0b6e4f", "opacity": 0.12},
                "encoding": {
                    "x": {"field": "from", **x},
                    "x2": {"field": "to"},
                },
            },
            {
                "mark": {"type": "rule"},
                "encoding": {
                    "y": y,
                    "x": {"field": "low", **x},
                    "x2": {"field": "high"},
                    "color": colour,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 45, "opacity": 1},
                "encoding": {"y": y, "x": {"field": "coverage", **x}, "color": colour},
            },
        ],
        "config": CONFIG,
    }  # fmt: skip


def estimator_dots(rows: Sequence[Row], ours: str) -> Spec:
    """Kendall's tau and coverage of every estimator in one scenario, side by side."""
    data = [{**row, "who": "Clapometer" if row["estimator"] == ours else "others"} for row in rows]
    colour = {
        "field": "who", "type": "nominal", "legend": None,
        "scale": {"domain": ["Clapometer", "others"], "range": [OURS, OTHERS]},
    }  # fmt: skip

    # An estimator without intervals keeps its line.
    names = {"domain": [row["estimator"] for row in rows]}

    def panel(field: str, title: str, labels: bool) -> Spec:
        axis = {"labelLimit": 220}
        y = {"field": "estimator", "type": "nominal", "scale": names, "sort": None, "title": None, "axis": axis}
        return {
            "width": 230,
            "height": {"step": 19},
            "mark": {"type": "bar", "height": 9},
            "encoding": {
                "y": y if labels else y | {"axis": None},
                "x": {"field": field, "type": "quantitative", "title": title, "scale": {"domain": [0, 1]}},
                "color": colour,
            },
        }

    return {
        "$schema": SCHEMA,
        "data": {"values": data},
        "hconcat": [
            panel("tau", "Kendall τ with the truth", True),
            panel("coverage", "coverage of the 95 % interval", False),
        ],
        "config": CONFIG,
    }
