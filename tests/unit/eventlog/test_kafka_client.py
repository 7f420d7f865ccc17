"""Which library writes to Kafka is a setting; one that is not installed is named."""

import sys

import pytest

from clapometer.domain import InputError
from clapometer.eventlog.kafka import parse_kafka_url
from clapometer.eventlog.kafka.log import make_producer

URL = "kafka://one:9092/applause"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "KafkaPythonProducer"),
        ("?client=kafka-python", "KafkaPythonProducer"),
        ("?client=confluent", "ConfluentProducer"),
    ],
)
def test_the_setting_chooses_the_producer(query, name):
    producer = make_producer(parse_kafka_url(URL + query))
    assert type(producer).__name__ == name
    producer.close()


def test_an_extra_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    monkeypatch.delitem(sys.modules, "clapometer.eventlog.kafka.confluent", raising=False)
    with pytest.raises(InputError, match=r"pip install 'clapometer\[confluent\]'") as caught:
        make_producer(parse_kafka_url(f"{URL}?client=confluent"))
    assert caught.value.field == "client"
