"""``init_topic`` creates the topic with safe settings, and says in what an existing one differs."""

import uuid

import pytest
from kafka import KafkaAdminClient
from tests.support.waiting import until

from clapometer.domain import TerminalError, TransientError
from clapometer.eventlog.kafka import KafkaLog, init_topic, parse_kafka_url

SINGLE = "replication=1&min_insync=1"


@pytest.fixture
def url(kafka_broker):
    return f"kafka://{kafka_broker.server}/{uuid.uuid4()}"


def test_more_copies_than_brokers_is_refused_with_the_way_out(url):
    with pytest.raises(TerminalError, match="fewer than 3 brokers; start more, or add replication=1&min_insync=1"):
        init_topic(parse_kafka_url(url))


def test_a_topic_that_is_missing_is_named_with_the_command_that_makes_it(url):
    log = KafkaLog(parse_kafka_url(f"{url}?timeout_ms=10000&connect_ms=5000"))
    with pytest.raises(TerminalError, match="clapometer log init"):
        log.partitions()
    with pytest.raises(TerminalError, match="clapometer log init"):
        _ = log.identity
    with pytest.raises(TransientError, match="clapometer log init"):
        log.append_many([b"a"])
    log.close()


def test_a_new_topic_has_what_the_log_needs_and_checking_it_again_changes_nothing(url):
    settings = parse_kafka_url(f"{url}?{SINGLE}&partitions=3")
    first, second = init_topic(settings), init_topic(settings)
    assert (first.created, first.partitions, first.replication, first.differences) == (True, 3, 1, ())
    assert (second.created, second.differences) == (False, ())
    log = KafkaLog(settings)
    assert log.partitions() == [0, 1, 2]
    log.close()


def test_a_topic_of_somebody_else_is_left_as_it_is_and_its_differences_are_told(kafka_broker, url):
    settings = parse_kafka_url(f"{url}?replication=2&min_insync=2&retention_hours=-1")
    admin = KafkaAdminClient(bootstrap_servers=kafka_broker.server)
    theirs = {"retention.ms": "1000", "cleanup.policy": "compact", "message.timestamp.type": "CreateTime"}
    admin.create_topics({settings.topic: {"num_partitions": 1, "replication_factor": 1, "configs": theirs}})
    admin.wait_for_topics([settings.topic])
    admin.close()
    report = init_topic(settings)
    assert not report.created
    found = {each.name: (each.found, each.wanted) for each in report.differences}
    assert found == {
        "min.insync.replicas": ("1", "2"),
        "retention.ms": ("1000", "-1"),
        "max.message.bytes": ("1048588", str((8 << 20) + 16_384)),
        "cleanup.policy": ("compact", "delete"),
        "message.timestamp.type": ("CreateTime", "LogAppendTime"),
        "replication factor": ("1", "2"),
    }
    assert init_topic(settings) == report


def test_a_topic_that_was_made_again_is_another_log(kafka_broker, url):
    settings = parse_kafka_url(f"{url}?{SINGLE}&partitions=1")
    init_topic(settings)
    log = KafkaLog(settings)
    first = log.identity
    log.close()
    admin = KafkaAdminClient(bootstrap_servers=kafka_broker.server)
    admin.delete_topics([settings.topic])
    until(lambda: settings.topic not in admin.list_topics())
    admin.close()
    init_topic(settings)
    log = KafkaLog(settings)
    assert log.identity not in {first, ""}
    log.close()
