"""``clapometer log``: prepare a Kafka topic, and move a laptop's backlog into it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from clapometer.cli import options
from clapometer.domain import InputError, TerminalError
from clapometer.operation import wiring
from clapometer.settings import Settings, load_settings
from clapometer.terminal.printing import echo, echo_json
from clapometer.terminal.progress import progress_bar

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.eventlog.copy import CopyReport

app = typer.Typer(no_args_is_help=True, help="Prepare the event log in Kafka, and move a backlog into it.")


@app.command()
def init(form: options.Format = "table") -> None:
    """Create the topic that the `log` setting names, or say in what an existing one differs."""
    from clapometer.eventlog.kafka import init_topic

    report = init_topic(wiring.kafka_settings(_in_kafka(load_settings())))
    done = "created" if report.created else "is there"
    if form == "json":
        echo_json(msgspec.json.encode(report))
    else:
        echo(f"topic {report.topic} {done}: {report.partitions} partitions, replication {report.replication}")
        for each in report.differences:
            echo(f"  {each.name} is {each.found}, wanted {each.wanted}: {each.why}")
    if report.differences:
        msg = f"topic {report.topic} differs from what the event log needs in {len(report.differences)} settings"
        raise TerminalError(msg)


@app.command()
def copy(
    state: Annotated[Path, typer.Option(help="File that remembers how far the copy is, to resume it.")] = Path(
        "log-copy.json"
    ),
    form: options.Format = "table",
) -> None:
    """Append the blocks of the embedded log to the Kafka topic; goes on where it was stopped."""
    from clapometer.eventlog.copy import copy_log

    settings = _in_kafka(load_settings())
    source, target = wiring.open_embedded_log(settings), wiring.open_log(settings)
    start = msgspec.json.decode(state.read_bytes(), type=dict[int, int]) if state.exists() else {}
    with progress_bar(form == "json") as bar:
        task = bar.add_task("blocks", total=None, note="")

        def told(report: "CopyReport") -> None:
            temporary = state.with_name(f"{state.name}.new")
            temporary.write_bytes(msgspec.json.encode(report.following))
            temporary.replace(state)
            bar.update(task, completed=report.blocks)

        try:
            report = copy_log(source, target, start=start, progress=told)
        finally:
            source.close()
            target.close()
    if form == "json":
        echo_json(msgspec.json.encode({"blocks": report.blocks, "bytes": report.bytes}))
    else:
        echo(f"copied {report.blocks} blocks, {report.bytes} bytes; the embedded log stays as it is")


def _in_kafka(settings: Settings) -> Settings:
    if not settings.log.startswith("kafka://"):
        msg = f"{settings.log!r} names no topic; set it to kafka://host:port/topic"
        raise InputError(msg, "log")
    return settings
