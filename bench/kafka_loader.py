"""Loader from Kafka against a bare kafka-python consumer that reads the same blocks and does not decode them.

Of each size of block, as events per core second and as a ratio to the bare consumer, in one run against one broker:
the loader's reading alone; reading, checking and cutting into lines; the bare consumer that parses each event, and does
nothing else, than which no loader can be faster; and the whole loader (parse, dedupe, Parquet, commit, publish).

Run: ``python -m bench.kafka_loader [--events N] [--sizes 1 10 100]``.
"""

import argparse
import datetime as dt
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from bench.kafka_log import events
from kafka import KafkaConsumer, TopicPartition
from tests.brokers.broker import Broker

from clapometer.domain import encode_block, open_block
from clapometer.eventlog.kafka import KafkaLog, KafkaSettings, init_topic, parse_kafka_url
from clapometer.lake.tables import Lake
from clapometer.loading.blocks import read_batch
from clapometer.loading.loader import Loader, LoadSettings

NOW = dt.datetime.now(dt.UTC)
FETCH_BYTES = 4 << 20
BATCH_BYTES = 24 << 20


def fill(settings: KafkaSettings, count: int, size: int) -> int:
    """Writes blocks of ``size`` different events; returns how many events."""
    log = KafkaLog(settings)
    lines = [event + b"\n" for event in events(count)]
    blocks = [
        encode_block(b"".join(lines[start : start + size]), size, tenant="default", received_at=NOW)
        for start in range(0, count, size)
    ]
    for start in range(0, len(blocks), 200):
        log.append_many(blocks[start : start + 200])
    log.close()
    return len(blocks) * size


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Returns core and wall seconds."""
    used, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    wall, now = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, wall


def consumed(settings: KafkaSettings, records: int) -> Iterator[bytes]:
    """Yields every record, read with kafka-python alone."""
    consumer = KafkaConsumer(bootstrap_servers=list(settings.servers), max_partition_fetch_bytes=FETCH_BYTES)
    at = TopicPartition(settings.topic, 0)
    consumer.assign([at])
    consumer.seek(at, 0)
    seen = 0
    while seen < records:
        for found in consumer.poll(1000).values():
            seen += len(found)
            for record in found:
                yield record.value
    consumer.close()


def bare(settings: KafkaSettings, records: int) -> None:
    """Reads every record and does nothing with it."""
    for _ in consumed(settings, records):
        pass


def parsed(settings: KafkaSettings, records: int) -> None:
    """Reads every record, and parses the events in it without looking into them."""
    decoder = msgspec.json.Decoder()
    for block in consumed(settings, records):
        _, body = open_block(block)
        decoder.decode_lines(body)


def read(settings: KafkaSettings, *, cut: bool) -> None:
    """Reads every record as the loader does; with ``cut`` checks the blocks and cuts them into lines, too."""
    log, offset = KafkaLog(settings), 0
    while records := log.read(0, offset, BATCH_BYTES):
        offset = records[-1].offset + 1
        if cut:
            read_batch(records, NOW)
    log.close()


def load(settings: KafkaSettings, count: int) -> None:
    """Loads every record into a new lake."""
    with tempfile.TemporaryDirectory() as folder:
        log = KafkaLog(settings)
        loader = Loader(log, Lake(folder), LoadSettings(upkeep=None))
        stored = 0
        while (report := loader.load_once()).blocks:
            stored += report.stored
        loader.close()
        log.close()
    assert stored == count, f"{stored} of {count} events are there"


def main() -> None:
    """Prints a line for each size of block."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        broker.start()
        try:
            for size in arguments.sizes:
                count = arguments.events // (4 if size == 1 else 1)
                url = f"kafka://{broker.server}/blocks-{size}?partitions=1&replication=1&min_insync=1"
                settings = parse_kafka_url(url)
                init_topic(settings)
                count = fill(settings, count, size)
                show(settings, size, count)
        finally:
            broker.kill()


def show(settings: KafkaSettings, size: int, count: int) -> None:
    """Measures one size of block twice, and prints the better of each."""
    runs = {
        "a bare consumer": lambda: bare(settings, count // size),
        "reading": lambda: read(settings, cut=False),
        "reading, checked and cut into lines": lambda: read(settings, cut=True),
        "a bare consumer that parses": lambda: parsed(settings, count // size),
        "the whole loader": lambda: load(settings, count),
    }
    found = {name: [timed(work) for _ in range(2)] for name, work in runs.items()}
    best = {name: (min(core for core, _ in times), min(wall for _, wall in times)) for name, times in found.items()}
    core, wall = best["a bare consumer"]
    print(f"blocks of {size}, {count:,} events")
    for name, (mine, elapsed) in best.items():
        print(
            f"  {name:36} {count / mine:12,.0f} events/s/core  {core / mine:.2f}   wall {wall / elapsed:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
