"""The audit of a ranking: every doubt that the tenant's own data can answer.

Tests share one alarm rate: a sound system fails in at most that share of audits. What is no test (how few viewers or
invented reactions change the top) fails below limits that are given with each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from clapometer.audit.attack import Attacker, attack_findings
from clapometer.audit.candidates import candidate_findings, length_finding
from clapometer.audit.findings import AuditReport, Finding, judge
from clapometer.audit.launches import launch_findings
from clapometer.audit.ranking import placebo_finding, power_finding, screening_finding, top_findings
from clapometer.audit.run import Audited, opened
from clapometer.audit.traffic import (
    Plan,
    experiment_findings,
    goodhart_findings,
    ledger_finding,
    policy_findings,
    propensity_findings,
)
from clapometer.audit.votes import vote_findings
from clapometer.domain import ClapometerError, InputError
from clapometer.folding.fold import Progress, silent
from clapometer.lake.tables import Lake
from clapometer.training.reading import UNLIMITED, Resources
from clapometer.training.runs import choose_run

Step = Callable[[Audited], Iterator[Finding]]


@dataclass(frozen=True)
class AuditOptions:
    """How hard to look.

    Attributes:
        repeats: Shuffles of the placebo.
        alarm_rate: Share of audits of a sound system that may fail.
        difference: That should be seen, in label units; 5 % of the mean label where None.
        plan: Planned shares of the arms, by experiment; alike where an experiment is not named.
        seed: Of the shuffles.
        attack: Whose attacks to try, on a copy; nobody's where None.
    """

    repeats: int = 100
    alarm_rate: float = 0.01
    difference: float | None = None
    plan: Plan | None = None
    seed: int = 0
    attack: Attacker | None = None

    def __post_init__(self) -> None:
        if self.repeats < 1:
            msg = f"must be at least 1, is {self.repeats}"
            raise InputError(msg, "repeats")
        if not 0 < self.alarm_rate < 1:
            msg = f"must be between 0 and 1, is {self.alarm_rate}"
            raise InputError(msg, "alarm_rate")
        if self.difference is not None and (not np.isfinite(self.difference) or self.difference <= 0):
            msg = f"must be a positive number, is {self.difference}"
            raise InputError(msg, "difference")


def audit(
    lake: Lake,
    options: AuditOptions,
    *,
    tenant: str = "default",
    run_id: str | None = None,
    resources: Resources = UNLIMITED,
    progress: Progress = silent,
) -> AuditReport:
    """Returns what is doubtful about a run's ranking of model versions; nothing is changed.

    Args:
        lake: The lake.
        options: How hard to look.
        tenant: Whose ranking.
        run_id: Which run; the newest good one where None.
        resources: What the job may use.
        progress: Is told the checks and how many are done.

    Raises:
        InputError: There is no such run, its files are gone, or the plan does not fit.
    """
    run = choose_run(lake, tenant, run_id, "ranking to audit")
    steps = _steps(options)
    findings: list[Finding] = []
    with opened(lake, run, resources) as audited:
        for done, (name, step) in enumerate(steps.items()):
            progress(name, done, len(steps))
            findings += checked(name, step, audited)
        tier = audited.fitted.scored.tier
    return AuditReport(
        run_id=run.run_id, tenant=tenant, tier=tier, alarm_rate=options.alarm_rate,
        findings=judge(findings, options.alarm_rate),
    )  # fmt: skip


def checked(name: str, step: Step, audited: Audited) -> list[Finding]:
    """Returns what a check found; one that cannot be made has failed, and takes no other with it."""
    try:
        return list(step(audited))
    except ClapometerError:
        raise  # what was asked for does not fit
    except Exception as error:  # noqa: BLE001 - it is told, with the others
        return [
            Finding(
                check=name, status="failed", found=f"the check could not be made: {type(error).__name__}: {error}",
                advice="what it reads is damaged or out of range, or this is a fault of Clapometer's: nothing is known",
            )
        ]  # fmt: skip


def _steps(options: AuditOptions) -> dict[str, Step]:
    """Returns the checks in order."""
    attacker = options.attack
    return {
        "placebo": lambda audited: iter([placebo_finding(audited, options.repeats, options.seed)]),
        "launch": launch_findings,
        "sample ratio": lambda audited: experiment_findings(audited, options.plan or {}),
        "propensities": propensity_findings,
        "policies": policy_findings,
        "candidates": candidate_findings,
        "lengths": lambda audited: iter([length_finding(audited)]),
        "influence": top_findings,
        "votes": vote_findings,
        "power": lambda audited: iter([power_finding(audited, options.difference)]),
        "goodhart": goodhart_findings,
        **({} if attacker is None else {"attack": lambda audited: attack_findings(audited, attacker)}),
        "screening": lambda audited: iter([screening_finding(audited)]),
        "ledger": lambda audited: iter([ledger_finding(audited.lake)]),
    }
