"""The ways of fuzzing by whole requests, each of which returns how many it sent and what was wrong."""

import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.fuzz.bodies import EVENTS, SERVED, Keys, Mutator, requests
from tests.fuzz.servers import Server, Servers
from tests.fuzz.wire import Answered, Asked, Connection, Promises

WORKERS = 8
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth",
)  # fmt: skip


@dataclass
class Tally:
    """What came of a run.

    Attributes:
        statuses: Answers by status.
        texts: Texts that were printed.
        complaints: What was wrong, with how often.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    texts: int = 0
    complaints: Counter[str] = field(default_factory=Counter)

    def add(self, asked: Asked, answered: Answered, promises: Promises) -> None:
        """Counts one answer."""
        self.statuses[answered.status] += 1
        if (complaint := promises.complaint(asked, answered)) is not None:
            self.complain(complaint, str(asked))

    def complain(self, complaint: str, about: str = "") -> None:
        """Counts what is wrong, and shows the first of its kind."""
        if complaint not in self.complaints:
            print(f"{complaint}\n  {about}", flush=True)
        self.complaints[complaint] += 1


def mutations(servers: Servers, count: int, seed_: int, corpus: list[bytes]) -> Tally:
    """Sends mutations of good requests to both services, over several connections: each waits for the disk."""
    promises = {server.part: Promises(server.document()) for server in servers.both}
    shares = [count // WORKERS + (worker < count % WORKERS) for worker in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        send = partial(_mutations, servers, promises, corpus)
        found = list(pool.map(send, shares, range(seed_ * WORKERS, seed_ * WORKERS + WORKERS)))
    statuses = sum((tally.statuses for tally in found), Counter())
    return Tally(statuses, complaints=sum((tally.complaints for tally in found), Counter()))


def _mutations(servers: Servers, promises: dict[str, Promises], corpus: list[bytes], count: int, seed_: int) -> Tally:
    tally, mutator = Tally(), Mutator(Keys(servers.secret, servers.publishable), seed_, corpus)
    with closing(Connection(servers.collector.port)) as collector, closing(Connection(servers.serving.port)) as serving:
        for _ in range(count):
            asked = mutator.request()
            connection, part = (serving, "serve") if asked.operation in SERVED else (collector, "collect")
            tally.add(asked, connection.ask(asked), promises[part])
    return tally


def grammar(servers: Servers, count: int, seed_: int) -> Tally:
    """Sends what hypothesis makes of the grammar of events."""
    tally = Tally()
    connection, promises = Connection(servers.collector.port), Promises(servers.collector.document())

    @seed(seed_)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(requests(Keys(servers.secret, servers.publishable)))
    def send(asked: Asked) -> None:
        tally.add(asked, connection.ask(asked), promises)

    send()
    connection.close()
    return tally


def covered(folder: Path, runs: int) -> tuple[int, list[bytes], str | None]:
    """Fuzzes in a process that atheris watches; returns how many bodies, those worth keeping, and what went wrong."""
    command = [sys.executable, "-m", "tests.fuzz.coverage", str(folder / "corpus"), f"-runs={runs}", "-max_len=4096"]
    command += [f"-artifact_prefix={folder}/", "-timeout=20", "-seed=1"]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    counted = re.search(r"Done (\d+) runs", done.stderr)
    corpus = [path.read_bytes()[3:] for path in sorted((folder / "corpus").iterdir())]
    complaint = None if done.returncode == 0 and counted else done.stderr[-3_000:] or str(done.returncode)
    return int(counted[1]) if counted else 0, corpus, complaint


def documented(servers: Servers, seconds: int, folder: Path) -> Tally:
    """Has schemathesis hold both services to their documents, ``seconds`` each; counts what they say they answered."""
    tally = Tally()
    for server in servers.both:
        before = server.statuses()
        done = subprocess.run(
            _schemathesis(server, servers.secret, seconds), capture_output=True, text=True, cwd=folder, check=False
        )
        tally.statuses += server.statuses() - before
        if done.returncode:
            print(done.stdout[-6_000:], done.stderr[-2_000:], flush=True)
            tally.complaints[f"schemathesis on {server.part}: exit code {done.returncode}"] += 1
    return tally


def _schemathesis(server: Server, key: str, seconds: int) -> list[str]:
    return [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.address}/openapi.json",
        "-H", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS), "--max-time", str(seconds),
        "--phases", "examples,coverage,fuzzing", "--generation-deterministic", "--continue-on-failure",
        "--suppress-health-check", "all", "--no-color", "--warnings", "off", "--request-timeout", "60",
    ]  # fmt: skip


def replayed(servers: Servers, bodies: list[bytes]) -> Tally:
    """Sends bodies as they are, with each of two keys."""
    tally = Tally()
    connection, promises = Connection(servers.collector.port), Promises(servers.collector.document())
    for body in bodies:
        for key in (servers.secret, servers.publishable):
            headers = ((b"authorization", b"Bearer " + key.encode()), (b"content-type", b"application/json"))
            asked = Asked("POST", EVENTS, EVENTS.encode(), headers, body)
            tally.add(asked, connection.ask(asked), promises)
    connection.close()
    return tally
