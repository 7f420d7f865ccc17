"""Doubts about versions that came lately: do intervals hold for them, and is a launch told from its days at all?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import chi2, norm

from clapometer.audit.findings import Finding, finding_of_test, status
from clapometer.audit.run import Audited, nothing_to_check
from clapometer.ranking import ClipAIPW, PromptFixedEffects, as_launched

__all__ = ["launch_findings"]

_MOST_UNKNOWN = 0.5
"""Share of the variance of an effect that may be there because a launch is not told from its days."""
_MOST_VERSIONS = 12
_TOLERATED = 1.5
"""Standard errors by which names of one version may differ: both see the same clips, with half of the data each."""
_DAYS = 2
"""Before the end: when a name is launched where no version came later than at the start."""


def launch_findings(audited: Audited) -> Iterator[Finding]:
    """Yields whether intervals hold for equals one of which was launched lately, and whose launch cannot be told."""
    if audited.fitted.fit is None:
        yield from (nothing_to_check(check, audited) for check in ("placebo launch", "launch"))
        return
    yield _placebo_launch(audited)
    yield from _unknown_launches(audited)


def _placebo_launch(audited: Audited) -> Finding:
    """Gives every version a second name, seen by half of the viewers from the latest launch on; compares the two."""
    fit, part = audited.fitted.fit, audited.fitted.part
    assert fit is not None
    launch = _latest_launch(audited)
    values = list[float]()
    for item in fit.items_[:_MOST_VERSIONS].tolist():
        twins = as_launched(part.cells.cells, part.table, item, launch)
        if twins is None:
            continue
        scores = ClipAIPW(audited.run.parameters.ceiling_ratio, audited.run.parameters.prior_strength).fit(*twins)
        table, units = twins[1], scores.units_
        X = np.column_stack([table.model[units], table.prompt[units], table.strata[units]])
        again = PromptFixedEffects(**fit.get_params())
        known = None if scores.normalised_.any() else scores.opportunities_
        again.fit(X, scores.scores_, opportunity=known, time=scores.time_doubt_)
        if len(again.items_) == 2:
            values.append(float(again.effects_[0] / np.sqrt(again.covariance_[0, 0])))
    if not values:
        found = "no model version was there before the latest launch"
        return Finding(check="placebo launch", status="skipped", found=found)
    missed = int((np.abs(values) > norm.ppf(0.5 + fit.level / 2)).sum())
    size = float(np.sqrt(np.mean(np.square(values))))
    p = float(chi2.sf(np.square(values).sum() / _TOLERATED**2, len(values)))
    return finding_of_test(
        "placebo launch", p,
        f"with a second name for each model version that half of the viewers see from day {launch} on, {missed} of "
        f"{len(values)} are told apart, and differences are {size:.1f} times the standard errors that intervals claim",
        "days, weekdays or ages move this traffic by more than the intervals say: do not compare a version with others "
        "until it has been there as long",
        matters=size > _TOLERATED, numbers={"missed": missed, "names": len(values), "day": launch, "size": size},
    )  # fmt: skip


def _unknown_launches(audited: Audited) -> Iterator[Finding]:
    """Yields the versions whose age cannot be told from their quality, with the days that would tell."""
    fit, part = audited.fitted.fit, audited.fitted.part
    assert fit is not None
    whole = np.diag(fit.covariance_)
    share = np.divide(fit.time_variance_, whole, out=np.zeros(len(whole)), where=whole > 0)
    born = _births(audited)
    doubtful = [place for place in np.flatnonzero(share > _MOST_UNKNOWN).tolist() if born[place] > born.min()]
    last = int(part.cells.cells.day.max()) + 1
    for place in doubtful:
        age = max(last - int(born[place]), 1)
        more = max(1, int(np.ceil(age * (np.sqrt(share[place] / max(1 - share[place], 1e-3)) - 1))))
        yield Finding(
            check="launch", subject=audited.name(place), status=status(failed=True),
            found=f"{audited.name(place)} is confounded with its age: {share[place]:.0%} of the variance of its effect "
            f"is there because nothing tells its launch, {age} days before the end, from days and novelty",
            advice=f"wait about {more} more {'day' if more == 1 else 'days'}, or publish clips of all versions on the "
            "same days",
            numbers={"share": float(share[place]), "age_days": age, "more_days": more},
        )  # fmt: skip
    if not doubtful:
        most = int(np.argmax(share))
        yield Finding(
            check="launch", status=status(failed=False),
            found=f"launches are told from days and novelty: at most {share[most]:.0%} of the variance of an effect "
            f"({audited.name(most)}) is that they are not",
            numbers={"share": float(share[most])},
        )  # fmt: skip


def _births(audited: Audited) -> np.ndarray:
    """Returns the first day of each ranked version's clips, from the first day on, in the order of ``fit.items_``."""
    fit, table = audited.fitted.fit, audited.fitted.part.table
    assert fit is not None
    born = np.full(int(table.model.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(born, table.model, np.maximum(table.published_day, 0))
    return born[fit.items_]


def _latest_launch(audited: Audited) -> int:
    """Returns the day on which the youngest version came; some days before the end where all came at the start."""
    last = int(audited.fitted.part.cells.cells.day.max()) + 1
    latest = int(_births(audited).max())
    return latest if latest >= _DAYS else max(last - _DAYS, 1)
