"""Fixtures with a real broker; ``tests/conftest.py`` makes them known to all tests."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.brokers.broker import Broker

if TYPE_CHECKING:  # the tests that need no broker need not wait for its client either
    from clapometer.eventlog.kafka import KafkaSettings

PATIENT = {"timeout_ms": 60_000, "connect_ms": 20_000}
"""For whoever expects an answer: a broker that shares its machine with many may take long."""
TopicMaker = Callable[..., "KafkaSettings"]


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for the whole session of one worker; a test that ends it starts it again."""
    folder: Path = tmp_path_factory.mktemp("kafka")
    broker = Broker(folder)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def kafka_topic(kafka_broker: Broker) -> TopicMaker:
    """Makes a topic of its own and returns its settings; keywords are keys of the URL."""
    from clapometer.eventlog.kafka import init_topic, parse_kafka_url

    def make(**keys: object) -> "KafkaSettings":
        name = str(uuid.uuid4())
        usual = {"group": name, "partitions": 1, "replication": 1, "min_insync": 1, "trim": "true"}
        keys = {**usual, **PATIENT, **keys}
        query = "&".join(f"{key}={value}" for key, value in keys.items())
        settings = parse_kafka_url(f"kafka://{kafka_broker.server}/{name}?{query}")
        init_topic(settings)
        return settings

    return make
