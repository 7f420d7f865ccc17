"""Versions that came lately: whether a launch is told from its days, and whether intervals hold for equals."""

import random
from pathlib import Path

import numpy as np
import pytest
from tests.support.event_rows import Row, answer, at, clip, impression
from tests.support.lakes import clock, lake_of

from clapometer.audit.audit import AuditOptions, audit
from clapometer.audit.findings import Finding
from clapometer.ranking import ClipAIPW, ClipCells, ClipTable, PromptFixedEffects, as_launched
from clapometer.training.train import train_once

DAYS, PROMPTS, A_DAY = 8, 40, 250


def equals(launch: int) -> list[Row]:
    """Returns two names of one version shown by chance, of which the second came on day `launch`."""
    rng = random.Random(launch)
    came = {"old": 0, "new": launch}
    rows = [
        clip(f"{name}-{prompt}", f"p{prompt}", name, at(days=day - (not day)))
        for name, day in came.items()
        for prompt in range(PROMPTS)
    ]
    for day in range(DAYS):
        there = [f"{name}-{prompt}" for name in came if came[name] <= day for prompt in range(PROMPTS)]
        for n in range(A_DAY):
            about, shown, time = f"i{day}-{n}", rng.choice(there), at(days=day, seconds=1 + n)
            rows.append(
                impression(
                    about, shown, time, explored=True, surface="feed", position=0, viewer_id=f"v{rng.randrange(200)}",
                    propensity=1 / len(there), candidates=len(there),
                )
            )  # fmt: skip
            if rng.random() < 0.2:
                rows.append(answer("reacted", about, f"r{about}", time, reaction="like"))
    return rows


def found(folder: Path, launch: int) -> dict[str, Finding]:
    lake = lake_of(folder, equals(launch))
    run = train_once(lake, clock=clock).run
    assert (run.status, run.tier) == ("succeeded", "B"), run.error + run.tier_reason
    report = audit(lake, AuditOptions(repeats=5))
    return {each.check: each for each in report.findings if each.check in {"launch", "placebo launch"}}


def test_a_version_of_yesterday_is_said_to_be_confounded_with_its_age(tmp_path: Path) -> None:
    findings = found(tmp_path, DAYS - 1)
    assert findings["launch"].status == "failed"
    assert "is confounded with its age" in findings["launch"].found
    assert findings["launch"].subject.startswith("new")
    assert findings["launch"].numbers["more_days"] >= 1
    assert findings["placebo launch"].status == "passed"


def test_versions_of_one_age_raise_no_doubt(tmp_path: Path) -> None:
    findings = found(tmp_path, 0)
    assert {check: each.status for check, each in findings.items()} == {"launch": "passed", "placebo launch": "passed"}


def twin_scores(*, drop: float, seed: int) -> float:
    """Standard errors by which a version differs from itself of two days ago, when labels fall by `drop`."""
    rng = np.random.default_rng(seed)
    n, days = 6_000, 14
    cell, day = rng.integers(0, 100, n), rng.integers(0, days, n)
    label = (rng.random(n) < 0.3 * np.where(day >= days - 2, 1 - drop, 1.0)).astype(float)
    ones, number = np.ones(n), np.arange(100)
    cells = ClipCells.from_impressions(cell, day, rng.integers(0, 2, n), label=label, examination=ones, weight=ones)
    table = ClipTable(number, 0 * number, number, 0 * number - 30, opportunity=np.full(100, n / 100))
    twins = as_launched(cells, table, 0, days - 2)
    assert twins is not None
    scores = ClipAIPW().fit(*twins)
    X = np.column_stack([twins[1].model, twins[1].prompt])[scores.units_]
    fit = PromptFixedEffects().fit(X, scores.scores_, opportunity=scores.opportunities_, time=scores.time_doubt_)
    return float(fit.effects_[0] / np.sqrt(fit.covariance_[0, 0]))


@pytest.mark.parametrize(("drop", "most"), [(0.0, 1.3), (0.2, 2.0)])
def test_a_version_does_not_differ_from_itself_when_the_last_days_are_poor(drop: float, most: float) -> None:
    values = np.array([twin_scores(drop=drop, seed=seed) for seed in range(20)])
    assert np.sqrt((values**2).mean()) < most


def test_a_version_that_was_not_there_before_the_launch_has_no_second_name() -> None:
    zeros = np.zeros(4, np.int64)
    cells = ClipCells(zeros, zeros + 3, np.arange(4) % 2, *([np.ones(4)] * 7))
    table = ClipTable(zeros[:1], zeros[:1], zeros[:1], zeros[:1] + 3)
    assert as_launched(cells, table, 0, 3) is None
    assert as_launched(cells, table, 1, 9) is None
