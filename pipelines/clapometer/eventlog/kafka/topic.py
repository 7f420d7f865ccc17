"""Creates the topic of an event log, and says in what an existing one differs from what the log needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, errors
from kafka.admin import ConfigResource

from clapometer.domain import TerminalError
from clapometer.eventlog.kafka.client import connect, translated
from clapometer.eventlog.kafka.settings import KafkaSettings

RECORD_OVERHEAD = 16_384
"""Bytes that a record batch takes beside the block in it, headers included."""


@dataclass(frozen=True)
class TopicDifference:
    """A setting of the topic that does not suit the log.

    Attributes:
        name: Name of the setting, as Kafka spells it.
        found: Its value.
        wanted: What the log needs.
        why: What goes wrong otherwise.
    """

    name: str
    found: str
    wanted: str
    why: str


@dataclass(frozen=True)
class TopicReport:
    """What ``clapometer log init`` did and found."""

    topic: str
    created: bool
    partitions: int
    replication: int
    differences: tuple[TopicDifference, ...]


@dataclass(frozen=True)
class _Rule:
    name: str
    wanted: str
    holds: Callable[[str], bool]
    why: str


def init_topic(settings: KafkaSettings) -> TopicReport:
    """Creates the topic unless it exists; returns in what it differs from what the log needs.

    An existing topic is never changed: others may share it.

    Raises:
        TerminalError: The cluster has fewer brokers than ``replication``, or forbids it.
        TransientError: The broker is away.
    """
    admin = connect(KafkaAdminClient, settings)
    try:
        with translated(f"topic {settings.topic} could not be checked"):
            created = _create(admin, settings)
            return _report(admin, settings, created)
    finally:
        admin.close()


def _rules(settings: KafkaSettings) -> list[_Rule]:
    retention = settings.retention_hours * 3_600_000 if settings.retention_hours >= 0 else -1
    size = settings.max_block_bytes + RECORD_OVERHEAD
    return [
        _Rule(
            "min.insync.replicas",
            str(settings.min_insync),
            lambda value: int(value) >= settings.min_insync,
            "an acknowledged block could be lost with one broker",
        ),
        _Rule(
            "retention.ms",
            str(retention),
            lambda value: int(value) == -1 or (0 <= retention <= int(value)),
            "blocks could be deleted before they are loaded, or before the lake can be rebuilt",
        ),
        _Rule(
            "max.message.bytes",
            str(size),
            lambda value: int(value) >= size,
            "a large block could be refused",
        ),
        _Rule(
            "cleanup.policy",
            "delete",
            lambda value: value == "delete",
            "compaction would delete blocks, which have no key",
        ),
        _Rule(
            "message.timestamp.type",
            "LogAppendTime",
            lambda value: value == "LogAppendTime",
            "the time of receipt of events of other producers would be what they say",
        ),
        _Rule(
            "unclean.leader.election.enable",
            "false",
            lambda value: value == "false",
            "a broker without the newest blocks could take over",
        ),
    ]


def topic_config(settings: KafkaSettings) -> dict[str, str]:
    """Returns the settings that a topic of ours is made with."""
    return {rule.name: rule.wanted for rule in _rules(settings)}


def _create(admin: Any, settings: KafkaSettings) -> bool:
    plan = {
        "num_partitions": settings.partitions,
        "replication_factor": settings.replication,
        "configs": topic_config(settings),
    }
    try:
        admin.create_topics({settings.topic: plan}, timeout_ms=settings.timeout_ms)
    except errors.TopicAlreadyExistsError:
        return False
    except errors.InvalidReplicationFactorError as error:
        msg = (
            f"the cluster has fewer than {settings.replication} brokers; start more, "
            "or add replication=1&min_insync=1 where losing blocks with a broker is fine"
        )
        raise TerminalError(msg) from error
    except (errors.AuthorizationError, errors.PolicyViolationError) as error:
        msg = f"the cluster does not let us create topic {settings.topic}: {error}"
        raise TerminalError(msg) from error
    admin.wait_for_topics([settings.topic], timeout_ms=settings.timeout_ms)
    return True


def _report(admin: Any, settings: KafkaSettings, created: bool) -> TopicReport:
    (described,) = admin.describe_topics([settings.topic])
    partitions = described["partitions"]
    replication = min(len(each["replica_nodes"]) for each in partitions)
    (answer,) = admin.describe_configs([ConfigResource("TOPIC", settings.topic)], config_filter="all").values()
    found = {name: str(entry["value"]) for name, entry in answer[settings.topic].items()}
    differences = [
        TopicDifference(rule.name, found[rule.name], rule.wanted, rule.why)
        for rule in _rules(settings)
        if rule.name in found and not rule.holds(found[rule.name])
    ]
    if replication < settings.replication:
        why = "an acknowledged block could be lost with one broker"
        differences.append(TopicDifference("replication factor", str(replication), str(settings.replication), why))
    return TopicReport(settings.topic, created, len(partitions), replication, tuple(differences))
