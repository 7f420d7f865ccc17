"""``clapometer train``: make rankings now, or make a recorded run again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clapometer.cli import label, options
from clapometer.domain import NotFoundError, TerminalError, nearest
from clapometer.operation import catching_up, wiring
from clapometer.settings import Settings, load_settings
from clapometer.terminal.printing import Console, echo, echo_json
from clapometer.terminal.progress import progress_bar

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from collections.abc import Callable

    from clapometer.labels import LabelRule
    from clapometer.training.train import TrainReport


def train(
    label_rule: Annotated[Path | None, typer.Option(help="TOML file of the label rule; else the setting.")] = None,
    run: Annotated[str | None, typer.Option(help="Make this recorded run again and compare, bit for bit.")] = None,
    tenant: options.EveryTenant = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of all draws; else the setting.")] = None,
    trigger: Annotated[str, typer.Option(help="Noted in the run record.")] = "manual",
    wait: Annotated[
        bool, typer.Option(help="Wait until the lake has what the log holds now, or train on what the lake has.")
    ] = True,
    patience: options.PatienceSeconds = 30.0,
    form: options.Format = "table",
) -> None:
    """Wait for the loader, fold events into outcomes, label them, rank, and publish; the run is recorded."""
    json = form == "json"
    settings = load_settings()
    if run is None:
        catching_up.before_training(settings, wait=wait, patience=patience, quiet=json)
    wiring.existing_lake(settings)
    with progress_bar(json) as bar:
        task = bar.add_task("training", total=None, note="")

        def told(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total or None)

        if run is not None:
            line = _again(settings, run, told)
        else:
            reports, untrained = _train(settings, label_rule, tenant, seed, trigger, told)
    if run is not None:
        echo(line)
        return
    if not json:
        _warn(settings, label_rule)
    _trace(settings, reports)
    for report in reports:
        _print(report, json)
    for owner, error in untrained.items():
        Console(stderr=True).print(f"tenant {owner} was not trained: {error}")
    failed = len(untrained) + sum(report.run.error is not None for report in reports)
    if failed:
        msg = f"{failed} of {len(reports) + len(untrained)} runs failed; a last good ranking stays"
        raise TerminalError(msg)


def _trace(settings: Settings, reports: "list[TrainReport]") -> None:
    """Tells of the runs where spans are asked for."""
    spans = wiring.open_spans(settings, "trainer")
    if spans is None:
        return
    for report in reports:
        run = report.run
        said = {"clapometer.tenant": run.tenant, "clapometer.run": run.run_id, "clapometer.result": run.status}
        spans.job("train", (run.finished_at - run.started_at).total_seconds(), said, failed=run.error is not None)
    spans.close()


def _warn(settings: Settings, rule: Path | None) -> None:
    """Says what a rule without an anchor costs."""
    used = _rule(settings, rule)
    if not used.anchor:
        Console().print(label.expectation(used))


def _rule(settings: Settings, given: Path | None) -> "LabelRule":
    return wiring.label_rule(settings.label_rule) if given is None else wiring.label_rule(given, "label-rule")


def _again(settings: Settings, run: str, told: "Callable[[str, int, int], None]") -> str:
    from clapometer.training.reading import Resources
    from clapometer.training.train import reproduce

    resources = Resources(threads=settings.threads, memory_limit=settings.memory_limit)
    result = reproduce(wiring.open_lake(settings), run, resources=resources, progress=told)
    if not result.same:
        msg = f"run {run} came out differently: {result.found} instead of {result.expected}"
        raise TerminalError(msg)
    return f"run {run} came out the same, bit for bit: {result.found}"


def _train(
    settings: Settings,
    rule: Path | None,
    tenant: str | None,
    seed: int | None,
    trigger: str,
    told: "Callable[[str, int, int], None]",
) -> "tuple[list[TrainReport], dict[str, Exception]]":
    """Returns what became of each tenant, and what kept others from being trained at all."""
    from clapometer.training.planning import tenants
    from clapometer.training.reading import Resources
    from clapometer.training.train import train_once

    lake = wiring.open_lake(settings)
    chosen = _rule(settings, rule)
    owners = _owners(tenants(lake), tenant)
    reports: list[TrainReport] = []
    failed: dict[str, Exception] = {}
    for owner in owners:
        try:
            report = train_once(
                lake,
                chosen,
                clock=wiring.utc_now,
                tenant=owner,
                seed=settings.seed if seed is None else seed,
                trigger=trigger,
                parameters=wiring.parameters(settings),
                resources=Resources(threads=settings.threads, memory_limit=settings.memory_limit),
                keep_runs=settings.keep_runs,
                progress=told,
            )
        except Exception as error:
            if len(owners) == 1:
                raise
            failed[owner] = error
        else:
            reports.append(report)
    return reports, failed


def _owners(known: list[str], asked: str | None) -> list[str]:
    """Returns whose rankings are made.

    Raises:
        NotFoundError: The one that was asked for has nothing to rank.
    """
    known = known or ["default"]
    if asked is not None and asked not in known:
        msg = f"tenant {asked!r} has registered no clip{nearest(asked, known)}"
        raise NotFoundError(msg)
    return known if asked is None else [asked]


def _print(report: "TrainReport", json: bool) -> None:
    import msgspec

    run = report.run
    if json:
        echo_json(msgspec.json.encode({**msgspec.structs.asdict(run), "ranked": dict(report.ranked)}))
        return
    console = Console()
    seconds = (run.finished_at - run.started_at).total_seconds()
    if run.error is not None:
        console.print(f"run {run.run_id} ({run.tenant}) failed after {seconds:.1f} s: {run.error}")
        return
    ranked = ", ".join(f"{report.ranked[subject]:,} of {total:,} {subject}" for subject, total in report.items.items())
    console.print(f"run {run.run_id} ({run.tenant}): {run.outcomes:,} outcomes, ranked {ranked}, in {seconds:.1f} s")
    if run.tier_reason:
        console.print(f"  tier C, intervals and pair labels not calibrated: {run.tier_reason}")
    for reason, count in run.excluded.items():
        console.print(f"  left out: {count:,} {reason}")
