"""``clapometer demo``: real events through the whole loop, and a ranking beside the truth."""

import datetime as dt
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.progress import Progress

from clapometer.cli import sending
from clapometer.domain import InputError, TerminalError
from clapometer.operation.demo.summary import DemoSummary
from clapometer.terminal.printing import Console
from clapometer.terminal.progress import progress_bar
from clapometer.terminal.progress_lines import told_each_second

if TYPE_CHECKING:  # imported when the command runs, so that help is quick
    from clapometer.domain import Event
    from clapometer.lake.tables import Lake
    from clapometer.operation.demo.service import Service
    from clapometer.traffic import KuaiRand, SendReport
    from clapometer.traffic.worlds.truth import WorldTruth
    from clapometer.traffic.worlds.truth_check import Check, RankedRow
    from clapometer.training.train import TrainReport

SIMULATED, RECORDED = "default", "kuairand"
"""Tenants: whoever logs no propensities must not cost those who do their tier."""
LOAD_SECONDS = 300.0
LOCK_SECONDS = 120.0
BOTS = 40
"""Fake accounts of the simulated world; each likes about 150 clips of one mediocre model version."""
_POLL_SECONDS = 0.25
_SHOWN_PROMPTS = 8


@dataclass(frozen=True)
class DemoOptions:
    """What the demo runs on.

    Attributes:
        folder: Folder for its files; must not be there yet.
        lake: Folder of the lake; in ``folder`` where ``None``.
        kuairand: Folder of the KuaiRand sample; the one that comes with Clapometer where ``None``.
        port: Port of the collector, serving gets the next one; any free ones where ``None``.
        keep: Leave the service up.
        seed: Of the simulated world.
        prompts: Prompts of the world.
        sessions: Sessions of ten impressions.
    """

    folder: Path
    lake: Path | None
    kuairand: Path | None
    port: int | None
    keep: bool
    seed: int
    prompts: int
    sessions: int


@dataclass(frozen=True)
class DemoResult:
    """The summary and what else is printed; ``keys`` holds a secret key for each tenant."""

    summary: DemoSummary
    models: "Check"
    prompts: "Check"
    recorded: "list[RankedRow]"
    seconds_per_clip: dict[str, float]
    keys: dict[str, str]


def demo(
    *,
    keep: Annotated[bool, typer.Option(help="Leave the service up afterwards.")] = False,
    summary: Annotated[Path | None, typer.Option(help="File to write a summary to, as JSON.")] = None,
    lake: Annotated[Path | None, typer.Option(help="Folder of the lake; must be empty or not there.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65534, help="Port of the collector; the page gets the next one.")
    ] = None,
    kuairand: Annotated[
        Path | None, typer.Option(help="Folder of another KuaiRand sample than the one that comes with Clapometer.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where each demo makes a folder of its own.")] = Path(".demo"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world.")] = 1,
    prompts: Annotated[int, typer.Option(min=200, help="Prompts of the simulated world.")] = 2_000,
    sessions: Annotated[int, typer.Option(min=280, help="Sessions of ten impressions each.")] = 25_000,
) -> None:
    """Run the whole loop on real and simulated events, and print the ranking beside the truth."""
    started = dt.datetime.now(dt.UTC)
    options = DemoOptions(
        folder=(folder / f"{started:%Y%m%d-%H%M%S-%f}").absolute(),
        lake=None if lake is None else lake.absolute(),
        kuairand=kuairand,
        port=port,
        keep=keep,
        seed=seed,
        prompts=prompts,
        sessions=sessions,
    )
    with progress_bar(quiet=False) as bar, told_each_second(bar), ended_by_sigterm():
        result = run_demo(options, bar)
    if summary is not None:
        summary.write_bytes(msgspec.json.format(msgspec.json.encode(result.summary)) + b"\n")
    print_result(Console(markup=True), options, result)
    if result.summary.ledger_difference or result.summary.acknowledged > result.summary.received:
        msg = "the ledger does not add up; see the summary"
        raise TerminalError(msg)


def run_demo(options: DemoOptions, bar: Progress) -> DemoResult:
    """Returns what the whole loop came to; its processes have ended then, unless they are to be kept.

    Raises:
        InputError: The sample, a folder or a port is not there or not free.
        TerminalError: The service ended, or did not load within ``LOAD_SECONDS``.
    """
    started = time.monotonic()
    task = bar.add_task("set-up", total=3, note="")  # told of while the rest is imported
    from clapometer.lake.tables import Lake
    from clapometer.operation.demo.service import free_ports, running_service, write_settings
    from clapometer.simulation import WorldConfig
    from clapometer.traffic import TrafficOptions, build_traffic, truth_of, write_truth

    recorded = _recorded(options)
    lake_folder = _fresh_folders(options)
    ports = free_ports(options.port)
    keys = _write_keys(options.folder / "keys.json")
    bar.advance(task)
    config = WorldConfig(n_prompts=options.prompts, n_sessions=options.sessions, n_viewers=8_000, bots=BOTS)
    traffic = build_traffic(config, TrafficOptions(seed=options.seed, until=dt.datetime.now(dt.UTC)))
    truth = truth_of(traffic)
    write_truth(truth, options.folder / "truth.json")
    bar.advance(task)
    done = False
    settings_file = write_settings(options.folder, lake_folder, options.folder / "keys.json", ports)
    with running_service(settings_file, ports, keep=lambda: options.keep and done) as service:
        bar.advance(task)
        lake = Lake(lake_folder)
        sent = sending.add_reports(
            _send(
                bar,
                service,
                title="KuaiRand (real)",
                events=recorded.events(),
                key=keys[RECORDED],
                total=recorded.counts.events,
            ),
            _send(
                bar,
                service,
                title="simulated world",
                events=traffic.events(),
                key=keys[SIMULATED],
                total=traffic.n_events,
            ),
        )
        _await_loaded(bar, service, lake, sent.acknowledged + sent.rejected)
        excluded = _train(bar, lake)
        end = bar.add_task("results, service ends", total=1, note="")
        result = _result(
            lake,
            truth,
            service,
            sent=sent,
            repeated_rows=recorded.counts.repeated,
            excluded=excluded,
            seconds=time.monotonic() - started,
            keep=options.keep,
            keys=keys,
        )
        done = True
    bar.update(end, completed=1)
    return result


def _recorded(options: DemoOptions) -> "KuaiRand":
    from clapometer.traffic import KuaiRand
    from clapometer.traffic.recorded.kuairand import REACTIONS_FILE, SAMPLE

    folder = SAMPLE if options.kuairand is None else options.kuairand
    file = folder / REACTIONS_FILE
    if not file.is_file():
        msg = f"{folder} holds no {REACTIONS_FILE}; leave --kuairand out for the sample that comes with Clapometer"
        raise InputError(msg, "kuairand")
    recorded = KuaiRand(file)
    if recorded.counts.bad:
        said = f"{file}: {recorded.counts.bad:,} of {recorded.counts.rows:,} rows were left out; `replay` says which"
        Console(stderr=True, soft_wrap=True).print(said)
    return recorded


def _fresh_folders(options: DemoOptions) -> Path:
    """Makes the demo's folder; returns that of the lake."""
    lake = options.lake or options.folder / "lake"
    if lake.exists() and (not lake.is_dir() or any(lake.iterdir())):
        msg = f"{lake} is not empty; the demo wants a fresh lake"
        raise InputError(msg, "lake")
    options.folder.mkdir(parents=True)
    return lake


def _write_keys(path: Path) -> dict[str, str]:
    """Writes a key file; returns a secret key for each tenant."""
    from clapometer.gate import new_key, save_keys

    now = dt.datetime.now(dt.UTC)
    made = {tenant: new_key("secret", now=now, tenant=tenant, name="demo") for tenant in (SIMULATED, RECORDED)}
    save_keys(path, [record for _, record in made.values()])
    return {tenant: key for tenant, (key, _) in made.items()}


def _send(
    bar: Progress, service: "Service", *, title: str, events: "Iterator[Event]", key: str, total: int
) -> "SendReport":
    from clapometer.traffic import SendFailedError, SendOptions, send

    task = bar.add_task(title, total=total, note="")

    def told(report: "SendReport") -> None:
        note = f"{report.acknowledged / max(report.seconds, 1e-9):,.0f} events/s"
        bar.update(task, completed=report.acknowledged + report.rejected, note=note)

    try:
        report = send(events, SendOptions(url=service.addresses.collector, key=key), progress=told)
    except SendFailedError:
        service.check()  # says more, where the service is what ended
        raise
    bar.update(task, total=report.acknowledged + report.rejected)
    return report


def _await_loaded(bar: Progress, service: "Service", lake: "Lake", expected: int) -> None:
    task = bar.add_task("loaded into the lake", total=expected, note="")
    from clapometer.operation.demo.lake import ledger_totals

    def loaded() -> bool:
        service.check()
        received = ledger_totals(lake).received
        bar.update(task, completed=min(received, expected))
        return received >= expected

    _await(loaded, LOAD_SECONDS, f"the loader did not load all within {LOAD_SECONDS:g} s; see {service.log}")
    bar.update(task, completed=expected)


def _await(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TerminalError(complaint)
        time.sleep(_POLL_SECONDS)


def _train(bar: Progress, lake: "Lake") -> dict[str, int]:
    """Trains all tenants; returns the simulated impressions that were left out, by reason.

    Waits where the service's own schedule is at it.

    Raises:
        TerminalError: A run failed; says why.
    """
    task = bar.add_task("training", total=None, note="")  # what trains takes seconds to import, which are told
    from clapometer.lake.lock import TrainingLockedError
    from clapometer.training.train import train_all

    finished: list[TrainReport] = []

    def told(stage: str, done: int, total: int) -> None:
        bar.update(task, note=f"{stage} {done}/{total}" if total > 1 else stage)

    def trained() -> bool:
        try:
            finished[:] = train_all(lake, clock=lambda: dt.datetime.now(dt.UTC), progress=told)
        except TrainingLockedError:
            return False
        return True

    _await(trained, LOCK_SECONDS, f"another training did not end within {LOCK_SECONDS:g} s")
    for report in finished:
        if report.run.status != "succeeded":
            msg = f"training {report.run.tenant} failed: {report.run.error}"
            raise TerminalError(msg)
    bar.update(task, total=1, completed=1, note=f"{len(finished)} tenants")
    return next(dict(report.run.excluded) for report in finished if report.run.tenant == SIMULATED)


def _result(
    lake: "Lake",
    truth: "WorldTruth",
    service: "Service",
    *,
    sent: "SendReport",
    repeated_rows: int,
    excluded: dict[str, int],
    seconds: float,
    keep: bool,
    keys: dict[str, str],
) -> DemoResult:
    from clapometer.lake.ledger import ledger_difference
    from clapometer.operation.demo.lake import ledger_totals, mean_durations, ranking
    from clapometer.traffic.worlds.truth_check import check, true_models, true_prompts

    totals = ledger_totals(lake)
    models = check(ranking(lake, SIMULATED, "model_versions"), true_models(truth))
    prompts = check(ranking(lake, SIMULATED, "prompts"), true_prompts(truth))
    summary = DemoSummary(
        acknowledged=sent.acknowledged,
        received=totals.received,
        stored=totals.stored,
        duplicates=totals.duplicate,
        rejected=totals.rejected,
        suppressed=totals.suppressed,
        ledger_difference=ledger_difference(lake),
        seconds=round(seconds, 1),
        tau=models.tau,
        tau_completion_rate=models.tau_completion_rate,
        tau_prompts=prompts.tau,
        covered=models.covered,
        repeated_rows=repeated_rows,
        excluded=excluded,
        lake=str(lake.root),
        addresses={"collector": service.addresses.collector, "serving": service.addresses.serving},
        pid=service.process.pid if keep else None,
    )
    recorded = ranking(lake, RECORDED, "model_versions")
    return DemoResult(summary, models, prompts, recorded, mean_durations(lake, SIMULATED), keys)


def print_result(console: Console, options: DemoOptions, result: DemoResult) -> None:
    """Prints the rankings beside the truth, what became of the events, and where to look next."""
    from clapometer.operation.demo.words import print_agreement, print_models, print_next_steps, print_prompts
    from clapometer.serving.wording import things

    summary = result.summary
    console.print()
    print_models(console, result.models, result.recorded)
    console.print()
    if result.prompts.rows:
        print_prompts(console, result.prompts, _SHOWN_PROMPTS)
        console.print()
    print_agreement(console, result.models, result.prompts, result.seconds_per_clip)
    console.print(
        f"\n{summary.acknowledged:,} events acknowledged = {summary.stored:,} stored + {summary.duplicates:,} "
        f"duplicates (of {summary.repeated_rows} rows that the recording repeats); {summary.rejected:,} rejected, "
        f"ledger difference {summary.ledger_difference}, {summary.seconds:.0f} s in all."
    )
    for reason, count in summary.excluded.items():
        console.print(f"Left out of the ranking, but not of the lake: {count:,} {things(reason)}: {reason}.")
    print_next_steps(console, options.folder, summary, result.keys)


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM end the block as Ctrl-C does: in order."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
