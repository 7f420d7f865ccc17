"""Events per second and core of the collector, against the same endpoint written with FastAPI and pydantic.

    python bench/collector.py [--seconds 5] [--batches 1 10 100] [--kind secret|publishable] [--json FILE]

Each server runs in a process of its own on the first core, writes to an embedded log in the same folder and answers
after its block is durable. The load comes from wrk on the last core (Debian: ``apt-get install wrk``), in a closed
loop: each of its connections sends again when it has its answer. Servers take turns, batch by batch, several rounds
each; what counts is events per second of the server's processor time (user and system, all its threads), which other
work on the machine disturbs little, and the quotient of the two within a round.

Two limits are measured beside them: an application that does nothing but read the body and answer, under the same
uvicorn, and what the disk needs to sync as many bytes as a group of all connections holds. A group's commit is two
such syncs (LMDB: pages, then the page that names them), and a request waits for the group before its own, too.

Percentiles are those of a busy machine where it is busy; ``chrt -f 10 python bench/collector.py`` (root) gives server
and wrk their cores for themselves.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import uvicorn
from bench.peers import fastapi_pydantic
from bench.wrk import post

from clapometer.collector import CollectorConfig, calm_garbage_collection, create_app, uvicorn_config
from clapometer.domain import sign_impression
from clapometer.domain.events import ImpressionData
from clapometer.eventlog import EmbeddedLog, GroupCommitter
from clapometer.gate import ApiKey, Gate, KeyRing, new_key

OURS, PEER, NOTHING = "clapometer", "fastapi + pydantic", "no-op"
TARGETS = {1: 4.0, 10: 6.0, 100: 7.0}
P99_MS = 30.0  # at 10 events a request, 64 connections
SECRETS = {"t1": b"a secret for impression tokens, 32 bytes or more"}


def events(count: int, tenant: str) -> list[dict[str, Any]]:
    """Returns a feed's traffic: an impression with a token, its watch time, now and then a reaction."""
    now = dt.datetime.now(dt.UTC)
    made: list[dict[str, Any]] = []
    while len(made) < count:
        impression = str(uuid.uuid4())
        data = ImpressionData(
            impression_id=impression, clip_id=f"clip-{uuid.uuid4()}", viewer_id=str(uuid.uuid4()),
            session_id=str(uuid.uuid4()), slate_id=str(uuid.uuid4()), position=len(made) % 12, surface="feed",
            policy_id="ranked-1", propensity=0.125, candidates=64, locale="en-GB", device_class="phone",
        )  # fmt: skip
        expires = int(now.timestamp()) + 3_600
        token = sign_impression(
            tenant, data, key_id="t1", secret=SECRETS["t1"], issued=expires - 3_600, expires=expires
        )
        shown = {name: getattr(data, name) for name in data.__struct_fields__ if getattr(data, name) is not None}
        watched = {
            "impression_id": impression, "played_segments": [[0, 5_200], [6_000, 8_000]], "total_ms": 9_100,
            "muted_ms": 0, "loops": 1, "max_position_ms": 8_000, "end_reason": "skipped",
        }  # fmt: skip
        reacted = {"impression_id": impression, "reaction": "like"}
        for name, content in (("impression", {**shown, "token": token}), ("watched", watched), ("reacted", reacted)):
            made.append(
                {
                    "specversion": "1.0",
                    "id": str(uuid.uuid4()),
                    "source": "https://player.example/web",
                    "type": f"clapometer.{name}.v1",
                    "time": now.isoformat().replace("+00:00", "Z"),
                    "data": content,
                }
            )
    return made[:count]


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that reads the body and answers."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


def sync_times(folder: str, size: int, count: int = 100) -> tuple[float, float]:
    """Returns the 50th and 99th percentile, in milliseconds, of appending ``size`` bytes to a file and syncing it."""
    took = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        for _ in range(count):
            started = time.perf_counter()
            file.write(bytes(size))
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - started) * 1e3)
    took.sort()
    return took[count // 2], took[count * 99 // 100]


def serve(name: str, folder: str, keys: list[ApiKey], listener: socket.socket) -> None:
    """Runs one of the servers on the first core until it is told to stop."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    log = EmbeddedLog(Path(folder), max_bytes=16 << 30)
    committer = GroupCommitter(log)
    config = CollectorConfig()
    if name == OURS:
        app = create_app(
            config, log=log, committer=committer, gate=Gate(KeyRing(keys)), tokens=SECRETS,
            clock=lambda: dt.datetime.now(dt.UTC),
        )  # fmt: skip
        settings = uvicorn_config(app, config)
        calm_garbage_collection()
    else:
        peer: Any = nothing if name == NOTHING else fastapi_pydantic.create_app(committer, keys)
        settings = uvicorn.Config(peer, loop="uvloop", http="httptools", access_log=False, log_config=None)
    uvicorn.Server(settings).run(sockets=[listener])
    committer.close()
    log.close()


def measure(
    name: str, key: tuple[str, ApiKey], bodies: Path, batch: int, options: argparse.Namespace
) -> dict[str, Any]:
    """Returns the numbers of one server under one load."""
    folder = tempfile.mkdtemp(dir=options.folder)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(name, folder, [key[1]], listener))
    process.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        wait_for(listener.getsockname())
        send = partial(post, address, "/v1/events", key[0], bodies, connections=options.connections)
        core = max(os.sched_getaffinity(0))
        send(seconds=1, core=core)  # warm
        server = psutil.Process(process.pid)
        before = server.cpu_times()
        load = send(seconds=options.seconds, core=core)
        after = server.cpu_times()
    finally:
        process.terminate()
        process.join()
        listener.close()
        shutil.rmtree(folder)
    busy = after.user + after.system - before.user - before.system
    if load.errors:
        msg = f"{name}: {load.errors} of {load.requests} requests failed"
        raise SystemExit(msg)
    count = load.requests * batch
    return {
        "server": name, "batch": batch, "events": count, "events_per_second": count / load.seconds,
        "events_per_core_second": count / busy, "cores": busy / load.seconds, "p50_ms": load.p50_ms,
        "p99_ms": load.p99_ms,
    }  # fmt: skip


def wait_for(address: tuple[str, int]) -> None:
    """Returns once the server answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(address, 1) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
                if connection.recv(4):
                    return
        except OSError:
            time.sleep(0.05)
    msg = "the server did not start"
    raise SystemExit(msg)


def run(options: argparse.Namespace, say: Callable[[str], None] = print) -> list[dict[str, Any]]:
    """Returns all measurements, having said them."""
    key = new_key(options.kind, now=dt.datetime.now(dt.UTC))
    results = []
    size = len(json.dumps(events(3, "default"))) // 3
    say(f"{options.connections} connections, {options.kind} key, events of {size} B")
    for batch in options.batches:
        bodies = Path(options.folder) / f"bodies-{batch}"
        lines = [json.dumps(events(batch, "default"), separators=(",", ":")) for _ in range(max(8, 512 // batch))]
        bodies.write_text("\n".join(lines) + "\n")
        quotients = []
        for _ in range(options.rounds):
            sync = sync_times(options.folder, size * batch * options.connections)
            one_round = [measure(name, key, bodies, batch, options) for name in (PEER, NOTHING, OURS)]
            results += one_round
            quotients.append(one_round[2]["events_per_core_second"] / one_round[0]["events_per_core_second"])
            for one in one_round:
                say(
                    f"batch {batch:>3}  {one['server']:<18} {one['events_per_core_second']:>9,.0f} events/s/core  "
                    f"{one['events_per_second']:>9,.0f} events/s on {one['cores']:.2f} cores  "
                    f"p50 {one['p50_ms']:.1f} ms  p99 {one['p99_ms']:.1f} ms"
                )
            say(f"batch {batch:>3}  one sync of this disk: p50 {sync[0]:.1f} ms  p99 {sync[1]:.1f} ms")
        say(f"batch {batch:>3}  {statistics.median(quotients):.1f} times as many (target {TARGETS.get(batch, 0):.0f})")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--kind", choices=["secret", "publishable"], default="secret")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.folder = folder
        results = run(options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
