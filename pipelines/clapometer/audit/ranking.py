"""Doubts about the ranking itself: its intervals, how little would change it, and what it can see."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clapometer.audit.findings import Finding, finding_of_test, status
from clapometer.audit.run import Audited, fit_again, nothing_to_check
from clapometer.labels import ScreeningLimits
from clapometer.ranking import PromptFixedEffects, Ranked, days_until_visible, fewest, placebo, sum_by
from clapometer.training.boards.robustness import MOST_IMPRESSIONS, fake_reactions, model_robustness, pushes, reach_of

FEWEST_VIEWERS = 5
"""A top that fewer viewers made is an accident, whatever its interval."""
FEWEST_REACTIONS = 20
"""A top that fewer invented reactions buy is for sale."""
STRICT = ScreeningLimits(
    min_reactions=3, blind_ratio=0.3, blind_chance=1e-3, everything_ratio=0.8, everything_impressions=15,
    everything_chance=1.0, hours_a_day=16.0, impressions_an_hour=600.0, group_size=3, group_clips=4,
)  # fmt: skip
"""Limits of screening that catch what hides just below the usual ones, and more people by mistake."""
_FIRST_ORDER = 0.9
"""Of a lead, how much has to be closed to first order to call it closed: without its viewers the effects of days and
places would be learnt anew too, which moved leads by up to a twentieth where few viewers made them."""
_SHIFT = 1.0
"""Standard errors by which no item may move when the strict limits are used."""


def placebo_finding(audited: Audited, repeats: int, seed: int) -> Finding:
    """Shuffles the model versions within every prompt, so that none is better, and counts who still is."""
    fit, parameters = audited.fitted.fit, audited.run.parameters
    if fit is None:
        return nothing_to_check("placebo", audited)
    part, scores = audited.fitted.part, audited.fitted.scores
    units = scores.units
    X = np.column_stack([part.table.model[units], part.table.prompt[units], part.table.strata[units]])
    settings = PromptFixedEffects(**fit.get_params())
    found = placebo(X, scores.values, seed=seed, opportunity=scores.opportunities, repeats=repeats, estimator=settings)
    return finding_of_test(
        "placebo", found.p_value,
        f"with the model versions shuffled within every prompt {found.rate:.1%} of {found.intervals:,} intervals claim "
        f"a difference that is not there; {1 - parameters.level:.0%} is what they promise",
        "the intervals are too narrow for this traffic: do not decide by them; look for clips that are no independent "
        "pieces of evidence (copies under many prompts, one prompt with most of the traffic)",
        numbers={"rate": found.rate, "nominal": 1 - parameters.level, "repeats": repeats},
    )  # fmt: skip


def top_findings(audited: Audited) -> Iterator[Finding]:
    """Yields how few viewers, impressions and invented reactions would give the first place to another item."""
    fit, run = audited.fitted.fit, audited.run
    if fit is None:
        yield from (nothing_to_check(check, audited) for check in ("influence", "attack cost"))
        return
    first, second = audited.fitted.order[:2]
    leader, rival = audited.name(first), audited.name(second)
    claimed = _claimed(fit)
    part, scores, uniform = audited.fitted.part, audited.fitted.scores, audited.evidence.summary.tier == "C"
    sample = audited.evidence.sample(MOST_IMPRESSIONS, uniform=uniform)
    reach = reach_of(part, scores)
    found = pushes(sample, part, scores, reach)
    sturdy = model_robustness(found, reach, fit, every=sample.every, rule=run.rule)
    impressions = sturdy[int(fit.items_[first])]["impressions_to_drop"]
    viewers = _viewers_to_drop(audited, first, second, uniform=uniform)
    frail = claimed and viewers is not None and viewers < FEWEST_VIEWERS
    yield Finding(
        check="influence", subject=leader, status=status(frail),
        found=f"{rival} would be first without {_some(viewers, 'viewer')}, or {_some(impressions, 'impression')}"
        + ("" if claimed else "; but then the ranking does not claim that the first is better than the second"),
        advice="look at these viewers before you act on this ranking; more traffic makes it sturdier" if frail else "",
        numbers={"viewers": viewers, "impressions": impressions, "claimed": int(claimed)},
    )  # fmt: skip
    fakes = fake_reactions(reach_of(part, scores), fit, second, run.rule)
    cheap = claimed and fakes is not None and fakes < FEWEST_REACTIONS
    yield Finding(
        check="attack cost", subject=rival, status=status(cheap),
        found=f"it takes at least {_some(fakes, 'invented reaction')} to make {rival} first",
        advice="take reactions from signed-in or paying viewers only, or give reactions less weight in the label rule"
        if cheap else "",
        numbers={"reactions": fakes, "claimed": int(claimed)},
    )  # fmt: skip


def _claimed(fit: PromptFixedEffects) -> bool:
    """Whether the ranking says that the first item is better than all others."""
    top = fit.ranking()[0]
    return isinstance(top, Ranked) and top.rank_range[1] == 1


def _viewers_to_drop(audited: Audited, first: int, second: int, *, uniform: bool) -> int | None:
    """Returns the fewest viewers without whom the second item would be first, or next to it."""
    fit, everybody = audited.fitted.fit, audited.evidence.sample(np.inf, uniform=uniform)
    assert fit is not None
    part, scores = audited.fitted.part, audited.fitted.scores
    found = pushes(everybody, part, scores, reach_of(part, scores))
    push = found.size * found.influence(fit, first, second)[found.unit]
    lead = _FIRST_ORDER * float(fit.effects_[first] - fit.effects_[second])
    return fewest(lead, sum_by(everybody.viewer[found.row], push))


def screening_finding(audited: Audited) -> Finding:
    """Screens viewers by limits that are twice as strict, and looks whether the ranking stays."""
    fit = audited.fitted.fit
    if fit is None:
        return nothing_to_check("screening", audited)
    before = dict(zip(fit.items_.tolist(), fit.effects_.tolist(), strict=True))
    error = dict(zip(fit.items_.tolist(), np.sqrt(np.diag(fit.covariance_)).tolist(), strict=True))
    screened = audited.read.outcomes.screened(STRICT)
    strict = fit_again(audited.run, audited.clips, screened.scored(audited.read.screening))
    more = screened.automated.num_rows - audited.read.outcomes.automated.num_rows
    if strict.fit is None:
        return nothing_to_check("screening", audited)
    after = dict(zip(strict.fit.items_.tolist(), strict.fit.effects_.tolist(), strict=True))
    moved = {item: abs(after[item] - before[item]) / max(error[item], 1e-12) for item in after if item in before}
    item, most = max(moved.items(), key=lambda each: each[1])
    name = audited.clips.model.names[item]
    failed = most > _SHIFT
    return Finding(
        check="screening", subject=name, status=status(failed),
        found=f"stricter limits leave out {more:,} more viewers; no model version moves by more than {most:.2f} "
        f"standard errors ({name}, by {after[item] - before[item]:+.3f})",
        advice=f"viewers that act like machines, just below the limits, carry {name}: look at those who react to its "
        "clips without watching them" if failed else "",
        numbers={"viewers": more, "standard_errors": most, "difference": after[item] - before[item]},
    )  # fmt: skip


def power_finding(audited: Audited, difference: float | None) -> Finding:
    """Says how many days of this traffic show a difference between two model versions."""
    fit = audited.fitted.fit
    if fit is None:
        return nothing_to_check("power", audited)
    spread = np.diag(fit.covariance_)
    pairs = spread[:, None] + spread[None, :] - 2 * fit.covariance_
    error = float(np.sqrt(np.median(pairs[np.triu_indices(len(spread), 1)])))
    days = max(audited.fitted.scored.days, 1.0)
    wanted = abs(difference) if difference else 0.05 * abs(fit.level_)
    needed = days_until_visible(error, days, wanted, level=audited.run.parameters.level)
    return Finding(
        check="power", status="noted",
        found=f"with this traffic a difference of {wanted:.3g} ({wanted / abs(fit.level_):.0%} of the mean label) "
        f"between two model versions is seen in {needed:,.0f} days, 4 times out of 5; this run has "
        f"{days:,.0f}",
        advice="fewer candidates, a larger share of exploration, or more prompts that all model versions are used for "
        "shorten that" if needed > 2 * days else "",
        numbers={"difference": wanted, "days_needed": needed, "days": days, "standard_error": error},
    )  # fmt: skip


def _some(number: int | None, noun: str) -> str:
    if number is None:
        return f"more {noun}s than there are"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
