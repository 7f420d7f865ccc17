"""The long-running commands: each part alone, and ``up`` for all of them."""

import threading
import urllib.request
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clapometer.domain import InputError
from clapometer.operation import wiring
from clapometer.settings import Settings
from clapometer.terminal.printing import echo

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    import uvicorn

    from clapometer.operation.supervisor import Part

Descriptor = Annotated[int | None, typer.Option("--fd", hidden=True, help="Inherited listening socket.")]
READY_POLL_SECONDS = 0.2


def collect(fd: Descriptor = None) -> None:
    """Take events over HTTP and answer once they are durable."""
    import uvicorn

    from clapometer.collector import calm_garbage_collection, create_app, uvicorn_config
    from clapometer.eventlog import GroupCommitter
    from clapometer.gate import TrustedProxies
    from clapometer.telemetry.exporter import process_registry

    settings, stop = wiring.begin("collector")
    log = wiring.open_log(settings)
    committer = GroupCommitter(log, max_pending_bytes=settings.max_pending_bytes)
    config = wiring.collector_config(settings)
    registry, proxies = process_registry(), TrustedProxies(settings.trusted_proxies)
    spans = wiring.open_spans(settings, "collector")
    app = create_app(
        config,
        log=log,
        committer=committer,
        gate=wiring.open_gate(settings, stop),
        tokens=wiring.open_token_secrets(settings),
        clock=wiring.utc_now,
        registry=registry,
        version=wiring.version(),
        traced=None if spans is None else spans.request,
    )
    calm_garbage_collection()
    address = _address(settings.host, settings.collector_port, fd)
    server = uvicorn.Server(uvicorn_config(app, config, proxies=proxies, registry=registry, **address))
    try:
        _run_until(stop, server)
    finally:
        committer.close()
        log.close()
        if spans is not None:
            spans.close()


def serve(fd: Descriptor = None) -> None:
    """Answer with rankings, comparisons and slates, and show the page."""
    import structlog
    import uvicorn

    from clapometer.gate import TrustedProxies
    from clapometer.http.connections import ConnectionLimits
    from clapometer.serving import ServingConfig, create_app, uvicorn_config
    from clapometer.telemetry.exporter import process_registry

    settings, stop = wiring.begin("serving")
    spans = wiring.open_spans(settings, "serving")
    registry, tokens = process_registry(), wiring.open_token_secrets(settings)
    config = ServingConfig(
        public_tenant=settings.public_tenant or None,
        explore_share=settings.explore_share,
        token_seconds=settings.token_seconds,
        voucher_seconds=settings.voucher_seconds,
        cors_origins=settings.allowed_origins,
        duckdb_threads=settings.threads,
        sql_seconds=settings.sql_seconds,
        sql_memory=settings.sql_memory_bytes,
        sql_max_rows=settings.sql_max_rows,
        sql_min_viewers=settings.sql_min_viewers,
        sql_per_key=settings.sql_per_key,
        connections=ConnectionLimits(
            max_connections=wiring.connections_allowed(settings),
            max_per_address=settings.connections_per_address,
        ),
    )
    app = create_app(
        config,
        published=wiring.published_file(settings),
        gate=wiring.open_gate(settings, stop),
        token_key=tokens.signing,
        token_keys=tokens,
        clock=wiring.utc_now,
        registry=registry,
        version=wiring.version(),
        traced=None if spans is None else spans.request,
    )
    proxies = TrustedProxies(settings.trusted_proxies)
    address = _address(settings.host, settings.serving_port, fd)
    server = uvicorn.Server(uvicorn_config(app, config, proxies=proxies, registry=registry, **address))

    def not_reached(error: Exception) -> None:
        structlog.get_logger().error("lake not reached", error=str(error))

    try:
        with wiring.followed_lake(settings, stop, not_reached):
            _run_until(stop, server)
    finally:
        if spans is not None:
            spans.close()


def up() -> None:
    """Run collector, loader, scheduler and serving as one process group."""
    import structlog

    from clapometer.operation.supervisor import Part, Supervisor, bind, own_process_group

    settings, stop = wiring.begin("up")
    wiring.check_references(settings)
    own_process_group()
    try:
        collector = bind(settings.host, settings.collector_port)
        serving = bind(settings.host, settings.serving_port)
    except OSError as error:
        msg = f"{error.strerror or error}: is another `clapometer up` running? set other ports, or 0 for free ones"
        raise InputError(msg, "collector_port, serving_port") from error
    _first_steps(settings)
    parts = [
        Part("collector", ["collect"], collector),
        Part("loader", ["load"]),
        Part("scheduler", ["schedule"]),
        Part("serving", ["serve"], serving),
    ]
    threading.Thread(target=_announce, args=(parts,), name="announce", daemon=True).start()
    Supervisor(parts, stop).run()
    structlog.get_logger().info("stopped; nothing acknowledged is lost")


def _run_until(stop: threading.Event, server: "uvicorn.Server") -> None:
    """Serves until a signal to end, also one that came before, or before uvicorn takes signals itself."""

    def end(*_: object) -> None:
        server.should_exit = True

    wiring.on_signals(end)
    if stop.is_set():
        return
    server.run()


def _address(host: str, port: int, fd: int | None) -> dict[str, Any]:
    return {"host": host, "port": port} if fd is None else {"fd": fd}


def _first_steps(settings: Settings) -> None:
    import structlog

    from clapometer.gate import load_keys

    wiring.open_keys(settings)
    if not load_keys(settings.keys_file):
        structlog.get_logger().info("no API key yet: clapometer keys new --kind secret")
    wiring.open_token_secrets(settings)


def _announce(parts: "list[Part]") -> None:
    """Prints the address of each part on standard output once it answers that it is ready."""
    pause = threading.Event()
    for part in parts:
        if part.listener is None:
            continue
        host, port = part.listener.getsockname()[:2]
        address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        while not _answers(f"{address}/healthz"):
            pause.wait(READY_POLL_SECONDS)
        echo(f"ready {part.name} {address}")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False
