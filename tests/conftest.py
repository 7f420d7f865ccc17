"""Fixtures that all tests may use."""

from tests.brokers.fixtures import kafka_broker, kafka_topic

__all__ = ["kafka_broker", "kafka_topic"]
