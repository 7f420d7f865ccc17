"""The event log in Apache Kafka; imported only where a ``kafka://`` URL is used."""

from clapometer.eventlog.kafka.log import KafkaLog
from clapometer.eventlog.kafka.settings import KafkaSettings, Secret, parse_kafka_url
from clapometer.eventlog.kafka.share import PartitionShare, Share
from clapometer.eventlog.kafka.topic import TopicDifference, TopicReport, init_topic

__all__ = [
    "KafkaLog",
    "KafkaSettings",
    "PartitionShare",
    "Secret",
    "Share",
    "TopicDifference",
    "TopicReport",
    "init_topic",
    "parse_kafka_url",
]
