"""The section of the evidence page about worlds outside our own, from `clapometer study --part outside`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clapometer.study.page.models import number, percent, table

__all__ = ["outside_section"]

Row = dict[str, Any]
_BAND = (0.93, 0.97)
_FALSE, _FALSE_ALWAYS, _LOST = 0.06, 0.05, 0.02


def outside_section(rows: list[Row], assets: Path) -> str:  # noqa: ARG001 - every section is given the folder
    """What is claimed of equals, and coverage of old and late versions, in the second family of worlds."""
    equals = [row for row in rows if row["false_claims"] is not None]
    others = [row for row in rows if row["false_claims"] is None]
    return "\n\n".join(
        [
            f"Made by `clapometer study --part outside` from {min(row['worlds'] for row in rows)} worlds a row, seeds "
            "from 1000 on. Reactions are Poisson counts, effects multiply, and nothing in these worlds has the form of "
            "an estimator. The chain is that of `clapometer train`. *Tier C*: worlds whose log is not believed.",
            "Two names of one version, one of them launched later: every claim is false.",
            table(("world", "told apart", "by always-valid intervals", "error", "width", "tier C"), _equals(equals)),
            table(
                ("world", "coverage", "of late versions", "τ", "wrong order claimed", "width", "tier C"),
                _others(others),
            ),
            "\n".join(f"- {line}" for line in _targets(rows, equals, others)),
        ]
    )


def _equals(rows: list[Row]) -> list[tuple[object, ...]]:
    return [
        (
            row["scenario"], percent(row["false_claims"]), percent(row["false_claims_always"]), number(row["error"], 3),
            number(row["width"]), percent(row["tier_c"]),
        )
        for row in rows
    ]  # fmt: skip


def _others(rows: list[Row]) -> list[tuple[object, ...]]:
    return [
        (
            row["scenario"], f"{percent(row['coverage'])} ± {percent(row['coverage_error'])}",
            percent(row["coverage_late"]), number(row["tau"]), percent(row["wrong_claims"]), number(row["width"]),
            percent(row["tier_c"]),
        )
        for row in rows
    ]  # fmt: skip


def _targets(rows: list[Row], equals: list[Row], others: list[Row]) -> list[str]:
    """What was asked, and which rows miss it."""
    believed = [row for row in others if row["tier"] == "B"]
    asked = [
        (f"At most {_FALSE:.0%} told apart", [row for row in equals if row["false_claims"] > _FALSE]),
        (
            f"At most {_FALSE_ALWAYS:.0%} by always-valid intervals",
            [row for row in equals if row["false_claims_always"] > _FALSE_ALWAYS],
        ),
        (
            f"Coverage {_BAND[0]:.0%} to {_BAND[1]:.0%}, or above",
            [row for row in believed if row["coverage"] < _BAND[0]],
        ),
        (
            f"Tier C in at most {_LOST:.0%} of right logs, in all false ones",
            [row for row in rows if (row["tier_c"] < 1 if row["tier"] == "C" else row["tier_c"] > _LOST)],
        ),
    ]
    return [
        f"{what}: " + (f"**missed** by {', '.join(row['scenario'] for row in missed)}" if missed else "met")
        for what, missed in asked
    ]
