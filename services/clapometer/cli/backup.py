"""``clapometer backup``, ``restore`` and ``checksum``: a second system from a first one, and proof that it is one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clapometer.cli import options
from clapometer.domain import TerminalError
from clapometer.operation import wiring
from clapometer.settings import load_settings
from clapometer.terminal.printing import echo, echo_json

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.upkeep.backup import Manifest

Table = Literal[
    "events", "rejected", "ledger", "outcomes", "comparisons", "rankings", "contrasts", "screened", "runs", "erasures",
    "audits",
]  # fmt: skip
"""Those of `clapometer.lake.specs`, which would bring Arrow with it."""


def backup(
    folder: Annotated[Path, typer.Argument(help="Folder in which a new backup is made; best on another disk.")],
    form: options.Format = "table",
) -> None:
    """Back up lake, embedded log, keys and secrets while everything runs; what an earlier backup has is linked."""
    json = form == "json"
    from clapometer.upkeep.backup import BackupPlan, back_up

    settings = load_settings()
    lake = wiring.existing_lake(settings)
    wiring.lake_folder(settings)
    log = wiring.open_log(settings)
    try:
        plan = BackupPlan(
            lake=lake, log=log, copy_log=wiring.log_copier(settings, log),
            files=wiring.single_files(settings), version=wiring.version(), now=wiring.utc_now(),
        )  # fmt: skip
        made, manifest = back_up(plan, folder)
    finally:
        log.close()
    _print(made, manifest, json=json, done="made")


def restore(
    folder: Annotated[Path, typer.Argument(help="A backup, or the folder that holds several: the newest is taken.")],
    form: options.Format = "table",
) -> None:
    """Put a backup where the settings say; nothing may be there yet."""
    json = form == "json"
    from clapometer.upkeep.restore import RestorePlan, choose_backup
    from clapometer.upkeep.restore import restore as put_back

    settings = load_settings()
    chosen = choose_backup(folder)
    log = settings.log_folder if settings.log == "embedded" else None
    manifest = put_back(chosen, RestorePlan(wiring.lake_folder(settings), log, wiring.single_files(settings)))
    _print(chosen, manifest, json=json, done="restored")


def checksum(
    table: Annotated[Table, typer.Argument(help="Table of the lake.")] = "events",
    version: Annotated[int | None, typer.Option(min=0, help="Version of the table; the latest if left out.")] = None,
    expect: Annotated[str | None, typer.Option(help="Exit with 1 where the hash is another one.")] = None,
    form: options.Format = "table",
) -> None:
    """Print a hash of what a table holds: the same for the same rows, however they came there."""
    json = form == "json"
    import msgspec

    from clapometer.lake.content import content

    settings = load_settings()
    found = content(
        wiring.existing_lake(settings), table, version, threads=settings.threads, memory_limit=settings.memory_limit
    )
    line = f"{found.hash}  {found.table} version {found.version}, {found.rows:,} rows"
    if json:
        echo_json(msgspec.json.encode(found))
    else:
        echo(line)
    if expect is not None and found.hash != expect:
        msg = f"{table} has the hash {found.hash}, expected was {expect}"
        raise TerminalError(msg)


def _print(place: Path, manifest: "Manifest", *, json: bool, done: str) -> None:
    import msgspec

    if json:
        summary = {name: value for name, value in msgspec.structs.asdict(manifest).items() if name != "files"}
        echo_json(msgspec.json.encode({"backup": str(place), **summary}))
        return
    size = sum(file.size for file in manifest.files.values())
    echo(f"{done}: {place}: {len(manifest.files):,} files, {size:,} bytes, {manifest.rows['events']:,} events")
    if manifest.log.startswith("elsewhere"):
        echo("the event log is not part of it: Kafka keeps its own copies; keep its blocks until the next backup")
