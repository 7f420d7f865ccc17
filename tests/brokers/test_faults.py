"""The Kafka log while its broker crashes, stalls and comes back: acknowledged blocks are there, and only once."""

import datetime as dt
import threading
import time

import psutil
import pytest
from tests.support.waiting import until

from clapometer.domain import TransientError, decode_event, encode_block, encode_events
from clapometer.eventlog.kafka import KafkaLog
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader

FAST = {"timeout_ms": 8000, "connect_ms": 2000}
BOUNDED = 60
"""Seconds, far less than the two minutes that a client waits by itself."""
EVENT = (
    b'{"specversion":"1.0","id":"a","source":"/app","type":"clapometer.watched.v1","time":"2026-11-01T00:00:00Z",'
    b'"data":{"impression_id":"i","watched_ms":1}}'
)


@pytest.fixture(params=["kafka-python", "confluent"])
def client(request):
    return request.param


@pytest.fixture
def log(kafka_broker, kafka_topic, client):
    log = KafkaLog(kafka_topic(client=client, **FAST))
    yield log
    log.close()
    kafka_broker.resume()


def read_all(log: KafkaLog) -> list[bytes]:
    blocks: list[bytes] = []
    offset = 0
    while records := log.read(0, offset, 1 << 20):
        blocks += [record.block for record in records]
        offset = records[-1].offset + 1
    return blocks


def appends(log: KafkaLog, blocks: list[bytes]) -> bool:
    try:
        return bool(log.append_many(blocks))
    except TransientError:
        return False


def test_a_log_can_be_made_while_the_broker_is_away_and_works_once_it_is_there(kafka_broker, kafka_topic, client):
    settings = kafka_topic(client=client, **FAST)
    kafka_broker.kill()
    log = KafkaLog(settings)
    assert not log.ready()
    with pytest.raises(TransientError, match="cannot connect to Kafka at 127"):
        log.append_many([b"early"])
    with pytest.raises(TransientError):
        log.read(0, 0, 100)
    kafka_broker.start()
    until(log.ready)
    until(lambda: appends(log, [b"late"]))
    assert set(read_all(log)) == {b"late"}, "an append that came too late may be there as well"
    log.close()


def test_a_killed_broker_fails_appends_in_bounded_time_and_keeps_what_it_acknowledged(kafka_broker, log):
    log.append_many([b"before"])
    assert read_all(log) == [b"before"]
    kafka_broker.kill()
    for _ in range(2):
        started = time.monotonic()
        with pytest.raises(TransientError):
            log.append_many([b"lost"])
        assert time.monotonic() - started < BOUNDED
    kafka_broker.start()
    until(lambda: appends(log, [b"after"]))
    blocks = read_all(log)
    assert blocks[0] == b"before"
    assert blocks[-1] == b"after"


def test_a_broker_that_stalls_fails_appends_in_bounded_time_and_recovers(kafka_broker, log):
    log.append_many([b"before"])
    kafka_broker.pause()
    started = time.monotonic()
    with pytest.raises(TransientError):
        log.append_many([b"stalled"])
    assert time.monotonic() - started < BOUNDED
    kafka_broker.resume()
    until(lambda: appends(log, [b"after"]))
    blocks = read_all(log)
    assert [blocks[0], blocks[-1]] == [b"before", b"after"]


def test_a_short_stall_is_ridden_out_without_an_error_and_without_doubling(kafka_broker, kafka_topic, client):
    log = KafkaLog(kafka_topic(client=client, timeout_ms=15_000, connect_ms=2000))
    log.append_many([b"before"])
    kafka_broker.pause()
    resume = threading.Timer(7.0, kafka_broker.resume)  # longer than one request may take, so that it is sent again
    resume.start()
    log.append_many([b"during"])
    resume.join()
    assert read_all(log) == [b"before", b"during"]
    log.close()


def test_acknowledged_blocks_survive_kills_of_the_broker_under_load(kafka_broker, kafka_topic, client):
    log = KafkaLog(kafka_topic(client=client, **FAST))
    acknowledged: list[bytes] = []
    sent: list[bytes] = []
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            blocks = [b"%d" % (number + index) for index in range(10)]
            number += 10
            sent.extend(blocks)
            if appends(log, blocks):
                acknowledged.extend(blocks)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    for _ in range(2):
        goal = len(acknowledged) + 500
        until(lambda goal=goal: len(acknowledged) > goal)
        kafka_broker.kill()
        kafka_broker.start()
    goal = len(acknowledged) + 500
    until(lambda: len(acknowledged) > goal)
    stop.set()
    writer.join()
    blocks = read_all(log)
    assert set(acknowledged) <= set(blocks) <= set(sent)
    assert len(blocks) == len(set(blocks))
    log.close()


def test_a_reader_goes_on_where_it_was_after_the_broker_was_killed(kafka_broker, log):
    log.append_many([b"%d" % index for index in range(100)])
    records = log.read(0, 0, 50)
    kafka_broker.kill()
    kafka_broker.start()

    def rest() -> list[bytes]:
        try:
            return [record.block for record in log.read(0, records[-1].offset + 1, 1 << 20)]
        except TransientError:
            return []

    until(lambda: len(rest()) == 100 - len(records))


def test_failed_connections_leave_no_sockets_and_no_threads_behind(kafka_broker, kafka_topic, client):
    log = KafkaLog(kafka_topic(client=client, connect_ms=200, timeout_ms=1000))
    until(lambda: appends(log, [b"a"]))
    kafka_broker.kill()
    for _ in range(3):
        assert not appends(log, [b"b"])
    process = psutil.Process()
    handles, threads = process.num_fds(), threading.active_count()
    for _ in range(10):
        assert not appends(log, [b"b"])
    assert process.num_fds() <= handles
    assert threading.active_count() <= threads
    kafka_broker.start()
    until(lambda: appends(log, [b"c"]))
    log.close()


def test_a_loader_that_starts_while_the_broker_is_away_loads_once_it_is_there(kafka_broker, kafka_topic, tmp_path):
    settings = kafka_topic(**FAST)
    before = KafkaLog(settings)
    lines = encode_events([decode_event(EVENT)])
    before.append_many([encode_block(lines, 1, tenant="acme", received_at=dt.datetime.now(dt.UTC))])
    before.close()
    kafka_broker.kill()
    log = KafkaLog(settings)
    loader = Loader(log, Lake(tmp_path / "lake"))
    with pytest.raises(TransientError):
        loader.load_once()
    kafka_broker.start()

    def loads() -> int:
        try:
            return loader.load_once().stored
        except TransientError:
            return 0

    until(loads)
    loader.close()
    log.close()


def test_an_acknowledgement_of_another_producers_record_is_not_believed(kafka_topic):
    first, second = (KafkaLog(settings) for settings in [kafka_topic(**FAST)] * 2)
    assert [position.offset for position in first.append_many([b"first"])] == [0]
    theirs = first._producer._producer._transaction_manager.producer_id_and_epoch
    ours = second._producer._connected()._transaction_manager
    until(lambda: ours.producer_id_and_epoch.is_valid)
    ours.set_producer_id_and_epoch(theirs)  # as of a controller that gave it out before and forgot it
    with pytest.raises(TransientError, match="offset 0 of partition 0, which held another record before"):
        second.append_many([b"second"])
    assert read_all(first) == [b"first"]
    assert second.append_many([b"second"])[0].offset == 1  # as a producer of its own
    assert read_all(first) == [b"first", b"second"]
    first.close()
    second.close()
