"""Doubts about what the ranking was made from: who was sent where, with which chance, and what nobody wants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from clapometer.audit.findings import Finding, finding_of_test, status
from clapometer.audit.run import Audited
from clapometer.domain import InputError
from clapometer.labels import MOST_OF_ONE
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.statements import sql
from clapometer.lake.tables import Lake
from clapometer.ranking import (
    Exposure,
    ShareChange,
    ViewerSumsOfHalf,
    balance,
    by_version,
    change_of_counts,
    change_of_shares,
    favoured,
    mean_weight,
    sample_ratio_p_value,
    sum_by,
)
from clapometer.training.evidence.tiers import MOST_UNEQUAL, Chances, counted_exposure, exposure_of

Plan = Mapping[str, Mapping[str, float]]
"""Planned shares of the arms, by experiment."""
MIN_EFFECTIVE = 100.0
"""Impressions of equal weight that a model version's estimate rests on, at least."""
_TOLERANCE = 0.05
_RISE = 1.1
_MIN_POLICY = 1_000
_LEDGER_LOOKS = 5
_SLIPS = 3
"""Viewers of an arm that are too few to be one, where they are fewer than one in a hundred of another's."""
_MATCH = (
    "log the chance with which the policy filled the slot, before anything was drawn, and how many clips it chose from"
)


def experiment_findings(audited: Audited, plan: Plan) -> Iterator[Finding]:
    """Yields for each experiment whether its arms have the viewers that were planned.

    Raises:
        InputError: The plan names an experiment or arms that are not there.
    """
    arms: dict[str, dict[str, int]] = {}
    torn: dict[str, int] = {}
    rows = audited.con.execute(sql("audit/sql/arms.sql"), {"tenant": audited.run.tenant}).fetchall()
    for experiment, variant, viewers, both in rows:
        arms.setdefault(experiment, {})[variant] = viewers
        torn[experiment] = max(torn.get(experiment, 0), both)
    if unknown := sorted(set(plan) - set(arms)):
        msg = (
            f"no impression is of {', '.join(unknown)}; the outcomes name {', '.join(sorted(arms)) or 'no experiment'}"
        )
        raise InputError(msg, "plan")
    if not arms:
        yield Finding(check="sample ratio", status="skipped", found="no impression names an experiment")
    for experiment, observed in arms.items():
        yield _experiment(experiment, observed, torn[experiment], plan.get(experiment))


def _experiment(
    experiment: str, observed: Mapping[str, int], torn: int, planned: Mapping[str, float] | None
) -> Finding:
    most = max(observed.values())
    slips = {
        arm: viewers for arm, viewers in observed.items()
        if viewers <= _SLIPS and 100 * viewers < most and arm not in (planned or {})
    }  # fmt: skip
    observed = {arm: viewers for arm, viewers in observed.items() if arm not in slips}
    counts = ", ".join(f"{arm} {viewers:,}" for arm, viewers in observed.items())
    if slips:
        counts += (
            f" (and {', '.join(f'{arm} {viewers}' for arm, viewers in slips.items())}: taken for slips of the pen)"
        )
    if len(observed) < 2 and planned is None:
        return Finding(
            check="sample ratio", subject=experiment, status="skipped", found=f"only one arm has viewers: {counts}"
        )
    shares = planned or dict.fromkeys(observed, 1.0)
    # An arm that was planned and has nobody is what the check is for.
    p = sample_ratio_p_value(dict.fromkeys(shares, 0) | dict(observed), shares)
    given = "as given" if planned else "alike, as no --plan was given"
    return finding_of_test(
        "sample ratio", p,
        f"viewers by arm: {counts} (planned {given}); {torn:,} saw more than one arm",
        "an arm loses or repeats viewers: compare nothing between the arms until you know where (redirects, crashes, "
        "bots, a filter after the assignment)" + ("" if planned else "; or give the planned shares with --plan"),
        subject=experiment, numbers={"saw more than one arm": torn, **observed},
    )  # fmt: skip


def policy_findings(audited: Audited) -> Iterator[Finding]:
    """Yields for each policy whether it shows clips as often as its logged propensities say."""
    outliers = audited.evidence.outliers
    given = {"tenant": audited.run.tenant, "weight": outliers.weight, "days": outliers.dates}
    table = audited.con.sql(sql("audit/sql/policies.sql"), params=given).to_arrow_table()
    names = table["policy_id"].to_pylist()
    exposure = exposure_of(table)
    for policy in sorted(set(names)):
        own = np.array([name == policy for name in names])
        part = Exposure(*(getattr(exposure, column)[own] for column in Exposure.__slots__))
        if part.shown.sum() >= _MIN_POLICY:
            yield from _fit_findings(part, subject=policy, chances=None)


def propensity_findings(audited: Audited) -> Iterator[Finding]:
    """Yields whether all logged propensities together fit what was shown, and what they leave to estimate from."""
    scored = audited.fitted.scored
    if not scored.logged:
        yield Finding(
            check="propensities", status="skipped", found=f"nothing to check: {scored.tier_reason}",
            advice=f"{_MATCH}; or let POST /v1/slates choose, which does so",
        )  # fmt: skip
        return
    exposure = counted_exposure(audited.evidence.files)
    yield from _fit_findings(exposure, subject="", chances=_chances(audited))
    if audited.evidence.chances is not None:
        yield from _due_findings(exposure, audited.evidence.chances)
    yield _overlap(audited, exposure)


def _chances(audited: Audited) -> np.ndarray | None:
    """Returns each clip's chances had all been shown alike, where that is known of every clip."""
    part = audited.fitted.part
    if part.table.opportunity is None or np.isnan(part.table.opportunity).any():
        return None
    chances = np.zeros(len(audited.clips))
    chances[part.rows] = part.table.opportunity
    return chances


def _fit_findings(exposure: Exposure, *, subject: str, chances: np.ndarray | None) -> Iterator[Finding]:
    mean = mean_weight(exposure, _TOLERANCE)
    n = int(exposure.shown.sum())
    yield finding_of_test(
        "propensities", mean.p_value,
        f"the sum of 1 / propensity over {n:,} slots is {1 + mean.size:.2f} times the number of candidates; "
        "1.00 times is right",
        f"the logged propensities are not what the feed does: {_MATCH}",
        subject=subject, matters=abs(mean.size) > _TOLERANCE, numbers={"ratio": 1 + mean.size, "slots": n},
    )  # fmt: skip
    for name, found in (
        ("as often as explored slots do", balance(exposure)),
        ("as often as pure chance would", balance(exposure, chances) if chances is not None else None),
    ):
        if found is None:
            continue
        yield finding_of_test(
            "balance", found.p_value,
            f"weighted by 1 / propensity, clips are shown {name}, but for {found.size:.1%} of slots"
            if found else f"too few explored slots to tell whether clips are shown {name}",
            f"the feed favours clips by more than it logs: {_MATCH}",
            subject=subject, matters=found.size > _TOLERANCE, numbers={"misplaced": found.size},
        )  # fmt: skip


def _due_findings(exposure: Exposure, chances: Chances) -> Iterator[Finding]:
    """Yields whether clips of one version and day, and versions, are shown as often as they are due."""
    clip, fold, n = exposure.clip, exposure.fold, len(chances.batch)
    for what, column in (("weighted by 1 / propensity", exposure.weight), ("in explored slots", exposure.explored)):
        found = favoured(clip, fold, column, chances.batch, n)
        yield finding_of_test(
            "exploration", found.p_value,
            f"{what}, clips of one model version and day differ by {found.size:.0%} in how often they are shown, "
            "alike in two halves of the viewers"
            if found else f"too few clips to tell whether some are shown more often {what}",
            f"what is logged as chance was chosen: {_MATCH}, and call only those slots explored that were drawn "
            "uniformly",
            subject=what, matters=found.size > MOST_UNEQUAL, numbers={"spread": found.size},
        )  # fmt: skip
    version, off = by_version(exposure, chances.version, chances.opportunity, chances.slack)
    yield finding_of_test(
        "exploration", off.p_value,
        f"weighted by 1 / propensity, model versions are shown as often as their clips had chances, but for "
        f"{chances.names[version]}, {1 + off.size:.2f} times as often"
        if off else "weighted by 1 / propensity, every model version is shown as often as its clips had chances",
        f"the feed favours or spares a model version by more than it logs: {_MATCH}",
        subject=chances.names[version] if off else "", numbers={"ratio": 1 + off.size},
    )  # fmt: skip


def _overlap(audited: Audited, exposure: Exposure) -> Finding:
    """Returns whether every model version was shown enough where it was not the favourite."""
    clips, scored = audited.clips, audited.fitted.scored
    model, n = clips.model.index[clips.unit[exposure.clip]], len(clips.model.names)
    weight, squares = sum_by(model, exposure.weight, n), sum_by(model, exposure.squares, n)
    effective = np.divide(weight**2, squares, out=np.zeros(n), where=squares > 0)
    shown = np.flatnonzero(sum_by(model, exposure.shown, n) > 0)
    worst = int(shown[np.argmin(effective[shown])])
    total = float(exposure.weight.sum() ** 2 / max(exposure.squares.sum(), 1e-12))
    few = effective[worst] < MIN_EFFECTIVE
    return Finding(
        check="overlap", status=status(few),
        found=f"{scored.logged:,} of {scored.counted:,} impressions have a propensity and tell as much as {total:,.0f} "
        f"shown by pure chance; {clips.model.names[worst]} has the fewest, {effective[worst]:,.0f}",
        advice="explore a larger share of slots: what is hardly ever shown by chance cannot be judged" if few else "",
        numbers={"logged": scored.logged, "counted": scored.counted, "effective": total, "fewest": effective[worst]},
    )  # fmt: skip


def goodhart_findings(audited: Audited) -> Iterator[Finding]:
    """Yields whether what nobody wants rose from the first half of the traffic to the second, while engagement rose."""
    halves = _halves(audited)
    praise = halves.pop("praised", ShareChange(0.0, 0.0, 1.0))
    bad = {
        "reports": halves.get("reported"), "dislikes, hides and \u201cnot interested\u201d": halves.get("refused"),
    } | _said(audited)  # fmt: skip
    for name, change in bad.items():
        if change is None or (change.before == change.after == 0):
            continue
        rose = change.ratio >= _RISE and praise.after > praise.before
        yield finding_of_test(
            "goodhart", max(praise.p_rise, change.p_rise),
            f"from the first half of the traffic to the second praised impressions went from {praise.before:.2%} to "
            f"{praise.after:.2%}, {name} from {change.before:.3%} to {change.after:.3%}",
            f"what you optimise rises while {name} rise: look at what is new, and give {name} more weight in the label "
            "rule before you release by it",
            subject=name, matters=rose,
            numbers={
                "praised_before": praise.before, "praised_after": praise.after, "before": change.before,
                "after": change.after,
            },
        )  # fmt: skip


def _halves(audited: Audited) -> dict[str, ShareChange]:
    rows = audited.con.execute(sql("audit/sql/halves.sql"), _of_run(audited)).fetchall()
    sums = {(signal, late): ViewerSumsOfHalf(*numbers) for signal, late, *numbers in rows}
    return {
        signal: change_of_shares(sums[signal, False], sums[signal, True])
        for signal, late in sums
        if late and (signal, False) in sums
    }


def _said(audited: Audited) -> dict[str, ShareChange]:
    rows = audited.con.execute(sql("audit/sql/said.sql"), _of_run(audited) | {"most": MOST_OF_ONE}).fetchall()
    counts = {(signal, late): (answers, bad) for signal, late, answers, bad in rows}
    return {
        signal: change_of_counts(counts[signal, False], counts[signal, True])
        for signal, late in counts
        if late and (signal, False) in counts
    }


def _of_run(audited: Audited) -> dict[str, object]:
    return {"tenant": audited.run.tenant, "days": audited.evidence.outliers.dates}


def ledger_finding(lake: Lake) -> Finding:
    """Returns whether every event that was received is accounted for, in the lake as it is now."""
    # a load that is under way has rows before it has counts
    difference = next((0 for _ in range(_LEDGER_LOOKS) if not ledger_difference(lake)), None)
    if difference is None:
        difference = ledger_difference(lake)
    return Finding(
        check="ledger", status=status(bool(difference)),
        found=f"received less stored, duplicate, rejected and suppressed events: {difference:,}",
        advice="events were lost or doubled after they were received: `clapometer doctor`, then the loader's log"
        if difference else "",
        numbers={"difference": difference},
    )  # fmt: skip
