"""What an audit says: one finding per check, each with a sentence and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

Status = Literal["passed", "failed", "noted", "skipped"]
Number = float | int | str | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check.

    Attributes:
        check: What was checked.
        subject: Of what: an experiment, a policy, an item; empty for the whole run.
        status: passed, failed, noted (nothing to pass or fail) or skipped (the data do not allow the check).
        found: What was found, in a sentence.
        advice: What to do, where it failed or something could be better.
        p_value: Chance of a finding as bad in a sound system; None where the check is no test.
        numbers: What the sentence says, for programs.
    """

    check: str
    subject: str = ""
    status: Status
    found: str
    advice: str = ""
    p_value: float | None = None
    numbers: Mapping[str, Number] = {}


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """All findings about a run.

    Attributes:
        run_id: The run.
        tenant: Whose.
        tier: Of what viewers did in that run: B or C.
        alarm_rate: Share of audits of a sound system that fail by chance, at most.
        findings: In the order of the checks.
    """

    run_id: str
    tenant: str
    tier: str
    alarm_rate: float
    findings: list[Finding]

    @property
    def failed(self) -> list[Finding]:
        """The findings that failed."""
        return [each for each in self.findings if each.status == "failed"]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return not self.failed


def finding_of_test(
    check: str,
    p_value: float,
    found: str,
    advice: str,
    *,
    subject: str = "",
    matters: bool = True,
    numbers: Mapping[str, Number],
) -> Finding:
    """Returns a finding whose status `judge` decides; one that does not matter passes whatever its p-value."""
    return Finding(
        check=check, subject=subject, status="failed" if matters else "passed", found=found, advice=advice,
        p_value=p_value, numbers=numbers,
    )  # fmt: skip


def status(failed: bool) -> Status:
    """Returns the status of a check that is no test."""
    return "failed" if failed else "passed"


def judge(findings: Sequence[Finding], alarm_rate: float) -> list[Finding]:
    """Returns the findings with every test decided at ``alarm_rate`` divided by the number of tests (Bonferroni)."""
    tests = sum(each.p_value is not None for each in findings)
    limit = alarm_rate / max(tests, 1)
    return [_decided(each, limit) for each in findings]


def _decided(finding: Finding, limit: float) -> Finding:
    harmless = finding.p_value is not None and finding.p_value >= limit
    if finding.status == "failed" and harmless:
        finding = msgspec.structs.replace(finding, status="passed")
    numbers = {name: float(each) if isinstance(each, float) else each for name, each in finding.numbers.items()}
    # what to do is said where there is something to do; numpy's floats are no JSON
    advice = "" if finding.status == "passed" else finding.advice
    return msgspec.structs.replace(
        finding, advice=advice, numbers=numbers, p_value=None if finding.p_value is None else float(finding.p_value)
    )
