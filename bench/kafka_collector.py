"""Events a second and core through HTTP into Kafka, answered after all acknowledgements: the collector and others.

    python -m bench.kafka_collector [--seconds 5] [--rounds 3] [--batches 1 10 100] [--otelcol BINARY] [--json FILE]

In turn, in one run, against one broker, with the same events, lz4, acks=all:

- FastAPI, pydantic and kafka-python, one record an event, all of a request awaited;
- the collector, with kafka-python and with confluent-kafka as its producer;
- with ``--otelcol``, an OpenTelemetry Collector (OTLP over HTTP in, one record an event out, its queue in memory
  switched off, so that it too answers after the acknowledgement; ``bench/peers/otelcol`` builds it with
  ``go build``). It looks at no event and no key.

Core seconds are those of the server's process; the broker's, the same kind of broker for all, are shown beside them.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import os
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]
import uvicorn
from bench.collector import SECRETS, events, wait_for
from bench.peers import fastapi_kafka
from bench.wrk import post
from tests.brokers.broker import Broker

from clapometer.collector import CollectorConfig, calm_garbage_collection, create_app, uvicorn_config
from clapometer.eventlog import GroupCommitter
from clapometer.eventlog.kafka import KafkaLog, init_topic, parse_kafka_url
from clapometer.gate import ApiKey, Gate, KeyRing, new_key

FASTAPI, OURS, CONFLUENT, OTELCOL = "fastapi + kafka-python", "clapometer", "clapometer, confluent", "otelcol"
TARGETS = {FASTAPI: {1: 1.2, 10: 2.0, 100: 5.0}, OTELCOL: {10: 1.0, 100: 1.0}}
OTELCOL_CONFIG = {
    "receivers": {"otlp": {"protocols": {"http": {}}}},
    "exporters": {
        "kafka": {
            "sending_queue": {"enabled": False},
            "producer": {"required_acks": "all", "compression": "lz4", "allow_auto_topic_creation": False},
        }
    },
    "service": {
        "telemetry": {"logs": {"level": "error"}, "metrics": {"level": "none"}},
        "pipelines": {"logs": {"receivers": ["otlp"], "exporters": ["kafka"]}},
    },
}


class Key(NamedTuple):
    """A key, and what the servers know of it."""

    text: str
    record: ApiKey


def serve(name: str, url: str, key: ApiKey, listener: socket.socket) -> None:
    """Runs one of the servers in Python until it is told to stop."""
    settings = parse_kafka_url(url)
    if name == FASTAPI:
        peer = fastapi_kafka.create_app(list(settings.servers), settings.topic, settings.compression, [key])
        config = uvicorn.Config(peer, loop="uvloop", http="httptools", access_log=False, log_config=None)
        uvicorn.Server(config).run(sockets=[listener])
        return
    log = KafkaLog(settings)
    committer = GroupCommitter(log)
    limits = CollectorConfig()
    app = create_app(
        limits,
        log=log,
        committer=committer,
        gate=Gate(KeyRing([key])),
        tokens=SECRETS,
        clock=lambda: dt.datetime.now(dt.UTC),
    )
    served = uvicorn_config(app, limits)
    calm_garbage_collection()
    uvicorn.Server(served).run(sockets=[listener])
    committer.close()
    log.close()


@contextmanager
def running(name: str, url: str, key: Key, options: argparse.Namespace) -> Iterator[tuple[int, int]]:
    """Yields the process id and the port of a server that answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        if name != OTELCOL:
            run = multiprocessing.get_context("spawn").Process(target=serve, args=(name, url, key.record, listener))
            run.start()
            try:
                wait_for(("127.0.0.1", port))
                yield int(run.pid or 0), port
            finally:
                run.terminate()
                run.join()
            return
    config = json.loads(json.dumps(OTELCOL_CONFIG))
    settings = parse_kafka_url(url)
    config["receivers"]["otlp"]["protocols"]["http"]["endpoint"] = f"127.0.0.1:{port}"
    config["exporters"]["kafka"] |= {
        "brokers": list(settings.servers),
        "logs": {"topic": settings.topic, "encoding": "raw"},
    }
    path = Path(options.folder) / "otelcol.yaml"  # JSON is YAML
    path.write_text(json.dumps(config))
    command = [options.otelcol, "--config", path]
    with (
        (path.parent / "otelcol.log").open("ab") as log,  # each connection that wrk closes is an error to it
        subprocess.Popen(command, env={**os.environ, "GOMAXPROCS": "2"}, stdout=log, stderr=log) as server,
    ):
        try:
            wait_for(("127.0.0.1", port))
            yield server.pid, port
        finally:
            server.terminate()


def bodies(batch: int, form: str, folder: str) -> Path:
    """Returns a file with a body a line: a JSON array of events, or the same events as the logs of OTLP."""
    path = Path(folder) / f"bodies-{form}-{batch}"
    lines = []
    for _ in range(max(8, 512 // batch)):
        made = events(batch, "default")
        body: Any = made
        if form == "otlp":
            texts = [json.dumps(event, separators=(",", ":")) for event in made]
            records = [{"body": {"stringValue": text}} for text in texts]
            body = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
        lines.append(json.dumps(body, separators=(",", ":")))
    path.write_text("\n".join(lines) + "\n")
    return path


def measure(name: str, batch: int, broker: Broker, key: Key, options: argparse.Namespace) -> dict[str, Any]:
    """Returns the numbers of one server under one load."""
    client = "confluent" if name == CONFLUENT else "kafka-python"
    topic = f"{name.split(maxsplit=1)[0].strip(',')}-{client}-{batch}"
    url = f"kafka://{broker.server}/{topic}?partitions=1&replication=1&min_insync=1&client={client}"
    init_topic(parse_kafka_url(url))
    form, path = ("otlp", "/v1/logs") if name == OTELCOL else ("array", "/v1/events")
    file = bodies(batch, form, options.folder)
    with running(name, url, key, options) as (pid, port):
        target = f"http://127.0.0.1:{port}"
        post(target, path, key.text, file, connections=options.connections, seconds=1)  # warm
        server = psutil.Process(pid)
        before, at_broker = server.cpu_times(), broker.cpu_seconds()
        load = post(target, path, key.text, file, connections=options.connections, seconds=options.seconds)
        after = server.cpu_times()
        at_broker = broker.cpu_seconds() - at_broker
    if load.errors:
        msg = f"{name}: {load.errors} of {load.requests} requests failed"
        raise SystemExit(msg)
    if not load.requests:
        msg = f"{name}: no request was answered in {options.seconds} s; take more --seconds"
        raise SystemExit(msg)
    busy = after.user + after.system - before.user - before.system
    count = load.requests * batch
    return {
        "server": name, "batch": batch, "events": count, "events_per_second": count / load.seconds,
        "events_per_core_second": count / busy, "with_broker": count / (busy + at_broker),
        "cores": busy / load.seconds, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms,
    }  # fmt: skip


def show(one: dict[str, Any]) -> None:
    print(
        f"batch {one['batch']:>3}  {one['server']:<22} {one['events_per_core_second']:>9,.0f} events/s/core "
        f"({one['with_broker']:>9,.0f} with the broker's)  {one['events_per_second']:>9,.0f} events/s "
        f"on {one['cores']:.2f} cores  p50 {one['p50_ms']:.1f} ms  p99 {one['p99_ms']:.1f} ms",
        flush=True,
    )


def compare(batch: int, rounds: list[dict[str, dict[str, Any]]]) -> None:
    """Prints the quotients within the rounds."""
    for mine, theirs in (
        (OURS, FASTAPI),
        (CONFLUENT, FASTAPI),
        (CONFLUENT, OURS),
        (OURS, OTELCOL),
        (CONFLUENT, OTELCOL),
    ):
        if mine not in rounds[0] or theirs not in rounds[0]:
            continue
        quotients = [one[mine]["events_per_core_second"] / one[theirs]["events_per_core_second"] for one in rounds]
        target = TARGETS.get(theirs, {}).get(batch)
        print(
            f"batch {batch:>3}  {mine} / {theirs}: {statistics.median(quotients):.2f} "
            f"({min(quotients):.2f}–{max(quotients):.2f}){f', target {target}' if target else ''}",
            flush=True,
        )


def run(broker: Broker, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Returns all measurements, having shown them."""
    key = Key(*new_key("secret", now=dt.datetime.now(dt.UTC)))
    names = [FASTAPI, OURS, CONFLUENT, *([OTELCOL] if options.otelcol else [])]
    results = []
    for batch in options.batches:
        rounds = []
        for _ in range(options.rounds):
            rounds.append({name: measure(name, batch, broker, key, options) for name in options.only or names})
            for one in rounds[-1].values():
                show(one)
                results.append(one)
        compare(batch, rounds)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--only", nargs="+", choices=[FASTAPI, OURS, CONFLUENT, OTELCOL])
    parser.add_argument("--otelcol", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        options.folder = folder
        broker = Broker(Path(folder))
        broker.start()
        try:
            results = run(broker, options)
        finally:
            broker.kill()
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
