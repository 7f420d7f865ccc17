"""``clapometer withdraw`` and ``clapometer erase``: a clip or a viewer is gone, everywhere, and there is proof."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from clapometer.cli import wiring
from clapometer.domain import decode_event, encode_block, encode_events
from clapometer.settings import Settings, load_settings

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.eventlog import EventLog
    from clapometer.lake import Lake

Tenant = Annotated[str, typer.Option(help="Whose.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def withdraw(
    clip_id: Annotated[str, typer.Argument(help="The clip to take down.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    scope: Annotated[
        Literal["clip", "descendants", "duplicates"],
        typer.Option(help="Also what was made from it, or what has the same content."),
    ] = "clip",
    tenant: Tenant = "default",
    json: Json = False,
) -> None:
    """Take a clip down: out of slates at once, out of labels at the next run; list the runs that contained it."""
    from clapometer.jobs.traces import runs_with_clip

    settings = load_settings()
    data = {"clip_id": clip_id, "reason": reason, "scope": scope}
    with _opened(settings) as (log, lake):
        _load(settings, log, lake, tenant, "clip_withdrawn", data)
        traces = runs_with_clip(lake, tenant, clip_id, scope)
    if json:
        typer.echo(msgspec.json.encode(traces))
        return
    typer.echo(f"{', '.join(traces.clips)}: withdrawn; no slate shows it from the next look of serving on (2 s)")
    typer.echo(f"{len(traces.runs)} runs contained it{': ' if traces.runs else ''}{', '.join(traces.runs)}")
    typer.echo("the next `clapometer train` leaves it out of labels and rankings")


def erase(
    viewer: Annotated[str, typer.Option(help="Id of the viewer, as impressions name it.")],
    tenant: Tenant = "default",
    json: Json = False,
) -> None:
    """Erase a viewer from log, lake and published file; a register keeps proof without the id."""
    from clapometer.jobs.erase import erase_viewers

    settings = load_settings()
    with _opened(settings) as (log, lake):
        _load(settings, log, lake, tenant, "viewer_erased", {"viewer_id": viewer})
        report = erase_viewers(lake, clock=wiring.utc_now, log=log)
    if json:
        typer.echo(msgspec.json.encode(report))
        return
    removed = ", ".join(f"{count:,} of {name}" for name, count in report.rows.items())
    typer.echo(f"erased: {removed}; {report.files} files deleted, {report.blocks} blocks of the log dropped")
    typer.echo(f"proof: clapometer sql \"FROM erasures WHERE erasure_id = '{report.erasure_id}'\"")
    typer.echo("the next `clapometer train` ranks without it")


@contextmanager
def _opened(settings: Settings) -> "Iterator[tuple[EventLog, Lake]]":

    log = wiring.open_log(settings)
    try:
        yield log, wiring.open_lake(settings)
    finally:
        log.close()


def _load(
    settings: Settings, log: "EventLog", lake: "Lake", tenant: str, name: str, data: Mapping[str, object]
) -> None:
    """Sends an event through the log, as the collector does, and loads until it is in the lake."""
    from clapometer.jobs.erase import loaded_before
    from clapometer.jobs.load import Loader, LoadSettings

    now = wiring.utc_now()
    event = {
        "specversion": "1.0", "id": str(uuid.uuid4()), "source": "/command-line",
        "type": f"clapometer.{name}.v1", "time": now, "data": data,
    }  # fmt: skip
    lines = encode_events([decode_event(msgspec.json.encode(event))])
    block = encode_block(lines, 1, tenant=tenant, received_at=now, trust="key")
    (position,) = log.append_many([block])
    loader = Loader(log, lake, LoadSettings(window_days=settings.dedupe_days), clock=wiring.utc_now)
    try:
        while loaded_before(lake, log, position.partition) <= position.offset:
            loader.load_once()
    finally:
        loader.close()
