"""Sections of the evidence page about prompts, pair labels, label rules, fake accounts and real data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from clapometer.study.page.models import number, percent, table

__all__ = ["labels_section", "prompts_section", "real_section", "screening_section"]

Row = dict[str, Any]

MAIN = "all together"
OURS, OUR_PAIRS = "hierarchical empirical Bayes", "posterior of the clips' values"
RIVALS = ("raw like rate", "Wilson lower bound of likes", "Bayesian average of likes")
ENOUGH = 0.85


def prompts_section(rows: list[Row], assets: Path) -> str:  # noqa: ARG001 - every section is given the folder
    """Prompts and pairs of clips under every confounder."""
    prompts = [row for row in rows if row["subject"] == "prompts"]
    ours = [row for row in prompts if row["estimator"] == OURS]
    pairs = [row for row in rows if row["subject"] == "pairs"]
    main = next(row for row in ours if row["scenario"] == MAIN)
    labels = next(row for row in pairs if row["scenario"] == MAIN and row["estimator"] == OUR_PAIRS)
    least = min(row["worlds"] for row in ours)
    behind = [each for row in ours for each in _behind(row, prompts)]
    promised = [row for row in ours if row["tier"] == "B"]
    labelled = [row for row in pairs if row["tier"] == "B" and row["estimator"] == OUR_PAIRS]
    lines = [
        ("Spearman with the truth", "≥ 0.72", *_measured(main, "spearman", main["spearman"] >= 0.72)),
        ("right among the best 100", "≥ 0.47", *_measured(main, "precision_at_100", main["precision_at_100"] >= 0.47)),
        ("log loss of pair labels", "≤ 0.62", *_measured(labels, "log_loss", labels["log_loss"] <= 0.62)),
        ("calibration slope of pair labels", "0.9 to 1.1", *_measured(labels, "slope", 0.9 <= labels["slope"] <= 1.1)),
        ("calibration error of pair labels", "≤ 0.03", *_measured(labels, "ece", labels["ece"] <= 0.03)),
        (
            "coverage of prompts' 95 % intervals in every tier B scenario", "≥ 93 %",
            *_range(promised, "coverage", percent, 0.93, 1.0),
        ),
        (
            "calibration slope of pair labels in every tier B scenario", "0.9 to 1.1",
            *_range(labelled, "slope", number, 0.9, 1.1),
        ),
        (
            "rank correlation and log loss better than like rate, Wilson, Bayesian average", "in every scenario",
            "in all" if not behind else f"not: {', '.join(behind)}", _met(not behind),
        ),
    ]  # fmt: skip
    return "\n\n".join(
        [
            f"Made by `clapometer study --part prompts` from {main['worlds']} worlds with all confounders and at least "
            f"{least} of every other scenario, the same worlds as above. ± is the standard error over worlds. "
            "The truth of a prompt or clip is integrated over the same viewers for all of them. "
            "Log loss of prompts: of which of two random ones is better; ours says how likely, all others are given "
            "the scale that suits it best on the truth itself. Pair labels: of two clips of one prompt.",
            "### Targets, all confounders together",
            table(("", "target", "measured", ""), lines, words=2),
            "### Prompts, all confounders together",
            _estimators([row for row in prompts if row["scenario"] == MAIN]),
            "### Pair labels, all confounders together",
            _pair_methods([row for row in pairs if row["scenario"] == MAIN]),
            "### Prompts and pair labels under every confounder",
            _scenarios(ours, prompts, {row["scenario"]: row for row in pairs if row["estimator"] == OUR_PAIRS}),
            _weak(ours, [row for row in pairs if row["estimator"] == OUR_PAIRS]),
        ]
    )


def _behind(row: Row, prompts: list[Row]) -> Iterable[str]:
    """Rivals that were as good as ours in one of the two measures, in the scenario of `row`."""
    for rival in prompts:
        if (
            rival["scenario"] == row["scenario"]
            and rival["estimator"] in RIVALS
            and (rival["spearman"] >= row["spearman"] or rival["log_loss"] <= row["log_loss"])
        ):
            yield f"{rival['estimator']} in {row['scenario']}"


def _measured(row: Row, measure: str, holds: bool) -> tuple[str, str]:
    return _with_error(row, measure), _met(holds)


def _range(rows: list[Row], measure: str, shown: Callable[[Any], str], low: float, high: float) -> tuple[str, str]:
    """The least and the largest of a measure with their scenarios, and whether both are between `low` and `high`."""
    least, most = (choose(rows, key=lambda row: float(row[measure])) for choose in (min, max))
    text = " to ".join(f"{shown(row[measure])} ({row['scenario']})" for row in (least, most))
    return text, _met(low <= least[measure] and most[measure] <= high)


def _with_error(row: Row, measure: str, digits: int = 3) -> str:
    error = row.get(f"{measure}_error")
    return number(row[measure], digits) + ("" if error is None else f" ± {error:.{digits}f}")


def _met(holds: bool) -> str:
    return "met" if holds else "**missed**"


def _estimators(rows: list[Row]) -> str:
    lines = [
        (
            f"**{row['estimator']}**" if row["estimator"] == OURS else row["estimator"],
            _with_error(row, "spearman"), number(row["precision_at_100"]), number(row["log_loss"], 3),
            percent(row["coverage"]),
        )
        for row in rows
    ]  # fmt: skip
    return table(("estimator", "Spearman", "right among the best 100", "log loss", "coverage"), lines)


def _pair_methods(rows: list[Row]) -> str:
    lines = [
        (
            f"**{row['estimator']}**" if row["estimator"] == OUR_PAIRS else row["estimator"],
            number(row["log_loss"], 3), number(row["slope"]), number(row["ece"], 3),
        )
        for row in rows
    ]  # fmt: skip
    return table(("label", "log loss", "slope", "calibration error"), lines)


def _scenarios(ours: list[Row], prompts: list[Row], pairs: dict[str, Row]) -> str:
    lines = []
    for row in ours:
        here = [each for each in prompts if each["scenario"] == row["scenario"] and each["estimator"] in RIVALS]
        pair = pairs[row["scenario"]]
        lines.append(
            (
                row["scenario"], row["tier"], row["worlds"], number(row["spearman"]),
                number(max(each["spearman"] for each in here)), number(row["precision_at_100"]),
                number(row["log_loss"]), number(min(each["log_loss"] for each in here)), percent(row["coverage"]),
                number(pair["log_loss"]), number(pair["slope"]), number(pair["ece"], 3),
            )
        )  # fmt: skip
    titles = (
        "scenario", "tier", "worlds", "Spearman", "best rival", "best 100", "log loss", "best rival", "coverage",
        "pairs: log loss", "slope", "calibration error",
    )  # fmt: skip
    return table(titles, lines)


def _weak(ours: list[Row], pairs: list[Row]) -> str:
    """What is not as it should be, in words."""
    low = [
        f"{row['scenario']} {percent(row['coverage'])}" for row in ours if row["tier"] == "B" and row["coverage"] < 0.93
    ]
    off = [
        f"{row['scenario']} (slope {number(row['slope'])}, error {number(row['ece'], 3)})"
        for row in pairs
        if row["tier"] == "B"
        if not 0.9 <= row["slope"] <= 1.1 or row["ece"] > 0.03
    ]
    said = []
    if low:
        said.append("Intervals of prompts are too narrow in: " + "; ".join(low) + ".")
    if off:
        said.append("Pair labels are off their calibration in: " + "; ".join(off) + ".")
    if not said:
        said.append("Nothing is outside its band.")
    said += [
        f"In *{row['scenario']}* (tier C, **not calibrated**, as every label says of itself) the slope of pair labels "
        f"is {number(row['slope'])}, their error {number(row['ece'], 3)}; no promise is made for it."
        for row in pairs
        if row["tier"] == "C"
    ]
    return "\n\n".join(said)


def labels_section(rows: list[Row], assets: Path) -> str:  # noqa: ARG001
    """Label rules by hand and fitted ones."""
    lines = [
        (
            row["rule"], f"{row['anchor']:,}" if row["anchor"] else "–", _with_error(row, "tau", 2),
            number(row["regret"]), number(row["calibration_slope"]),
            ", ".join(f"{name} {weight:.2f}" for name, weight in row["weights"].items()),
        )
        for row in rows
    ]  # fmt: skip
    best = max((row for row in rows if row["anchor"]), key=lambda row: row["tau"])
    enough = [row for row in rows if row["anchor"] and row["tau"] >= ENOUGH]
    fewest = min(enough, key=lambda row: row["anchor"]) if enough else best
    return "\n\n".join(
        [
            f"Made by `clapometer study --part labels` from {rows[0]['worlds']} worlds with all confounders. No "
            "estimator is at work: the ranking of the model versions by the label's own truth is compared with that by "
            "true satisfaction. What is missing to 1 is the label's fault, and no amount of traffic mends it. Votes "
            "are on pairs of clips that were shown at least 30 times, by judges who err.",
            table(("rule", "anchor", "τ", "regret", "slope", "weights (mean)"), lines),
            f"Target: τ ≥ {ENOUGH} with votes or retention. {_met(bool(enough))}, *{fewest['rule']}*: "
            f"{_with_error(fewest, 'tau', 3)}. *slope*: calibration on held-out parts of the anchor, 1 is calibrated. "
            "Returns teach less than votes: the mood of a session moves engagement and return alike.",
        ]
    )


def screening_section(rows: list[Row], assets: Path) -> str:  # noqa: ARG001
    """Fake accounts: those of a shop, and those of adversaries who know the screening."""
    shop = [row for row in rows if row["scenario"].endswith(("fake account", "fake accounts"))]
    known = [row for row in rows if row not in shop]
    lines = [
        (
            row["scenario"], row["worlds"], f"{row['found']:,} of {row['fakes']:,}", percent(row["recall"]),
            f"{row['people_screened']:,} of {row['people']:,}", percent(row["precision"]),
        )
        for row in shop
    ]  # fmt: skip
    holds = all(row["recall"] >= 0.9 and (row["precision"] or 0) >= 0.95 for row in shop)
    titles = ("in a world", "worlds", "found", "recall", "people screened", "precision")
    return (
        "Made by `clapometer study --part screening`: accounts that each like about 150 clips of one mediocre model "
        "version and hardly watch them, among 20,000 viewers.\n\n"
        + table(titles, lines)
        + f"\n\nTarget: recall ≥ 90 % at precision ≥ 95 %: {_met(holds)}."
        + (f"\n\n{_adversaries(known)}" if known else "")
    )


def _adversaries(rows: list[Row]) -> str:
    """What is found of accounts that mimic people, and what they do to the first place."""
    lines = [
        (
            row["scenario"], row["worlds"], *map(percent, (row["recall"], row["precision"], row["recall_known"])),
            *(f"{100 * row[name]:.2f} %" for name in ("impressions_screened", "impressions_wait")),
            percent(row["top_with"]), percent(row["top"]),
            *(percent(row.get(name)) for name in ("claimed", "wrong_by_chance_alone", "wrong")), f"{row['tau']:.2f}",
        )
        for row in rows
    ]  # fmt: skip
    titles = (
        "accounts", "worlds", "recall", "precision", "recall of who knows", "people's impressions screened", "waiting",
        "top kept, unscreened", "top kept", "a first is claimed", "another is claimed, by chance alone",
        "another is claimed", "τ",
    )  # fmt: skip
    fakes = [row for row in rows if row["fakes"]]
    met = [row for row in fakes if row["recall"] >= 0.8 and (row["precision"] or 0) >= 0.95 and row["top"] == 1]
    return (
        "Adversaries who know the screening give 5 % of the traffic, in the demo's world. Their accounts are copies of "
        "people but for their answers to the version that is second. *Who knows* what they do to which version, and "
        "how each viewer answers all else, finds so many of them at a precision of 95 %, viewer by viewer; screening "
        "has their age besides. *Waiting* are impressions of people too new to count yet. *Top kept* is the share of "
        "worlds in which the first place is that without fakes, and τ the agreement with the ranking without them. "
        "A first is *claimed* where it is certain, whatever could have been bought; *by chance alone* is without this "
        "allowance.\n\n"
        + table(titles, lines)
        + f"\n\nTarget: recall ≥ 80 % at precision ≥ 95 %, top kept always: met for {len(met)} of {len(fakes)}."
    )


def real_section(rows: list[Row], assets: Path) -> str:  # noqa: ARG001
    """KuaiRand and GenAI-Bench."""
    lines = [
        (
            row["data"], row["quantity"],
            f"{row['value']:.4g}" + ("" if row["error"] is None else f" ± {row['error']:.2g}"),
            f"{row['n']:,}", row["target"].replace("|", "\\|"), "" if row["met"] is None else _met(row["met"]),
        )
        for row in rows
    ]  # fmt: skip
    return (
        "Made by `clapometer study --part real`. KuaiRand: reactions of real viewers; the label is not allowed to see "
        "them, and its watch quantiles come from other viewers. GenAI-Bench: prompts x models, scored by people; "
        "engagement is then simulated from those scores under a feed that pushes the worst model, and the order has to "
        "come back.\n\n" + table(("data", "quantity", "value", "n", "target", ""), lines, words=2)
    )
