"""Several ``clapometer load`` share a topic: all of them work, and every event is in the lake once."""

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.builders import block, watched
from tests.support.ports import free_port
from tests.support.waiting import until

from clapometer.domain import TransientError
from clapometer.eventlog.kafka import KafkaLog, KafkaSettings
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.tables import Lake

BLOCK = 20


class RunningLoader:
    """A loader as its user starts it."""

    def __init__(self, settings: KafkaSettings, folder: Path, name: str) -> None:
        self.port = free_port()
        url = f"kafka://{settings.servers[0]}/{settings.topic}?group={settings.group}"
        self._output = folder / f"{name}.log"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clapometer.cli.main", "load", "--metrics-port", str(self.port)],
                env={
                    **os.environ, "CLAPOMETER_LOG": url, "CLAPOMETER_LAKE": str(folder / "lake"),
                    "CLAPOMETER_COMMIT_SECONDS": "0.2",
                },
                stdout=output, stderr=output,
            )  # fmt: skip

    def metric(self, name: str, **labels: str) -> float:
        """Returns a value that the loader shows; 0 while it does not answer."""
        assert self.process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=120) as answer:
                text = answer.read().decode()
        except OSError:
            return 0
        families = text_string_to_metric_families(text)
        samples = [each for family in families for each in family.samples if each.name == name]
        return sum(each.value for each in samples if labels.items() <= each.labels.items())

    def stored(self) -> float:
        """Returns how many events it stored."""
        return self.metric("clapometer_loader_events_total", verdict="stored")

    def partitions(self) -> int:
        """Returns how many partitions it reads."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=120) as answer:
            return answer.read().decode().count("clapometer_loader_lag_records{")

    def log(self) -> str:
        """Returns what it wrote."""
        return self._output.read_text()

    def stop(self) -> int:
        """Asks it to end and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(300)


class Producer(threading.Thread):
    """Appends blocks of numbered events, each fifth one twice, until it is stopped."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.sent = 0
        self._log = KafkaLog(settings)

    def run(self) -> None:
        while not self.stop.wait(0.02):
            events = block([watched(str(number)) for number in range(self.sent, self.sent + BLOCK)])
            self._log.append_many([events] * (2 if self.sent % (5 * BLOCK) == 0 else 1))
            self.sent += BLOCK
        self._log.close()


@pytest.fixture
def settings(kafka_topic):
    return kafka_topic(partitions=6, timeout_ms=15_000, connect_ms=5000)


@pytest.fixture
def producer(settings) -> Iterator[Producer]:
    thread = Producer(settings)
    thread.start()
    yield thread
    thread.stop.set()
    thread.join(300)


@pytest.fixture
def start(settings, tmp_path):
    running: list[RunningLoader] = []

    def start() -> RunningLoader:
        running.append(RunningLoader(settings, tmp_path, f"loader-{len(running)}"))
        return running[-1]

    yield start
    for loader in running:
        loader.process.kill()
        loader.process.wait()


def rows(lake: Lake) -> tuple[int, int]:
    with lake.connect(threads=1) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT id) FROM events").fetchone()
    assert found is not None
    return found


def all_there(lake: Lake, producer: Producer) -> None:
    producer.stop.set()
    producer.join(300)
    until(lambda: lake.rows("events") >= producer.sent, every=0.2)
    assert rows(lake) == (producer.sent, producer.sent)


def test_two_loaders_work_one_is_killed_and_another_comes_and_every_event_is_there_once(
    kafka_broker, settings, producer, start, tmp_path
):
    lake = Lake(tmp_path / "lake")
    first, second = start(), start()
    until(lambda: first.stored() > 0 and second.stored() > 0, every=0.1)
    first.process.kill()
    first.process.wait()
    third = start()
    until(lambda: third.stored() > 0, every=0.1)
    before = second.stored()
    until(lambda: second.stored() > before, every=0.1)
    all_there(lake, producer)
    assert (second.stop(), third.stop()) == (0, 0), second.log() + third.log()
    assert rows(lake) == (producer.sent, producer.sent)
    assert ledger_difference(lake) == 0


def test_three_loaders_share_six_partitions_and_hand_them_over_when_they_end(
    kafka_broker, settings, producer, start, tmp_path
):
    lake = Lake(tmp_path / "lake")
    loaders = [start() for _ in range(3)]
    until(lambda: all(loader.stored() > 0 for loader in loaders), every=0.1)
    until(lambda: [loader.partitions() for loader in loaders] == [2, 2, 2], every=0.1)
    assert loaders[0].stop() == 0, loaders[0].log()
    until(lambda: [loader.partitions() for loader in loaders[1:]] == [3, 3], every=0.1)
    all_there(lake, producer)
    until(lambda: sum(loader.metric("clapometer_loader_lag_records") for loader in loaders[1:]) == 0, every=0.1)
    assert ledger_difference(lake) == 0


def test_a_record_that_is_no_event_is_set_aside_by_whichever_loader_reads_it(settings, start, tmp_path):
    lake, log = Lake(tmp_path / "lake"), KafkaLog(settings)
    loaders = [start(), start()]
    good = block([watched("torn")])
    log.append_many([b"no block", good[:-9], good[:60] + bytes([good[60] ^ 1]) + good[61:], block([watched("a")])])
    log.close()
    until(lambda: lake.rows("rejected") == 3 and lake.rows("events") == 1, every=0.2)
    rejected = "clapometer_loader_rejected_total"
    until(lambda: sum(loader.metric(rejected) for loader in loaders) == 3, every=0.1)
    assert [loader.stop() for loader in loaders] == [0, 0]
    assert ledger_difference(lake) == 0


def test_a_loader_told_to_end_before_it_knows_its_partitions_still_loads_what_waits(settings, start, tmp_path):
    log = KafkaLog(settings)
    log.append_many([block([watched("a")])])
    log.close()
    loader = start()
    until(lambda: "metrics" in loader.log())  # it takes signals, and is joining the group
    assert loader.stop() == 0, loader.log()
    assert rows(Lake(tmp_path / "lake")) == (1, 1)


def test_loaders_wait_for_a_broker_that_is_away(kafka_broker, settings, start, tmp_path):
    lake, log = Lake(tmp_path / "lake"), KafkaLog(settings)
    loader = start()
    log.append_many([block([watched("a")])])
    until(lambda: lake.rows("events") == 1, every=0.2)
    kafka_broker.kill()
    until(lambda: loader.metric("clapometer_loader_failures_total") > 0, every=0.1)
    kafka_broker.start()

    def appended() -> bool:
        try:
            log.append_many([block([watched("b")])])
        except TransientError:
            return False
        return True

    until(appended)
    until(lambda: lake.rows("events") == 2, every=0.2)
    log.close()
    assert loader.stop() == 0
