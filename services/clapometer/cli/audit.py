"""``clapometer audit``: reasons to doubt a ranking, from the data that it was made from."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from clapometer.cli import options
from clapometer.domain import InputError
from clapometer.domain.printable import printable
from clapometer.operation import wiring
from clapometer.settings import load_settings
from clapometer.terminal.printing import Console, echo_json
from clapometer.terminal.progress import progress_bar

if TYPE_CHECKING:  # imported when the command runs, so that help is quick
    from clapometer.audit.attack import Attacker
    from clapometer.audit.findings import AuditReport, Finding
    from clapometer.settings import Settings
    from clapometer.training.reading import Resources

_MARKS = {
    "passed": Text("passed", "green"), "failed": Text("FAILED", "red bold"), "noted": Text("noted"),
    "skipped": Text("skipped", "dim"),
}  # fmt: skip


def audit(
    tenant: options.Tenant = "default",
    run: Annotated[str | None, typer.Option(help="Id of the run; the newest good one if left out.")] = None,
    repeats: Annotated[int, typer.Option(min=1, max=10_000, help="Shuffles of the placebo.")] = 100,
    plan: Annotated[
        list[str] | None,
        typer.Option(help="Planned shares of an experiment's arms, `ID=ARM:SHARE,ARM:SHARE`; repeatable. Else alike."),
    ] = None,
    difference: Annotated[
        float | None, typer.Option(help="Difference that should be seen, in label units; else 5 % of the mean label.")
    ] = None,
    alarm_rate: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of audits of a sound system that may fail.")
    ] = 0.01,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the shuffles.")] = 0,
    attack: Annotated[
        bool, typer.Option(help="Try what one person with the key of a page can buy, by every way in, on a copy; slow.")
    ] = False,
    form: options.Format = "table",
) -> None:
    """Doubt a ranking: placebo, sample ratios, propensities, influence, attack cost, power, and what got worse.

    Exit codes: 0 every check passed, 1 a check failed, 2 the input or a setting is wrong, 3 there is no ranking yet.
    """
    from clapometer.audit.audit import AuditOptions
    from clapometer.audit.audit import audit as audited
    from clapometer.audit.record import record_attack
    from clapometer.training.reading import Resources

    settings = load_settings()
    resources = Resources(threads=settings.threads, memory_limit=settings.memory_limit)
    attacker = _attacker(settings, tenant, resources) if attack else None
    options = AuditOptions(repeats, alarm_rate, difference, parse_plan(plan or []), seed, attacker)
    lake = wiring.existing_lake(settings)
    json = form == "json"
    with progress_bar(json) as bar:
        task = bar.add_task("audit", total=None, note="")
        report = audited(
            lake,
            options,
            tenant=tenant,
            run_id=run,
            resources=resources,
            progress=lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total),
        )
    if attack:
        record_attack(lake, report, wiring.utc_now())
    _print(report, json=json)
    if not report.passed:
        raise typer.Exit(1)


def _attacker(settings: "Settings", tenant: str, resources: "Resources") -> "Attacker":
    """Returns somebody with the key of a page, before the collector that the settings describe."""
    from clapometer.audit.attack import Attacker
    from clapometer.collector import Door

    return Attacker(Door(wiring.collector_config(settings), tenant), resources=resources)


def parse_plan(given: list[str]) -> dict[str, dict[str, float]]:
    """Returns planned shares by experiment and arm from texts such as ``home=control:1,new:1``.

    Raises:
        InputError: A text is of another form, or a share is not positive.
    """
    plan: dict[str, dict[str, float]] = {}
    for text in given:
        experiment, equals, arms = text.partition("=")
        try:
            shares = {arm: float(share) for arm, share in (each.rsplit(":", 1) for each in arms.split(","))}
        except ValueError:
            shares = {}
        if not equals or not experiment or not shares or not all(0 < share < float("inf") for share in shares.values()):
            msg = f"{text!r} is not of the form ID=ARM:SHARE,ARM:SHARE with positive shares"
            raise InputError(msg, "plan")
        plan[experiment] = shares
    return plan


def _print(report: "AuditReport", *, json: bool) -> None:
    import msgspec

    if json:
        summary = {"passed": report.passed, **msgspec.structs.asdict(report)}
        echo_json(msgspec.json.format(msgspec.json.encode(summary), indent=2))
        return
    console = Console()
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for column in ("status", "check", "found"):
        table.add_column(column, no_wrap=column != "found", overflow="fold")
    for finding in report.findings:
        table.add_row(_MARKS[finding.status], finding.check, _sentence(finding))
    console.print(f"run {report.run_id} ({report.tenant}), tier {report.tier}")
    console.print(table)
    failed = len(report.failed)
    said = f"{failed} check{'s' if failed > 1 else ''} failed" if failed else "no check failed"
    console.print(said, style="red" if failed else "green")


def _sentence(finding: "Finding") -> Text:
    subject = f"{printable(finding.subject)}: " if finding.subject else ""
    advice = f"\n→ {finding.advice}" if finding.advice else ""
    return Text.assemble(subject, finding.found, (advice, "bold"))
