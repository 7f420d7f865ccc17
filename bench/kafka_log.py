"""Events a second and core into Kafka: our blocks against idiomatic kafka-python, one record an event.

Both wait for all acknowledgements (acks=all, idempotent) after each request of 1, 10 or 100 events, with
``--requests`` of them under way at a time, against the same broker in the same run: ours as the collector's group
commit appends them, the other with a ``send`` per event and a ``flush`` per group. Core seconds are those of this
process; the broker's are shown beside them. Run: ``python -m bench.kafka_log``.
"""

import argparse
import datetime as dt
import gc
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from tests.brokers.broker import Broker

from clapometer.domain import encode_block
from clapometer.eventlog.kafka import KafkaLog, KafkaSettings, init_topic, parse_kafka_url

EVENT = (
    b'{"type":"clapometer.impression.v1","data":{"impression_id":"%032d","clip_id":"clip-%08d","viewer_id":"viewer-%08d"'
    b',"session_id":"session-%08d","slate_id":"slate-%08d","position":3,"surface":"for_you","policy_id":"explore-1",'
    b'"propensity":0.0625,"candidates":16,"explored":true,"locale":"de-DE","device_class":"phone","muted_start":true,'
    b'"token":"v1.k1.1767225600.kq3Yb1u0w5yF9J8m0p2xN7r4c6e1d3g5h7j9l0a2s4d"},"specversion":"1.0",'
    b'"id":"0197a2b4-%012d","source":"/web/app","time":"2026-05-01T12:00:00.123Z","sentat":"2026-05-01T12:00:01.000Z"}'
)


class Measured(NamedTuple):
    """One run: events, wall seconds, core seconds here and in the broker."""

    events: int
    wall: float
    cpu: float
    broker_cpu: float

    @property
    def per_core(self) -> float:
        """Events a core second."""
        return self.events / self.cpu


def events(count: int) -> list[bytes]:
    """Returns ``count`` different events of about 600 bytes."""
    return [EVENT % (number, number % 977, number % 7919, number, number, number) for number in range(count)]


def measure(broker: Broker, work: Callable[[], int], seconds: float) -> Measured:
    """Repeats ``work``, which returns how many events it wrote, for about ``seconds``."""
    work()
    gc.collect()
    cpu, broker_cpu, wall, count = _cpu(), broker.cpu_seconds(), time.perf_counter(), 0
    while time.perf_counter() - wall < seconds:
        count += work()
    return Measured(count, time.perf_counter() - wall, _cpu() - cpu, broker.cpu_seconds() - broker_cpu)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def ours(log: KafkaLog, batch: int, requests: int) -> Callable[[], int]:
    """Returns work that appends a group of blocks, made anew each time as the collector does."""
    lines = b"".join(event + b"\n" for event in events(batch))
    now = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)

    def work() -> int:
        blocks = [encode_block(lines, batch, tenant="default", received_at=now) for _ in range(requests)]
        log.append_many(blocks)
        return batch * requests

    return work


def idiomatic(settings: KafkaSettings, producer: KafkaProducer, batch: int, requests: int) -> Callable[[], int]:
    """Returns work that sends each event as a record, then waits for all of them."""
    each = events(batch)

    def work() -> int:
        futures = [producer.send(settings.topic, event) for _ in range(requests) for event in each]
        producer.flush()
        for future in futures:
            future.get(10)
        return len(futures)

    return work


def compare_reading(settings: KafkaSettings, broker: Broker, batch: int) -> str:
    """Returns the rate of reading blocks through the log, and its ratio to a bare consumer of the same records."""
    log = KafkaLog(settings)
    end = log.next_offset(0)
    cpu, offset, blocks = _cpu(), 0, 0
    while records := log.read(0, offset, 4 << 20):
        offset = records[-1].offset + 1
        blocks += len(records)
    through_log = blocks / (_cpu() - cpu)
    log.close()
    consumer = KafkaConsumer(bootstrap_servers=broker.server, max_partition_fetch_bytes=4 << 20)
    at = TopicPartition(settings.topic, 0)
    consumer.assign([at])
    consumer.seek(at, 0)
    cpu, blocks = _cpu(), 0
    while blocks < end:
        blocks += sum(len(records) for records in consumer.poll(1000).values())
    bare = blocks / (_cpu() - cpu)
    consumer.close()
    return f"{through_log * batch:10,.0f} events/s/core, {through_log / bare:.2f} of a bare consumer"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of each measurement")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each, in turn; medians are shown")
    parser.add_argument("--requests", type=int, default=16, help="requests acknowledged together")
    parser.add_argument("--compression", default="lz4", help="none, lz4, zstd")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        broker.start()
        try:
            run(broker, arguments)
        finally:
            broker.kill()


def run(broker: Broker, arguments: argparse.Namespace) -> None:
    print(f"{len(events(1)[0])} bytes an event, {arguments.compression}, {arguments.requests} requests at a time")
    for batch in (1, 10, 100):
        url = f"kafka://{broker.server}/batch-{batch}?partitions=1&replication=1&min_insync=1"
        settings = parse_kafka_url(f"{url}&compression={arguments.compression}")
        other = parse_kafka_url(f"{url.replace('batch', 'single')}")
        init_topic(settings)
        init_topic(other)
        log = KafkaLog(settings)
        codec = None if arguments.compression == "none" else arguments.compression
        producer = KafkaProducer(bootstrap_servers=broker.server, acks="all", compression_type=codec)
        pairs = [
            (
                measure(broker, ours(log, batch, arguments.requests), arguments.seconds),
                measure(broker, idiomatic(other, producer, batch, arguments.requests), arguments.seconds),
            )
            for _ in range(arguments.repeats)
        ]
        log.close()
        producer.close()
        mine = statistics.median(pair[0].per_core for pair in pairs)
        theirs = statistics.median(pair[1].per_core for pair in pairs)
        ratios = [pair[0].per_core / pair[1].per_core for pair in pairs]
        both = statistics.median(
            (pair[0].events / (pair[0].cpu + pair[0].broker_cpu))
            / (pair[1].events / (pair[1].cpu + pair[1].broker_cpu))
            for pair in pairs
        )
        print(
            f"batch {batch:3}: blocks {mine:10,.0f} events/s/core, a record an event {theirs:8,.0f}, "
            f"ratio {statistics.median(ratios):5.2f} ({min(ratios):.2f}–{max(ratios):.2f}), "
            f"with the broker's cores {both:5.2f}"
        )
        print(f"           read   {compare_reading(settings, broker, batch)}")


if __name__ == "__main__":
    main()
