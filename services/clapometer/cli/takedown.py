"""``clapometer withdraw`` and ``clapometer erase``: a clip or a viewer is gone, everywhere, and there is proof."""

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from clapometer.cli import options
from clapometer.domain import InputError, NotFoundError, decode_event, encode_block, encode_events
from clapometer.operation import wiring
from clapometer.settings import Settings, load_settings
from clapometer.terminal.printing import echo, echo_json

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    from clapometer.eventlog import EventLog
    from clapometer.lake.tables import Lake
    from clapometer.takedown.erase import ErasureReport


def withdraw(
    clip_id: Annotated[str, typer.Argument(help="The clip to take down.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    scope: Annotated[
        Literal["clip", "descendants", "duplicates"],
        typer.Option(help="Also what was made from it, or what has the same content."),
    ] = "clip",
    tenant: options.Tenant = "default",
    ahead: Annotated[
        bool, typer.Option("--ahead", help="Also where nobody knows the clip yet: it is withdrawn whenever it comes.")
    ] = False,
    form: options.Format = "table",
) -> None:
    """Take a clip down: out of slates at once, out of labels at the next run; list the runs that contained it.

    Exit codes: 0 it is withdrawn, 2 the input or a setting is wrong, 3 there is no such clip.
    """
    json = form == "json"
    from clapometer.takedown.runs_of_clip import runs_with_clip

    settings = load_settings()
    block = _block(tenant, "clip_withdrawn", {"clip_id": clip_id, "reason": reason, "scope": scope})
    with _opened(settings) as (log, lake):
        if not ahead:
            _require_clip(settings, log, lake, tenant, clip_id)
        log.append_many([block])
        _catch_up(settings, log, lake)
        traces = runs_with_clip(lake, tenant, clip_id, scope)
    if json:
        echo_json(msgspec.json.encode(traces))
        return
    echo(f"{', '.join(traces.clips)}: withdrawn; no slate shows it from the next look of serving on (2 s)")
    echo(f"{len(traces.runs)} runs contained it{': ' if traces.runs else ''}{', '.join(traces.runs)}")
    echo("the next `clapometer train` leaves it out of labels and rankings")


def _require_clip(settings: Settings, log: "EventLog", lake: "Lake", tenant: str, clip_id: str) -> None:
    """Raises ``NotFoundError`` unless an event names the clip, be it one that the log holds and the lake does not."""
    from clapometer.takedown.runs_of_clip import is_known, nearest_clips

    if is_known(lake, tenant, clip_id):
        return
    _catch_up(settings, log, lake)
    if not is_known(lake, tenant, clip_id):
        msg = (
            f"no clip of tenant {tenant!r} has the id {clip_id!r}{nearest_clips(lake, tenant, clip_id)} Nothing was "
            "withdrawn; --ahead withdraws it before it comes"
        )
        raise NotFoundError(msg)


def erase(
    viewer_id: Annotated[str, typer.Argument(help="The viewer to forget, as impressions name it.")],
    tenant: options.Tenant = "default",
    form: options.Format = "table",
) -> None:
    """Erase a viewer from log, lake and published file; a register keeps proof without the id.

    Exit codes: 0 it is erased, 2 the input or a setting is wrong, 3 nothing of this viewer was stored.
    """
    json = form == "json"
    from clapometer.takedown.erase import erase_viewers, pending

    settings = load_settings()
    block = _block(tenant, "viewer_erased", {"viewer_id": viewer_id})
    with _opened(settings) as (log, lake):
        _catch_up(settings, log, lake)  # what was acknowledged before the order goes with it
        if pending(lake).num_rows:
            erase_viewers(lake, clock=wiring.utc_now, log=log)  # others' orders, so that the report is of this one
        log.append_many([block])
        _catch_up(settings, log, lake)
        report = erase_viewers(lake, clock=wiring.utc_now, log=log)
    if json:
        echo_json(msgspec.json.encode(report))
    _tell(report, viewer_id, tenant, json)


def _tell(report: "ErasureReport", viewer: str, tenant: str, json: bool) -> None:
    if not report.erasure_id:
        echo("erased by the loader that runs beside; see clapometer sql 'FROM erasures'", err=json)
        return
    proof = f"clapometer sql \"FROM erasures WHERE erasure_id = '{report.erasure_id}'\""
    removed = {**report.rows, "events": report.rows.get("events", 0) - report.orders}
    if not any(removed.values()):
        msg = (
            f"nothing of this viewer is stored: {viewer!r} of tenant {tenant!r}; --tenant names another. The register "
            f"says that it was looked for: {proof}. What arrives later is new: erase again"
        )
        raise NotFoundError(msg)
    if json:
        return
    rows = ", ".join(f"{count:,} of {name}" for name, count in removed.items() if count)
    echo(f"erased: {rows}; {report.files} files deleted, {report.blocks} blocks of the log dropped")
    echo(f"proof: {proof}")
    echo("the next `clapometer train` ranks without it")


@contextmanager
def _opened(settings: Settings) -> "Iterator[tuple[EventLog, Lake]]":

    log = wiring.open_log(settings)
    try:
        yield log, wiring.open_lake(settings)
    finally:
        log.close()


_OPTIONS = {"data.clip_id": "clip_id", "data.reason": "reason", "data.viewer_id": "viewer_id"}
"""What the command line calls the fields of its events."""


def _block(tenant: str, name: str, data: Mapping[str, object]) -> bytes:
    """Returns a block of one event, as the collector makes it.

    Raises:
        InputError: The command line says what no event may say.
    """
    now = wiring.utc_now()
    event = {
        "specversion": "1.0", "id": str(uuid.uuid4()), "source": "/command-line",
        "type": f"clapometer.{name}.v1", "time": now, "data": data,
    }  # fmt: skip
    try:
        lines = encode_events([decode_event(msgspec.json.encode(event))])
    except InputError as error:
        raise InputError(error.reason, _OPTIONS.get(error.field, error.field)) from error
    return encode_block(lines, 1, tenant=tenant, received_at=now, trust="key")


def _catch_up(settings: Settings, log: "EventLog", lake: "Lake") -> None:
    """Loads what the log holds now; a loader that runs beside may be faster."""
    from clapometer.loading.lag import blocks_behind, log_ends
    from clapometer.loading.loader import Loader, LoadSettings

    ends = log_ends(log)
    loader = Loader(log, lake, LoadSettings(window_days=settings.dedupe_days), clock=wiring.utc_now)
    try:
        while blocks_behind(lake, log, ends):
            loader.load_once()
    finally:
        loader.close()
