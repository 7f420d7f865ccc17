"""What lies in a topic is read whoever wrote it: events of other producers, poison, transactions, broken bytes."""

import datetime as dt
import time

import pytest
from kafka import KafkaConsumer, KafkaProducer
from tests.support.sdk_messages import assert_understood, messages

from clapometer.domain import RejectedEvent, TerminalError, decode_block, decode_event, encode_block
from clapometer.eventlog import EmbeddedLog, MemoryLog
from clapometer.eventlog.copy import copy_log
from clapometer.eventlog.kafka import KafkaLog

EVENT = (
    b'{"type":"clapometer.viewer_erased.v1","data":{"viewer_id":"v%d"},'
    b'"specversion":"1.0","id":"e%d","source":"/app","time":"2026-05-01T12:00:00Z"}'
)
NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)


def block(*numbers: int, rejected: int = 0) -> bytes:
    lines = b"".join(EVENT % (number, number) + b"\n" for number in numbers)
    dead = [RejectedEvent(reason="bad")] * rejected
    return encode_block(lines, len(numbers), tenant="acme", received_at=NOW, rejected=dead, trust="key")


def events(log, partition: int = 0, offset: int = 0) -> list[bytes]:
    found: list[bytes] = []
    while records := log.read(partition, offset, 1 << 20):
        found += [line for record in records for line in decode_block(record.block).events]
        offset = records[-1].offset + 1
    return found


@pytest.fixture
def open_log():
    opened: list[KafkaLog] = []

    def make(settings) -> KafkaLog:
        opened.append(KafkaLog(settings))
        return opened[-1]

    yield make
    for log in opened:
        log.close()


def test_a_log_of_events_has_a_record_per_event_and_reads_back_what_was_accepted(kafka_topic, open_log, kafka_broker):
    settings = kafka_topic(record="event")
    log = open_log(settings)
    positions = log.append_many([block(1, 2, 3), block(4, rejected=1)])
    assert [position.offset for position in positions] == [2, 4]
    assert events(log) == [EVENT % (number, number) for number in (1, 2, 3, 4)]
    assert events(log, offset=2) == [EVENT % (number, number) for number in (3, 4)]
    consumer = KafkaConsumer(settings.topic, bootstrap_servers=kafka_broker.server, auto_offset_reset="earliest")
    records = [record for each in consumer.poll(5000).values() for record in each]
    consumer.close()
    kinds = [dict(record.headers)["content-type"].split(b";")[0] for record in records]
    assert kinds == [b"application/cloudevents+json"] * 4 + [b"application/vnd.clapometer.block"]


def test_events_and_poison_of_another_producer_are_read_in_order(kafka_topic, open_log, kafka_broker):
    settings = kafka_topic(foreign_tenant="shop")
    producer = KafkaProducer(bootstrap_servers=kafka_broker.server)
    for value in (EVENT % (1, 1), b"poison", EVENT % (2, 2)):
        producer.send(settings.topic, value).get(300)
    producer.close()
    log = open_log(settings)
    log.append_many([block(3)])
    records = log.read(0, 0, 1 << 20)
    assert [record.offset for record in records] == [0, 1, 2, 3]
    headers = [decode_block(record.block).header for record in records]
    assert [header.tenant for header in headers] == ["shop", "shop", "shop", "acme"]
    assert [header.n_rejected for header in headers] == [0, 1, 0, 0]
    assert abs(headers[0].received_at.timestamp() - time.time()) < 60


def test_what_the_official_sdks_write_is_read(kafka_topic, open_log, kafka_broker):
    settings = kafka_topic(foreign_tenant="shop")
    producer = KafkaProducer(bootstrap_servers=kafka_broker.server)
    for message in messages("kafka"):
        producer.send(settings.topic, message.body, message.key, message.headers, partition=0).get(300)
    producer.close()
    found = events(open_log(settings))
    assert len(found) == len(messages("kafka"))
    for line in found:
        assert_understood(decode_event(line))


def test_only_committed_transactions_are_read_and_the_end_is_still_reached(kafka_topic, open_log, kafka_broker):
    settings = kafka_topic()
    producer = KafkaProducer(bootstrap_servers=kafka_broker.server, transactional_id="shop")
    producer.init_transactions()
    for number, commit in ((1, False), (2, True), (3, False)):
        producer.begin_transaction()
        producer.send(settings.topic, EVENT % (number, number)).get(300)
        (producer.commit_transaction if commit else producer.abort_transaction)()
    producer.close()
    log = open_log(settings)
    assert events(log) == [EVENT % (2, 2)]
    assert log.read(0, log.next_offset(0), 1000) == []
    log.append_many([block(4)])
    assert events(log) == [EVENT % (2, 2), EVENT % (4, 4)]


def test_a_block_larger_than_a_record_may_be_is_split_and_one_event_too_large_is_refused(kafka_topic, open_log):
    log = open_log(kafka_topic(max_block_bytes=300_000))
    numbers = range(5000)
    (position,) = log.append_many([block(*numbers)])
    assert position.offset > 1
    assert len(events(log)) == 5000
    with pytest.raises(TerminalError, match="max_block_bytes=300000"):
        log.append_many([b"x" * 300_001])


@pytest.mark.parametrize("max_bytes", [1, 1 << 20])
def test_a_bit_that_flips_on_the_brokers_disk_costs_that_batch_and_nothing_else(
    kafka_topic, open_log, kafka_broker, max_bytes
):
    settings = kafka_topic(compression="none")
    log = open_log(settings)
    for number in range(3):
        log.append_many([block(number)])
    log.append_many([block(10), block(11)])
    log.append_many([block(12)])
    (segment,) = (kafka_broker.data / f"{settings.topic}-0").glob("*.log")
    content = segment.read_bytes()
    at = content.index(b"e10")
    with segment.open("r+b") as file:
        file.seek(at)
        file.write(b"E")
    fresh = open_log(settings)
    records, offset = [], 0
    while part := fresh.read(0, offset, max_bytes):
        records += part
        offset = part[-1].offset + 1
    decoded = [decode_block(record.block) for record in records]
    assert [line for each in decoded for line in each.events] == [EVENT % (number, number) for number in (0, 1, 2, 12)]
    (dead,) = [record for record, each in zip(records, decoded, strict=True) if each.rejected]
    assert dead.offset == 4
    assert b"cannot be read: records 3 to 4" in dead.block


def test_retention_that_overtakes_a_reader_lets_it_go_on_at_the_oldest_record(kafka_topic, open_log):
    settings = kafka_topic(fetch_bytes=65536)
    log, cleaner = open_log(settings), open_log(settings)
    for number in range(10):
        log.append_many([block(number)])
    assert log.read(0, 0, 1)[0].offset == 0
    cleaner.trim(0, 8)
    fresh = open_log(settings)
    assert fresh.read(0, 1, 1)[0].offset == 8
    assert cleaner.first_offset(0) == 8


def test_trim_leaves_everything_unless_it_is_allowed(kafka_topic, open_log):
    log = open_log(kafka_topic(trim="false"))
    log.append_many([b"a", b"b"])
    assert log.trim(0, 2) == 0
    assert len(log.read(0, 0, 1000)) == 2


def test_partitions_are_read_side_by_side(kafka_topic, open_log):
    log = open_log(kafka_topic(partitions=3))
    for number in range(300):
        log.append_many([b"%d" % number])
    offsets = dict.fromkeys(log.partitions(), 0)
    found: list[bytes] = []
    while any(parts := {each: log.read(each, offset, 40) for each, offset in offsets.items()}.values()):
        for each, records in zip(offsets, parts, strict=True):
            found += [record.block for record in records]
            offsets[each] += len(records)
    assert sorted(found, key=int) == [b"%d" % number for number in range(300)]


def test_a_backlog_is_copied_from_a_laptop_to_kafka_and_resumes_without_a_gap(tmp_path, kafka_topic, open_log):
    source = EmbeddedLog(tmp_path / "log")
    source.append_many([block(number) for number in range(100)])
    target = open_log(kafka_topic())
    reports = []

    def interrupted(report) -> None:
        reports.append(report)
        if report.blocks >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_log(source, target, progress=interrupted, max_bytes=3000)
    assert 40 <= reports[-1].blocks < 100
    report = copy_log(source, target, start=reports[-1].following, progress=reports.append)
    assert report.following == {0: 100}
    assert reports[-1] == report
    assert events(target) == [EVENT % (number, number) for number in range(100)]
    assert copy_log(source, target, start=report.following).blocks == 0
    source.close()


def test_copying_ends_where_the_source_ended_at_the_start():
    source, target = MemoryLog(), MemoryLog()
    source.append_many([b"a", b"b"])

    def grow(_) -> None:
        source.append_many([b"late"])

    assert copy_log(source, target, progress=grow, max_bytes=1).blocks == 2
    assert [record.block for record in target.read(0, 0, 1000)] == [b"a", b"b"]


def test_a_reader_far_behind_keeps_its_memory_bounded(kafka_topic, open_log):
    log = open_log(kafka_topic(fetch_bytes=65536))
    for _ in range(40):
        log.append_many([b"x" * 50_000] * 10)
    reader = log._reader
    offset = largest = 0
    while records := log.read(0, offset, 100_000):
        offset = records[-1].offset + 1
        largest = max(largest, sum(len(each.value) for each in reader._cursors[0].fetched))
    assert offset == 400
    assert largest < 2 << 20
