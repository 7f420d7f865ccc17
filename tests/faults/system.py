"""The system that faults are done to: collector, loaders and broker as processes of their own."""

import datetime as dt
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import psutil
from tests.brokers.broker import Broker
from tests.e2e.running import service_environment
from tests.faults.traffic import AGE, Sender, rows_stored
from tests.support.ports import free_port
from tests.support.waiting import until

from clapometer.eventlog import EmbeddedLog, EventLog
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.tables import Lake

READY_SECONDS = 60
"""How soon after the end of a fault the collector has to be ready again."""


class Victim(Protocol):
    """What a fault is done to: a process of ours, or the broker."""

    def start(self) -> None: ...

    def kill(self) -> None: ...

    def stop(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Part:
    """One process of ours; it keeps its settings and its address over restarts."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._arguments = arguments
        self._folder = folder
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process and does not wait for it."""
        assert self._process is None, f"{self.name} runs already"
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "clapometer.cli.main", *self._arguments],
                cwd=self._folder, env=dict(self._environment), stdout=output, stderr=output,
            )  # fmt: skip

    def kill(self) -> None:
        """Ends it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Ends it in order; it has to end well."""
        if self._process is not None:
            self._process.terminate()
            code = self._process.wait(60)
            self._process = None
            assert code == 0, f"{self.name} ended with {code}\n{self.output()}"

    def pause(self) -> None:
        """Stops it (SIGSTOP)."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        self._running.send_signal(signal.SIGCONT)

    def memory_bytes(self) -> int:
        """Returns its resident memory."""
        return int(psutil.Process(self._running.pid).memory_info().rss)

    def output(self) -> str:
        """Returns the end of what it wrote."""
        return self.whole_output()[-3000:]

    def whole_output(self) -> str:
        """Returns what it wrote, over all its starts."""
        return self._output.read_text(errors="replace")

    def alive(self) -> bool:
        """Returns whether it runs; nothing of ours may end on its own."""
        assert self._process is not None, f"{self.name} was not started"
        return self._process.poll() is None

    @property
    def _output(self) -> Path:
        return self._folder / f"{self.name}.log"

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self.alive(), self.output()
        assert self._process is not None
        return self._process


class System:
    """Collector, loaders and, with Kafka, a broker, in ``folder``.

    ``preload`` are further variables of the environment of ``collector`` and ``loader``, such as ``LD_PRELOAD``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        broker: Broker | None = None,
        loaders: int = 1,
        preload: Mapping[str, Mapping[str, str]] | None = None,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.broker = broker
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = {"log_retention_seconds": 0, "commit_seconds": 0.1, **settings}
        if broker is not None:
            settings["log"] = (
                f"kafka://{broker.server}/faults?replication=1&min_insync=1&partitions=4&trim=true"
                "&timeout_ms=5000&connect_ms=1000"
            )
        plain = service_environment(folder, collector_port=self.port, **settings)
        preload = preload or {}
        self.lake = Path(plain["CLAPOMETER_LAKE"])
        self.log_url = plain.get("CLAPOMETER_LOG", "embedded")
        self.log_folder = Path(plain["CLAPOMETER_LOG_FOLDER"])
        self._plain = plain
        self._sent = 0
        self.collector = Part("collector", ["collect"], folder, {**plain, **preload.get("collector", {})})
        loading = {**plain, **preload.get("loader", {})}
        self.loaders = [Part(f"loader-{number}", ["load"], folder, loading) for number in range(loaders)]
        self.key = ""

    def __enter__(self) -> "System":
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for part in (self.collector, *self.loaders):
            part.kill()
        if self.broker is not None:
            self.broker.kill()

    @property
    def log(self) -> str:
        """The kind of its log."""
        return "embedded" if self.broker is None else "kafka"

    @property
    def victims(self) -> dict[str, list[Victim]]:
        """The processes, by what they are."""
        brokers: list[Victim] = [] if self.broker is None else [self.broker]
        return {"collector": [self.collector], "loader": [*self.loaders], "broker": brokers}

    def outputs(self) -> str:
        """Returns the end of what each process wrote."""
        written = [f"--- {part.name}\n{part.output()}" for part in (self.collector, *self.loaders)]
        return "\n".join([*written, "" if self.broker is None else f"--- broker\n{self.broker.output()}"])

    def is_ready(self) -> bool:
        """Returns whether the collector says that it can take events."""
        return self._status("readyz") == 200

    def wait_until_alive(self, seconds: float = READY_SECONDS) -> None:
        """Returns once the collector answers, be it that it cannot take events."""
        until(lambda: self._status("healthz") == 200, seconds, every=0.05)

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Returns once the collector can take events."""
        until(self.is_ready, seconds, every=0.05)

    def sender(self, fault: str, rate: float = 1000) -> Sender:
        """Returns a running sender whose events have a source of their own."""
        self._sent += 1
        sender = Sender(self.url, self.key, f"/faults/{self._sent}/{fault}", rate=rate)
        sender.start()
        return sender

    def stored(self, sender: Sender) -> int:
        """Returns how many events of a sender are in the lake; the loaders have to be alive."""
        return rows_stored(self.lake, sender.source)

    def probe(self) -> tuple[int, str | None]:
        """Sends one event that nobody counts; returns the status and what ``Retry-After`` says."""
        time = (dt.datetime.now(dt.UTC) - AGE).isoformat()
        event = (
            f'[{{"specversion":"1.0","id":"{uuid.uuid4()}","source":"/probe","type":"clapometer.watched.v1",'
            f'"time":"{time}","data":{{"impression_id":"probe","watched_ms":1}}}}]'
        )
        headers = {"authorization": f"Bearer {self.key}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/events", event.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return int(answer.status), None
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers.get("retry-after")

    def ledger(self) -> int:
        """Returns the ledger's difference once the loaders have come to rest."""
        lake = Lake(self.lake)
        difference: list[int] = []

        def settled() -> bool:
            difference.append(ledger_difference(lake))
            return difference[-1] == 0

        try:
            until(settled, 20, every=0.5)
        except AssertionError:
            return difference[-1]
        return 0

    def open_log(self) -> EventLog:
        """Returns the log, to look into it; the caller closes it."""
        if self.broker is None:
            return EmbeddedLog(self.log_folder, max_bytes=int(self._plain["CLAPOMETER_LOG_MAX_BYTES"]))
        from clapometer.eventlog.kafka import KafkaLog, parse_kafka_url

        return KafkaLog(parse_kafka_url(self.log_url))

    def new_key(self, kind: str) -> str:
        """Returns a new key."""
        return self.command("keys", "new", "--kind", kind).strip()

    def command(self, *arguments: str, code: int = 0) -> str:
        """Returns what a command of the product prints; it has to end with ``code``."""
        done = subprocess.run(
            [sys.executable, "-m", "clapometer.cli.main", *arguments],
            cwd=self.folder, env=self._plain, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def _start(self) -> None:
        if self.broker is not None:
            self.broker.start()
        self.key = self.new_key("secret")
        if self.broker is not None:
            self.command("log", "init")
        for part in (self.collector, *self.loaders):
            part.start()
        self.wait_until_ready()

    def _status(self, path: str) -> int | None:
        assert self.collector.alive(), self.collector.output()
        try:
            with urllib.request.urlopen(f"{self.url}/{path}", timeout=2) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError:
            return None


def root_needed() -> None:
    """Fails with the way out where mounts and namespaces are not allowed."""
    assert os.geteuid() == 0, "full disks and cut networks need root: sudo make faults"
