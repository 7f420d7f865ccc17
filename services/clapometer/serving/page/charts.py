"""Vega-Lite specifications of the page's figures. They hold data only as data: no text becomes an expression."""

from collections.abc import Sequence
from typing import Any

from clapometer.domain import Verdict
from clapometer.serving.reading.answers import Hour, Standing
from clapometer.serving.wording import number, percent, places

Spec = dict[str, Any]
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
"""Names the grammar; nothing is fetched from there."""
_SIDES: dict[str, str] = {Verdict.KEEP: "above", Verdict.STOP: "below"}
_ROW = {"step": 30}
_PLACES = {"reverse": True, "zero": False, "nice": False}


def forest(rows: Sequence[Standing], title: str, unit: str) -> Spec:
    """Returns a forest plot: a row per item, its effect in `unit` with interval, and its rank range at the end."""
    data = [
        {
            "name": row.name,
            "order": place,
            "effect": row.effect,
            "low": row.effect_low,
            "high": row.effect_high,
            "ranks": places(row.rank_low, row.rank_high),
            "side": side(row),
            "tip": _tip(row),
        }
        for place, row in enumerate(rows)
        if row.effect is not None
    ]
    y = {
        "field": "order",
        "type": "ordinal",
        "axis": {"title": None, "domain": False, "ticks": False, "labels": False, "grid": False},
    }
    x = {
        "type": "quantitative",
        "title": unit,
        "axis": {"tickCount": 6, "labelOverlap": True},
    }
    colour = {
        "field": "side",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["above", "unclear", "below"], "range": {"name": "sides"}},
    }
    tip = {"field": "tip", "type": "nominal"}
    return _figure(
        f"{title}: effect of each item with its 95 % interval and rank range",
        {
            "height": _ROW,
            "data": {"values": data},
            "encoding": {"y": y},
            "layer": [
                {
                    "data": {"values": [{}]},  # one line, not one per item
                    "mark": {"type": "rule", "style": "zero"},
                    "encoding": {"x": {"datum": 0, "type": "quantitative"}, "y": None},
                },
                {
                    "mark": {"type": "rule", "strokeWidth": 7, "strokeCap": "round", "opacity": 0.32},
                    "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}, "color": colour, "tooltip": tip},
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 85, "opacity": 1},
                    "encoding": {"x": {"field": "effect", **x}, "color": colour, "tooltip": tip},
                },
                {
                    "mark": {
                        "type": "text",
                        "align": "right",
                        "x": -10,
                        "limit": {"name": "names"},
                        "style": "name",
                        "tooltip": None,
                    },
                    "encoding": {"text": {"field": "name", "type": "nominal"}},
                },
                {
                    "mark": {"type": "text", "align": "left", "x": {"expr": "width + 10"}, "style": "ranks"},
                    "encoding": {"text": {"field": "ranks", "type": "nominal"}},
                },
            ],
        },
    )


def slope(rows: Sequence[Standing], title: str) -> Spec:
    """Returns a slope chart: each item's place in our ranking, and the place that the raw completion rate gives it."""
    data = [
        {
            "name": row.name,
            "way": way,
            "place": place,
            "misplaced": "misplaced" if misplaced(row) else "agrees",
            "tip": f"{row.name}: place {row.rank} by effect, {row.completion_rank} by completion rate"
            f" ({percent(row.completion_rate)})",
        }
        for row in rows
        if row.completion_rank is not None
        for way, place in (("this ranking", row.rank), ("completion rate", row.completion_rank))
    ]
    colour = {
        "field": "misplaced",
        "type": "nominal",
        "legend": None,
        "scale": {"domain": ["misplaced", "agrees"], "range": {"name": "agreement"}},
    }
    encoding = {
        "x": {
            "field": "way",
            "type": "nominal",
            "sort": ["this ranking", "completion rate"],
            "axis": {
                "orient": "top",
                "title": None,
                "labelAngle": 0,
                "labelPadding": 16,
                "labelLimit": 120,
                "domain": False,
                "ticks": False,
            },
            "scale": {"range": {"name": "ways"}, "padding": 0},
        },
        "y": {"field": "place", "type": "quantitative", "axis": None, "scale": _PLACES},
        "color": colour,
        "detail": {"field": "name", "type": "nominal"},
        "tooltip": {"field": "tip", "type": "nominal"},
    }
    return _figure(
        f"{title}: place in this ranking against place by raw completion rate",
        {
            "height": max(140, 30 * len({row["name"] for row in data})),
            "data": {"values": data},
            "encoding": encoding,
            "layer": [
                {"mark": {"type": "line", "strokeWidth": 2.5, "opacity": 0.75}},
                {"mark": {"type": "point", "filled": True, "size": 330, "opacity": 1}},
                {
                    "mark": {"type": "text", "style": "place"},
                    "encoding": {"text": {"field": "place", "type": "quantitative"}, "color": None},
                },
                {
                    "transform": [{"filter": {"field": "way", "equal": "this ranking"}}],
                    "mark": {"type": "text", "style": "name", "align": "right", "dx": -16, "limit": {"name": "short"}},
                    "encoding": {"text": {"field": "name", "type": "nominal"}, "color": None},
                },
            ],
        },
    )


def hours(counts: Sequence[Hour]) -> Spec:
    """Returns stacked bars of what became of the events of each hour."""
    data = [
        {
            "hour": hour.hour.isoformat(),
            "events": events,
            "kind": kind,
            "tip": f"{hour.hour:%d %b %H:%M} UTC, {kind}: {events:,}",
        }
        for hour in counts
        for kind, events in (("stored", hour.stored), ("duplicate", hour.duplicates), ("rejected", hour.rejected))
        if events
    ]
    return _figure(
        "Events per hour by what became of them",
        {
            "height": 120,
            "data": {"values": data},
            "mark": {"type": "bar", "cornerRadius": 1},
            "encoding": {
                "x": {
                    "field": "hour",
                    "type": "temporal",
                    "timeUnit": "utcyearmonthdatehours",
                    "title": None,
                    "axis": {"grid": False, "labelOverlap": True, "tickCount": 5},
                },
                "y": {
                    "field": "events",
                    "type": "quantitative",
                    "title": None,
                    "axis": {"tickCount": 3, "format": "~s"},
                },
                "color": {
                    "field": "kind",
                    "type": "nominal",
                    "scale": {"domain": ["stored", "duplicate", "rejected"], "range": {"name": "kinds"}},
                    "legend": {"orient": "top", "title": None},
                },
                "tooltip": {"field": "tip", "type": "nominal"},
            },
        },
    )


def side(row: Standing) -> str:
    """Returns the colour of a verdict: above where it is to keep, below where it is to stop, else unclear."""
    if not row.calibrated:
        return "unclear"
    return _SIDES.get(row.verdict or "", "unclear")


def misplaced(row: Standing) -> bool:
    """Whether the raw completion rate gives an item a place that the data rule out."""
    if not row.calibrated or row.completion_rank is None or row.rank_low is None or row.rank_high is None:
        return False
    return not row.rank_low <= row.completion_rank <= row.rank_high


def _figure(description: str, body: Spec) -> Spec:
    return {"$schema": SCHEMA, "description": description, "autosize": {"type": "fit-x", "contains": "padding"}, **body}


def _tip(row: Standing) -> str:
    interval = f"{number(row.effect_low, sign=True)} to {number(row.effect_high, sign=True)}"
    return f"{row.name}: {number(row.effect, sign=True)} ({interval}), ranks {places(row.rank_low, row.rank_high)}"
