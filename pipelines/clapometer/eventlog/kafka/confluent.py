"""Records to a topic through confluent-kafka, a client in C around librdkafka: ``?client=confluent``.

It needs the extra ``confluent``; this module is imported only where it is chosen. Reading, and the topic's
administration, stay with kafka-python.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from clapometer.domain import TerminalError, TransientError
from clapometer.eventlog.contract import Position
from clapometer.eventlog.kafka.acknowledged import TAKEN_FOR_ANOTHER, Floor, Floors, current_ends
from clapometer.eventlog.kafka.client import ClientCredentialsToken, FileToken, request_timeout_ms, tls_failure
from clapometer.eventlog.kafka.producer import BATCH_BYTES, LINGER_MS, Underway
from clapometer.eventlog.kafka.records import Outgoing
from clapometer.eventlog.kafka.settings import KafkaSettings, Secret

TOKEN_SECONDS = 60
"""How long a bearer token is used before it is asked for again: its own expiry is not ours to read."""

METADATA_SECONDS = 60
"""How long it is believed which partitions have a leader, while nothing fails."""

_Outcome = Position | KafkaError | str | None
_LOGGER = logging.getLogger("confluent_kafka")
_REFUSALS = {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}  # noqa: SLF001 - its public name


@dataclass(frozen=True)
class _Answers:
    """What the broker says of the records of one call, by their places, and what was known before it."""

    outcomes: list[_Outcome]
    floors: Floors
    known: Mapping[int, Floor]

    def hear(self, place: int, error: KafkaError | None, message: Message) -> None:
        partition, offset = message.partition(), message.offset()
        if error is not None:
            self.outcomes[place] = error
        elif partition is not None and offset is not None and offset >= 0:  # else the broker does not say where
            timestamp = message.timestamp()[1]
            if self.known.get(partition, Floor()).doubts(offset, timestamp):
                self.outcomes[place] = TAKEN_FOR_ANOTHER.format(partition=partition, offset=offset)
            else:
                self.floors.raise_to(partition, offset, timestamp)
                self.outcomes[place] = Position(partition, offset)


class ConfluentProducer:
    """Sends with acks=all and idempotence; after a failure it starts over with a new connection.

    What the old connection had in flight may be in the topic once; what is sent again is recognised by the loader.
    Threads may share it. After a fork, make it anew.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._refused = False
        self._closed = False
        self._underway = Underway(settings.buffer_bytes)
        self._partitions: list[int] = []
        self._look_again = 0.0
        self._turn = 0
        self._floors = Floors({})

    def send(self, records: Sequence[Outgoing]) -> list[Position]:
        """Returns the position of each record once all of them are acknowledged."""
        if not records:
            return []
        with self._underway.room_for(records):
            return self._send(records)

    def ready(self) -> bool:
        """Returns whether the broker answers now."""
        try:
            with self._lock:
                self._check(self._connected())
        except TransientError:
            return False
        return True

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._closed = True
            producer, self._producer = self._producer, None
        if producer is not None:
            _abandon(producer)

    def _send(self, records: Sequence[Outgoing]) -> list[Position]:
        outcomes: list[_Outcome] = [None] * len(records)
        producer = None
        failure: object = "no answer in time"
        try:
            with self._lock:
                producer = self._connected()
                if time.monotonic() >= self._look_again:
                    self._check(producer)
                self._enqueue(producer, records, _Answers(outcomes, self._floors, self._floors.now()))
            producer.flush(self._settings.timeout_ms / 1000 + 1)  # ends the lingering, too
        except (KafkaException, BufferError) as error:
            failure = error
        positions = [outcome for outcome in outcomes if isinstance(outcome, Position)]
        if len(positions) == len(records):
            return positions
        self._give_up(producer)
        failure = next((outcome for outcome in outcomes if isinstance(outcome, KafkaError | str)), failure)
        msg = f"Kafka has not acknowledged {len(records)} records of {self._settings.topic}: {_describe(failure)}"
        raise TransientError(msg)

    def _enqueue(self, producer: Producer, records: Sequence[Outgoing], answers: _Answers) -> None:
        """Hands the records over, in packs that go to one partition each."""
        size = BATCH_BYTES
        for place, record in enumerate(records):
            if size + len(record.value) > BATCH_BYTES:
                self._turn += 1
                size = 0
            size += len(record.value)
            producer.produce(
                self._settings.topic,
                record.value,
                partition=self._partitions[self._turn % len(self._partitions)],
                headers=[*record.headers],
                on_delivery=partial(answers.hear, place),
            )

    def _connected(self) -> Producer:
        if self._closed:
            msg = "the event log is closed"
            raise TerminalError(msg)
        if self._producer is None:
            self._floors = Floors(current_ends(self._settings))
            self._producer = self._connect()
        return self._producer

    def _connect(self) -> Producer:
        self._refused = False
        try:
            producer = Producer(producer_options(self._settings), error_cb=self._note, logger=_LOGGER)
        except KafkaException as error:
            if self._settings.security.endswith("ssl"):
                raise tls_failure(self._settings, _describe(error)) from error
            msg = f"the client for Kafka cannot be set up: {_describe(error)}"
            raise TransientError(msg) from error
        try:
            self._check(producer)
        except TransientError:
            _abandon(producer)
            raise
        return producer

    def _check(self, producer: Producer) -> None:
        """Asks the broker for the topic, and which of its partitions have a leader.

        Raises:
            TransientError: It is away, does not let us in, or has no such topic (yet).
        """
        topic = self._settings.topic
        try:
            found = producer.list_topics(topic, self._settings.connect_ms / 1000).topics[topic]
        except KafkaException as error:
            producer.poll(0)  # hears why
            why = "the broker refuses the credentials" if self._refused else _describe(error)
            msg = f"cannot connect to Kafka at {', '.join(self._settings.servers)}: {why}"
            raise TransientError(msg) from error
        if found.error is not None:
            msg = f"topic {topic} cannot be written: {_describe(found.error)} (clapometer log init makes it)"
            raise TransientError(msg)
        led = [each.id for each in found.partitions.values() if each.leader >= 0]
        self._partitions = sorted(led or found.partitions)
        self._look_again = time.monotonic() + METADATA_SECONDS

    def _note(self, error: KafkaError) -> None:
        self._refused = self._refused or error.code() in _REFUSALS

    def _give_up(self, producer: Producer | None) -> None:
        with self._lock:
            if producer is None or self._producer is not producer:
                return
            self._producer = None
        _abandon(producer)


def producer_options(settings: KafkaSettings) -> dict[str, object]:
    """Returns the options that make a write durable, in order and bounded in time and memory."""
    options: dict[str, object] = {
        "bootstrap.servers": ",".join(settings.servers),
        "client.id": settings.client_id,
        "security.protocol": settings.security,
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": settings.compression,
        "linger.ms": LINGER_MS,
        "batch.size": BATCH_BYTES,
        "message.max.bytes": settings.max_block_bytes + BATCH_BYTES,
        "queue.buffering.max.kbytes": 2 * settings.buffer_bytes // 1024,
        "queue.buffering.max.messages": 0,  # bytes are the bound
        "delivery.timeout.ms": settings.timeout_ms,
        "request.timeout.ms": request_timeout_ms(settings),
        "socket.timeout.ms": request_timeout_ms(settings),
        "socket.connection.setup.timeout.ms": max(1_000, settings.connect_ms),
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 60_000,
        "allow.auto.create.topics": False,
    }
    return options | _tls_options(settings) | _sasl_options(settings)


def _tls_options(settings: KafkaSettings) -> dict[str, object]:
    if not settings.security.endswith("ssl"):
        return {}
    files = {
        "ssl.ca.location": settings.ca_file,
        "ssl.certificate.location": settings.cert_file,
        "ssl.key.location": settings.key_file,
    }
    options: dict[str, object] = {name: str(path) for name, path in files.items() if path is not None}
    if settings.key_password_file is not None:
        options["ssl.key.password"] = Secret(file=settings.key_password_file).read()
    return {**options, "ssl.endpoint.identification.algorithm": "https" if settings.check_hostname else "none"}


def _sasl_options(settings: KafkaSettings) -> dict[str, object]:
    if settings.sasl is None:
        return {}
    if settings.sasl == "oauthbearer":
        provider = FileToken(settings) if settings.token_file is not None else ClientCredentialsToken(settings)
        return {"sasl.mechanisms": "OAUTHBEARER", "oauth_cb": lambda _: (provider.token(), time.time() + TOKEN_SECONDS)}
    if settings.password is None:
        msg = "SASL needs a password"
        raise TerminalError(msg)
    return {
        "sasl.mechanisms": settings.sasl.upper(),
        "sasl.username": settings.username,
        "sasl.password": settings.password.read(),
    }


def _abandon(producer: Producer) -> None:
    """Gives up what is under way, so that closing has nothing to wait for."""
    producer.purge()
    producer.close()


def _describe(failure: object) -> str:
    if isinstance(failure, KafkaException) and failure.args and isinstance(failure.args[0], KafkaError):
        failure = failure.args[0]
    return failure.str() if isinstance(failure, KafkaError) else str(failure)
