"""Several loaders share the partitions of a topic, and hand them over when one comes, goes or dies."""

import os
import signal
import subprocess
import sys

import pytest
from tests.support.waiting import until

from clapometer.domain import TerminalError, TransientError
from clapometer.eventlog.kafka import KafkaLog, PartitionShare

LOADER = """
import sys, time
from clapometer.eventlog.kafka import PartitionShare, parse_kafka_url
share = PartitionShare(parse_kafka_url(sys.argv[1]))
while True:
    print(len(share.owned()), flush=True)
    time.sleep(0.05)
"""


@pytest.fixture
def settings(kafka_topic):
    return kafka_topic(partitions=4, timeout_ms=10_000, connect_ms=3000)


@pytest.fixture
def shares(settings):
    made = [PartitionShare(settings) for _ in range(3)]
    yield made
    for share in made:
        share.close()


def test_a_loader_on_its_own_owns_every_partition(shares):
    until(lambda: shares[0].owned() == [0, 1, 2, 3])
    assert shares[0].holds([1, 3])
    assert not shares[0].holds([1, 9])


def test_loaders_split_the_partitions_and_none_has_two_owners(shares):
    def split() -> bool:
        owned = [share.owned() for share in shares[:2]]
        return [len(each) for each in owned] == [2, 2] and sorted([*owned[0], *owned[1]]) == [0, 1, 2, 3]

    until(split)
    assert shares[0].share().generation == shares[1].share().generation >= 1


def test_a_loader_that_leaves_hands_its_partitions_over_at_once(shares):
    until(lambda: [len(share.owned()) for share in shares[:2]] == [2, 2])
    before = shares[0].share().generation
    shares[1].close()
    until(lambda: len(shares[0].owned()) == 4)
    assert shares[0].share().generation > before
    with pytest.raises(TerminalError):
        shares[1].owned()


def test_the_partitions_of_a_killed_loader_go_to_the_others(kafka_broker, settings, shares):
    url = f"kafka://{settings.servers[0]}/{settings.topic}?group={settings.group}"
    with subprocess.Popen([sys.executable, "-c", LOADER, url], stdout=subprocess.PIPE) as loader:
        until(lambda: len(shares[0].owned()) == 2)
        os.kill(loader.pid, signal.SIGKILL)
        loader.wait()
    until(lambda: shares[0].owned() == [0, 1, 2, 3])


def test_after_a_crash_of_the_broker_the_loader_owns_its_partitions_again(kafka_broker, shares):
    until(lambda: len(shares[0].owned()) == 4)
    kafka_broker.kill()
    kafka_broker.start()

    def back() -> bool:
        try:
            return shares[0].owned() == [0, 1, 2, 3]
        except TransientError:
            return False

    until(back)
    until(lambda: [len(share.owned()) for share in shares[:2]] == [2, 2])


def test_membership_reads_and_commits_nothing(settings, shares):
    log = KafkaLog(settings)
    log.append_many([b"a", b"b"])
    until(lambda: len(shares[0].owned()) == 4)
    committed = shares[0]._consumer.committed
    from kafka import TopicPartition

    assert [committed(TopicPartition(settings.topic, partition)) for partition in range(4)] == [None] * 4
    assert sum(len(log.read(partition, 0, 1000)) for partition in range(4)) == 2
    log.close()
