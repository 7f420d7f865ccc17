"""The Kafka log keeps the contract of every event log, on a real broker."""

import pytest
from tests.contract.eventlog_contract import EventLogContract

from clapometer.eventlog import EventLog
from clapometer.eventlog.kafka import KafkaLog


class TestOnePartition(EventLogContract):
    @pytest.fixture(autouse=True)
    def _topics(self, kafka_topic):
        self._topic = kafka_topic

    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        return KafkaLog(self._topic())


class TestSeveralPartitions(TestOnePartition):
    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        return KafkaLog(self._topic(partitions=3))


class TestZstd(TestOnePartition):
    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        return KafkaLog(self._topic(compression="zstd"))


class TestConfluent(TestOnePartition):
    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        return KafkaLog(self._topic(client="confluent"))


class TestConfluentOnSeveralPartitions(TestOnePartition):
    def make(self, max_bytes: int = 64 << 20) -> EventLog:
        return KafkaLog(self._topic(client="confluent", partitions=3))
