"""TLS and SASL against a real broker, and secrets that never show."""

import base64
import json
import logging
import time
import uuid

import pytest

from clapometer.domain import TransientError
from clapometer.eventlog.kafka import KafkaLog, init_topic, parse_kafka_url


def unsigned_token(subject: str) -> str:
    """A bearer token without a signature, as the broker's test validator takes it."""
    parts = ({"alg": "none"}, {"sub": subject, "iat": time.time() - 1, "exp": time.time() + 600})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


def round_trip(url: str, password: str | None = None) -> list[bytes]:
    settings = parse_kafka_url(url, password=password)
    init_topic(settings)
    log = KafkaLog(settings)
    try:
        log.append_many([b"through"])
        return [record.block for record in log.read(0, 0, 1000)]
    finally:
        log.close()


@pytest.fixture(params=["kafka-python", "confluent"])
def small(request):
    return f"client={request.param}&replication=1&min_insync=1&partitions=1&timeout_ms=15000&connect_ms=8000"


@pytest.fixture
def sasl_url(kafka_broker, small):
    return (
        f"kafka://{kafka_broker.sasl_server}/{uuid.uuid4()}?security=sasl_ssl&ca_file={kafka_broker.ca_file}"
        f"&username={kafka_broker.user}&{small}"
    )


def test_a_certificate_that_nobody_vouches_for_is_refused(kafka_broker, small):
    log = KafkaLog(parse_kafka_url(f"kafka://{kafka_broker.ssl_server}/t?security=ssl&{small}"))
    with pytest.raises(TransientError, match="cannot connect"):
        log.append_many([b"a"])
    log.close()


def test_tls_with_the_right_authority_works(kafka_broker, small):
    url = f"kafka://{kafka_broker.ssl_server}/{uuid.uuid4()}?security=ssl&ca_file={kafka_broker.ca_file}&{small}"
    assert round_trip(url) == [b"through"]


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256", "scram-sha-512"])
def test_a_password_lets_in(kafka_broker, sasl_url, mechanism):
    assert round_trip(f"{sasl_url}&sasl={mechanism}", kafka_broker.password) == [b"through"]


@pytest.mark.parametrize("mechanism", ["plain", "scram-sha-256"])
def test_a_wrong_password_is_told_as_such_and_the_right_one_works_without_a_restart(
    kafka_broker, sasl_url, mechanism, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "password"
    file.write_text(kafka_broker.password)
    settings = parse_kafka_url(f"{sasl_url}&sasl={mechanism}&password_file={file}")
    init_topic(settings)
    file.write_text("wrong-but-secret")
    log = KafkaLog(settings)
    with pytest.raises(TransientError) as caught:
        log.append_many([b"a"])
    assert "wrong-but-secret" not in str(caught.value)
    file.write_text(kafka_broker.password)
    log.append_many([b"b"])
    log.close()
    assert "wrong-but-secret" not in caplog.text
    assert kafka_broker.password not in caplog.text


def test_a_bearer_token_from_a_file_lets_in(sasl_url, tmp_path):
    file = tmp_path / "token"
    file.write_text(unsigned_token("collector"))
    assert round_trip(f"{sasl_url}&sasl=oauthbearer&token_file={file}") == [b"through"]


def test_a_certificate_file_that_is_missing_is_named(kafka_broker, small):
    log = KafkaLog(parse_kafka_url(f"kafka://{kafka_broker.ssl_server}/t?security=ssl&ca_file=/no/ca.pem&{small}"))
    with pytest.raises(TransientError, match="TLS cannot be set up from /no/ca"):
        log.append_many([b"a"])
    log.close()
