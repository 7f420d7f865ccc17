"""Sections of the evidence page about rankings of model versions, from the rows of `clapometer study`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from clapometer.study.page.charts import coverage_forest, estimator_dots, write_svg

__all__ = ["looks_section", "models_section", "table"]

Row = dict[str, Any]

OURS = "clip AIPW + prompt effects"
MAIN = "all together"
BAND = (0.93, 0.97)


def table(titles: Sequence[str], lines: Iterable[Sequence[object]], words: int = 1) -> str:
    """A Markdown table; all but the first `words` columns are numbers."""
    head = ["| " + " | ".join(titles) + " |"]
    head.append("|" + "|".join(" --- " if place < words else " ---: " for place in range(len(titles))) + "|")
    return "\n".join([*head, *("| " + " | ".join(map(str, line)) + " |" for line in lines)])


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash for what an estimator does not say."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in per cent."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def models_section(rows: list[Row], assets: Path) -> str:
    """Every estimator of the ranking of model versions under every confounder."""
    ours = [row for row in rows if row["estimator"] == OURS]
    main = [row for row in rows if row["scenario"] == MAIN]
    write_svg(coverage_forest(ours), assets / "evidence-coverage.svg")
    write_svg(estimator_dots(main, OURS), assets / "evidence-estimators.svg")
    worlds = sorted({row["worlds"] for row in ours})
    size = f"{worlds[0]}" if len(worlds) == 1 else f"{worlds[0]} to {worlds[-1]}"
    parts = [
        f"Made by `clapometer study` from {size} worlds a scenario ({sum(row['worlds'] for row in ours):,} in all). "
        "A world has 12 model versions; in those with all confounders they are tried on "
        f"{main[0]['prompts']:,} prompts and shown {main[0]['impressions']:,} times (and fake accounts on top), in "
        "those with one or none on half as many. The truth is computed from the world, never from its log. All numbers "
        "in units of the standard deviation of the truth; the estimators do not see the seeds.",
        "### Targets",
        _targets(ours),
        "### All confounders together",
        "![Kendall's tau and coverage of every estimator](../assets/evidence-estimators.svg)",
        _estimators(main),
        "*bias*: mean absolute mean error of a model version over worlds; *regret*: what is lost by taking the first; "
        "*width*: of the 95 % interval; *seconds*: CPU time from sufficient statistics to ranking. "
        "An estimator on another scale (a like rate, Elo points) is stretched by the factor that suits it best.",
        "### Coverage under every confounder",
        "![Coverage by scenario](../assets/evidence-coverage.svg)",
        _scenarios(ours),
        "### Tier C: how wrong it can be",
        _tier_c(ours),
        "### Every estimator under every confounder",
        _matrix(rows, "tau", "Kendall τ with the truth"),
        _matrix(rows, "coverage", "Coverage of the 95 % interval"),
        *_details(rows),
    ]
    return "\n\n".join(parts)


def _targets(ours: list[Row]) -> str:
    main = next(row for row in ours if row["scenario"] == MAIN)
    tier_b = [row for row in ours if row["tier"] == "B"]
    outside = [row for row in tier_b if not BAND[0] <= row["coverage"] <= BAND[1]]
    ends = (pick(tier_b, key=lambda row: row["coverage"]) for pick in (min, max))
    band = " to ".join(f"{percent(row['coverage'])} ({row['scenario']})" for row in ends)
    lines = [
        ("Kendall τ, all together", "≥ 0.85", number(main["tau"], 3), _met(main["tau"] >= 0.85)),
        ("top-1 right, all together", "≥ 85 %", percent(main["top1"]), _met(main["top1"] >= 0.85)),
        ("coverage in every tier B scenario", "93 to 97 %", band, _met(not outside)),
        ("mean width, all together", "≤ 1.00", number(main["width"]), _met(main["width"] <= 1.0)),
    ]
    text = table(("", "target", "measured", ""), lines)
    if outside:
        text += "\n\nOutside the band: " + "; ".join(_outside(row) for row in outside) + "."
    return text


def _outside(row: Row) -> str:
    away = max(BAND[0] - row["coverage"], row["coverage"] - BAND[1]) / max(row["coverage_error"], 1e-9)
    return f"{row['scenario']} {_coverage(row)} ({away:.1f} standard errors from it)"


def _coverage(row: Row) -> str:
    return f"{percent(row['coverage'])} ± {percent(row['coverage_error'])}"


def _met(holds: bool) -> str:
    return "met" if holds else "**missed**"


def _estimators(rows: list[Row]) -> str:
    lines = [
        (
            f"**{row['estimator']}**" if row["estimator"] == OURS else row["estimator"],
            number(row["bias"]), number(row["tau"]), percent(row["top1"], 0), number(row["regret"]),
            percent(row["coverage"]), number(row["width"]), number(row["seconds"], 3),
        )
        for row in rows
    ]  # fmt: skip
    return table(("estimator", "bias", "τ", "top-1", "regret", "coverage", "width", "seconds"), lines)


def _scenarios(ours: list[Row]) -> str:
    lines = [
        (
            row["scenario"], row["tier"], row["worlds"], number(row["tau"]), percent(row["top1"], 0),
            number(row["regret"]), number(row["bias"]), _coverage(row), number(row["width"]), number(row["worst"]),
        )
        for row in ours
    ]  # fmt: skip
    titles = ("scenario", "tier", "worlds", "τ", "top-1", "regret", "bias", "coverage", "width", "largest error")
    return table(titles, lines)


def _tier_c(ours: list[Row]) -> str:
    texts = [
        f"In *{row['scenario']}* nothing can be corrected for. The same estimator then covers "
        f"{percent(row['coverage'])} instead of 95 % and puts the right one first in {percent(row['top1'], 0)} of the "
        f"worlds. Its largest error of any model version in any world was {number(row['worst'])} standard deviations "
        f"of the truth (bias {number(row['bias'])}): a middling version can look like the best. So such a ranking is "
        "marked tier C, **not calibrated**, has no verdicts, and no promise is made for it."
        for row in ours
        if row["tier"] == "C"
    ]
    return "\n\n".join(texts) or "No scenario of tier C has been run."


def _matrix(rows: list[Row], field: str, title: str) -> str:
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    found = {(row["scenario"], row["estimator"]): row[field] for row in rows}
    scenarios = dict.fromkeys(row["scenario"] for row in rows)
    lines = [(scenario, *(number(found.get((scenario, name))) for name in names)) for scenario in scenarios]
    return f"**{title}**\n\n" + table(("scenario", *names), lines)


def _details(rows: list[Row]) -> Iterable[str]:
    for scenario in dict.fromkeys(row["scenario"] for row in rows):
        here = [row for row in rows if row["scenario"] == scenario]
        summary = f"<summary>{scenario} ({here[0]['worlds']} worlds)</summary>"
        yield f"<details>{summary}\n\n{_estimators(here)}\n\n</details>"


def looks_section(rows: list[Row], assets: Path) -> str:  # noqa: ARG001 - every section is given the folder
    """Looking every day: false claims among names of the same version."""
    always = next(row for row in rows if row["intervals"] == "always valid")
    titles = ("intervals", "told equals apart at some look", "at the last look", "missed a truth at some look", "width")
    lines = [
        (
            row["intervals"], f"{percent(row['type1'])} ± {percent(row['type1_error'])}",
            percent(row["type1_at_the_end"]), percent(row["missed"]), number(row["width"]),
        )
        for row in rows
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"Made by `clapometer study --part looks` from {always['worlds']} worlds. Every model version goes by two "
            f"names, so any difference between the two is a false claim. All confounders are on; {always['prompts']} "
            f"prompts, {always['impressions']:,} impressions. The estimator is fitted again on each of "
            f"{always['looks']} days to all that is mature by then; {always['ranked_looks']:.0f} of the days had "
            "enough to rank a pair, on average.",
            table(titles, lines),
            f"Target: at most 5 % with the always-valid intervals: {_met(always['type1'] <= 0.05)}. They are "
            "`always_low` and `always_high` of `contrasts` and of `/v1/compare`, and a line of `clapometer compare`.",
        ]
    )
