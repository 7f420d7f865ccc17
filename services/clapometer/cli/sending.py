"""What ``simulate`` and ``replay`` share: the options of the sender, its progress and its report."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from clapometer.domain import Event, InputError
from clapometer.settings import load_settings
from clapometer.terminal.printing import Console, echo_json
from clapometer.terminal.progress import progress_bar

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.traffic import SendOptions, SendReport

Compression = Literal["none", "gzip", "zstd"]

Url = Annotated[str | None, typer.Option(help="Address of the collector; the one of the settings if left out.")]
Key = Annotated[str | None, typer.Option(help="Secret API key: `clapometer keys new --kind secret` makes one.")]
KeyFile = Annotated[Path | None, typer.Option(help="File that holds the key, so that no process list shows it.")]
Rate = Annotated[float | None, typer.Option(min=0.001, help="Events per second; as fast as answered if left out.")]
Connections = Annotated[int, typer.Option(min=1, max=1024, help="Requests under way at once.")]
Batch = Annotated[int, typer.Option(min=1, max=100_000, help="Most events in a request.")]
Encoding = Annotated[Compression, typer.Option(help="Compression of the requests.")]


def sender_options(
    *,
    url: str | None,
    key: str | None,
    key_file: Path | None,
    rate: float | None,
    connections: int,
    batch: int,
    compression: Compression,
) -> "SendOptions":
    """Returns the options that the command line spells.

    Raises:
        InputError: No key, or two, or the settings cannot be read.
    """
    from clapometer.traffic import SendOptions

    if url is None:
        settings = load_settings()
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{settings.collector_port}"
    return SendOptions(
        url=url.rstrip("/"),
        key=read_key(key, key_file),
        rate=math.inf if rate is None else rate,
        connections=connections,
        batch=batch,
        compression=compression,
    )


def read_key(key: str | None, key_file: Path | None) -> str:
    """Returns the key given as it is or in a file.

    Raises:
        InputError: Neither or both are given, or the file cannot be read.
    """
    if (key is None) == (key_file is None):
        msg = "give either --key or --key-file; `clapometer keys new --kind secret` makes a key"
        raise InputError(msg, "key")
    if key_file is None:
        return str(key)
    try:
        return key_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(str(error), "key-file") from error


def send_with_progress(
    events: Iterable[Event], options: "SendOptions", *, title: str, total: int | None, quiet: bool
) -> "SendReport":
    """Sends events and shows how far that is on standard error, unless ``quiet``."""
    from clapometer.traffic import send

    with progress_bar(quiet) as bar:
        task = bar.add_task(title, total=total, note="")

        def told(report: "SendReport") -> None:
            note = f"{report.acknowledged / max(report.seconds, 1e-9):,.0f}/s"
            bar.update(task, completed=report.acknowledged + report.rejected, note=note)

        report = send(events, options, progress=told)
        done = report.acknowledged + report.rejected
        bar.update(task, total=done, completed=done)
    return report


def add_reports(first: "SendReport", second: "SendReport") -> "SendReport":
    """Returns both runs as one."""
    from clapometer.traffic import SendReport

    reasons = {
        name: first.reasons.get(name, 0) + second.reasons.get(name, 0) for name in first.reasons | second.reasons
    }
    return SendReport(
        acknowledged=first.acknowledged + second.acknowledged,
        rejected=first.rejected + second.rejected,
        warnings=first.warnings + second.warnings,
        retries=first.retries + second.retries,
        seconds=first.seconds + second.seconds,
        reasons=reasons,
    )


def print_report(report: "SendReport", *, json: bool, more: dict[str, int | str] | None = None) -> None:
    """Prints what became of the events, with ``more`` about where they came from."""
    if json:
        echo_json(msgspec.json.encode({**vars(report), **(more or {})}))
        return
    console = Console()
    speed = report.acknowledged / max(report.seconds, 1e-9)
    console.print(
        f"{report.acknowledged:,} events acknowledged in {report.seconds:.1f} s ({speed:,.0f}/s), "
        f"{report.rejected:,} rejected, {report.warnings:,} warnings, {report.retries:,} requests sent again"
    )
    for reason, count in report.reasons.items():
        console.print(f"  rejected {count:,}: {reason}")
    for name, value in (more or {}).items():
        console.print(f"  {name.replace('_', ' ')}: {value:,}" if isinstance(value, int) else f"  {name}: {value}")
