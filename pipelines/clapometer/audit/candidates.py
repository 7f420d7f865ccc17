"""Doubts about what can be compared: what viewers were offered, and lengths that one model version has alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from clapometer.audit.findings import Finding, finding_of_test, status
from clapometer.audit.run import Audited
from clapometer.ranking import leaning
from clapometer.training.boards.scores import MOST_VIEWS, views_of

__all__ = ["candidate_findings", "length_finding"]


def candidate_findings(audited: Audited) -> Iterator[Finding]:
    """Yields whether viewers were offered model versions alike, by exposure alone: a placebo of viewers."""
    scored, part, names = audited.evidence.summary, audited.fitted.part, audited.clips.model.names
    if scored.tier == "C":
        yield Finding(check="candidates", status="skipped", found=f"nothing to check: {scored.tier_reason}")
        return
    sample = audited.evidence.sample(MOST_VIEWS, uniform=False)
    views, rows, _ = views_of(part, sample)
    found = leaning(replace(views, weight=sample.weight[rows]), sample.day[rows], len(names))
    if found.item < 0:
        yield Finding(
            check="candidates", status="skipped",
            found="nobody was seen twice, so that nothing shows whether viewers were offered the same",
        )  # fmt: skip
        return
    within = "is compared within viewers, which is right as long as they differ by a level of their own"
    judged = "assumes that they were offered the same" if part.whole else within
    yield finding_of_test(
        "candidates", found.p_value,
        f"{names[found.item]} is {found.share:.1%} of what viewers were offered, and from viewer to viewer "
        f"that differs by {found.spread:.1%} beyond chance (p = {found.p_value:.2g})",
        f"the stage that chooses candidates looks at who is asking: the ranking {judged}; prompts and pairs of clips "
        "claim nothing; let the first stage offer every version alike, in some slots at least",
        subject=names[found.item], numbers={"share": found.share, "spread": found.spread},
    )  # fmt: skip


def length_finding(audited: Audited) -> Finding:
    """Returns whether watching can compare the model versions, where nothing else counts."""
    if not audited.run.rule.by_watching:
        return Finding(check="lengths", status="skipped", found="not only watching counts by the label rule")
    apart = [audited.clips.model.names[item] for item in audited.fitted.scores.apart]
    return Finding(
        check="lengths", status=status(bool(apart)),
        found=f"{', '.join(apart)}: clips of a length that no other version has; watching cannot judge them"
        if apart else "every version has clips of lengths that others have, too",
        advice="let versions make clips of the same length, or give reactions a weight" if apart else "",
        numbers={"versions": len(apart)},
    )  # fmt: skip
