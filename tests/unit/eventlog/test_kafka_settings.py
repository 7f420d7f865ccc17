"""A ``kafka://`` URL is read strictly, and shows no secret."""

from pathlib import Path

import pytest

from clapometer.domain import InputError, TransientError
from clapometer.eventlog.kafka import Secret, parse_kafka_url

URL = "kafka://one:9092,two:9093/applause"
LOGIN = "security=sasl_ssl&sasl=scram-sha-256&username=me"


@pytest.mark.parametrize(
    ("url", "field", "reason"),
    [
        ("http://one:9092/applause", "log", "write kafka://"),
        ("kafka://one/applause", "log", "'one' is not host:port"),
        ("kafka://one:9092,/applause", "log", "'' is not host:port"),
        ("kafka://one:9092/", "log", "is not a topic"),
        ("kafka://one:9092/a/b", "log", "is not a topic"),
        ("kafka://one:9092/..", "log", "is not a topic"),
        ("kafka://me:secret@one:9092/applause", "log", "username and password_file"),
        (f"{URL}?compresion=lz4", "compresion", "did you mean compression"),
        (f"{URL}?zzz=1", "zzz", "unknown key; known are client"),
        (f"{URL}?compression=lz5", "compression", "'lz5' is not one of none, gzip, lz4, zstd"),
        (f"{URL}?compression=lz4&compression=zstd", "compression", "given twice"),
        (f"{URL}?compression", "log", "key=value"),
        (f"{URL}?timeout_ms=fast", "timeout_ms", "'fast' is not a whole number from 1000 to 600000"),
        (f"{URL}?timeout_ms=1e4", "timeout_ms", "whole number"),
        (f"{URL}?partitions=0", "partitions", "from 1 to"),
        (f"{URL}?trim=yes", "trim", "neither true nor false"),
        (f"{URL}?username=", "username", "is empty"),
        (f"{URL}?password=secret", "password", "password_file"),
        (f"{URL}?sasl=plain", "sasl", "needs security=sasl_ssl"),
        (f"{URL}?security=sasl_ssl", "sasl", "security=sasl_ssl needs it"),
        (f"{URL}?security=sasl_ssl&sasl=plain", "username", "sasl=plain needs it"),
        (f"{URL}?{LOGIN}", "password_file", "or the password from the environment"),
        (f"{URL}?ca_file=/ca.pem", "ca_file", "needs security=ssl"),
        (f"{URL}?security=ssl&key_file=/key.pem", "key_file", "needs cert_file"),
        (f"{URL}?security=sasl_ssl&sasl=oauthbearer", "token_file", "token_file or token_url"),
        (f"{URL}?security=sasl_ssl&sasl=oauthbearer&token_url=http://id/token", "token_url", "is not https"),
        (f"{URL}?security=sasl_ssl&sasl=oauthbearer&token_url=https://id/token", "oauth_client_id", "needs it"),
        (f"{URL}?replication=1", "min_insync", "2 is more than replication=1"),
        (f"{URL}?buffer_bytes=1048576", "buffer_bytes", "less than max_block_bytes"),
        (f"{URL}?connect_ms=60000", "connect_ms", "more than timeout_ms"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(url, field, reason):
    with pytest.raises(InputError) as caught:
        parse_kafka_url(url)
    assert caught.value.field == field
    assert reason in caught.value.reason


def test_an_url_without_keys_has_durable_defaults():
    settings = parse_kafka_url(URL)
    assert settings.servers == ("one:9092", "two:9093")
    assert (settings.topic, settings.record, settings.min_insync, settings.trim) == ("applause", "block", 2, False)


def test_every_key_reaches_its_field():
    settings = parse_kafka_url(f"{URL}?record=event&compression=zstd&retention_hours=-1&check_hostname=false&trim=true")
    assert (settings.record, settings.compression, settings.retention_hours) == ("event", "zstd", -1)
    assert (settings.check_hostname, settings.trim) == (False, True)


def test_an_address_of_version_six_is_a_server():
    assert parse_kafka_url("kafka://[::1]:9092/applause").servers == ("[::1]:9092",)


def test_a_password_is_never_shown(tmp_path: Path):
    settings = parse_kafka_url(f"{URL}?{LOGIN}", password="hunter2")
    assert "hunter2" not in repr(settings) + str(settings)
    assert settings.password is not None
    assert settings.password.read() == "hunter2"


def test_a_password_file_is_read_each_time_so_that_it_can_be_rotated(tmp_path: Path):
    file = tmp_path / "password"
    settings = parse_kafka_url(f"{URL}?{LOGIN}&password_file={file}", password="of the environment")
    assert settings.password == Secret(file=file)
    for password in ("first", "second"):
        file.write_text(password + "\n")
        assert settings.password.read() == password


def test_a_missing_password_file_is_named_and_may_appear_later(tmp_path: Path):
    with pytest.raises(TransientError, match="nowhere cannot be read"):
        Secret(file=tmp_path / "nowhere").read()
