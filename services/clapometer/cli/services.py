"""The long-running commands: each part alone, and ``up`` for all of them."""

import signal
from typing import Annotated

import typer

from clapometer.cli import wiring
from clapometer.settings import load_settings
from clapometer.telemetry import configure_logging

Descriptor = Annotated[int | None, typer.Option("--fd", hidden=True, help="Inherited listening socket.")]
Supervised = Annotated[bool, typer.Option("--supervised", hidden=True, help="End when the parent process ends.")]


def collect(fd: Descriptor = None, supervised: Supervised = False) -> None:
    """Take events over HTTP and answer once they are durable."""
    import uvicorn

    from clapometer.collector import CollectorConfig, create_app, uvicorn_config
    from clapometer.eventlog import GroupCommitter

    settings = _begin("collector", supervised)
    log = wiring.open_log(settings)
    committer = GroupCommitter(log, max_pending_bytes=settings.max_pending_bytes)
    config = CollectorConfig(
        max_body_bytes=settings.max_body_bytes,
        max_decoded_bytes=settings.max_body_bytes,
        max_beacon_bytes=settings.max_beacon_bytes,
        max_events=settings.max_events,
        max_depth=settings.max_depth,
        max_ratio=settings.max_ratio,
        cors_origins=settings.allowed_origins,
    )
    app = create_app(
        config,
        log=log,
        committer=committer,
        keys=wiring.open_keys(settings),
        tokens=wiring.open_token_secrets(settings).verifying(),
        clock=wiring.utc_now,
        version=wiring.version(),
    )
    where = {"fd": fd} if fd is not None else {"host": settings.host, "port": settings.collector_port}
    try:
        uvicorn.Server(uvicorn_config(app, config, **where)).run()
    finally:
        committer.close()
        log.close()
