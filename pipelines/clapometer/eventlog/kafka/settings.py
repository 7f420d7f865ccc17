"""What a ``kafka://`` URL says, checked and frozen: which broker, which topic, how to get in.

``kafka://host:port[,host:port]/topic?key=value&…``; ``docs/how-to/kafka.md`` lists the keys. An URL is shown by
``clapometer config`` and in process lists, so it never holds a secret: it names the file that does.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import parse_qsl, unquote, urlsplit

from clapometer.domain import InputError, TransientError, Trust

Client = Literal["kafka-python", "confluent"]
RecordKind = Literal["block", "event"]
Compression = Literal["none", "gzip", "lz4", "zstd"]
Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Sasl = Literal["plain", "scram-sha-256", "scram-sha-512", "oauthbearer"]

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_MIB = 1 << 20


@dataclass(frozen=True)
class Secret:
    """A secret given as a value, or as the file that holds it; ``repr`` shows the file and never the value."""

    value: str | None = field(default=None, repr=False)
    file: Path | None = None

    def read(self) -> str:
        """Returns the secret; a file is read each time, so that a rotated one is used without a restart.

        Raises:
            TransientError: The file cannot be read (now).
        """
        if self.file is None:
            return self.value or ""
        try:
            return self.file.read_text().strip()
        except OSError as error:
            msg = f"secret file {self.file} cannot be read: {error.strerror}"
            raise TransientError(msg) from error


@dataclass(frozen=True)
class KafkaSettings:
    """Settings of a Kafka event log; every field but the first three is a key of the URL's query.

    Attributes:
        servers: Brokers to ask first, as ``host:port``.
        topic: The topic that holds the blocks.
        password: Password of ``username``; from ``password_file``, or given beside the URL.
        client: Library that writes; ``confluent`` needs the extra of that name.
        record: ``block``: a record per accepted request. ``event``: a CloudEvents record per event.
        compression: Codec of record batches.
        timeout_ms: Longest time that an append or a read waits for the broker.
        connect_ms: Longest time to connect anew while the broker is away.
        buffer_bytes: Most bytes on their way to the broker at a time.
        max_block_bytes: Larger blocks are split; the topic must take records of this size.
        fetch_bytes: Most bytes fetched from a partition at a time.
        client_id: Name of this client in the broker's logs and quotas.
        group: Consumer group in which loaders share the partitions.
        foreign_tenant: Tenant of events that other producers write into the topic.
        foreign_trust: How far their impressions are trusted.
        trim: Whether the loader may delete loaded records; otherwise the topic's retention does.
        security: Protocol of the listener.
        sasl: Mechanism, with ``sasl_plaintext`` and ``sasl_ssl``.
        username: User of ``plain`` and ``scram-…``.
        ca_file: Authorities that vouch for the brokers; the system's where unset.
        cert_file: Client certificate, PEM.
        key_file: Its key, PEM.
        key_password_file: Password of the key.
        check_hostname: Whether the certificate must name the host.
        token_file: File with the bearer token of ``oauthbearer``, read at each connect.
        token_url: Where client credentials are exchanged for a token, instead of ``token_file``.
        oauth_client_id: Client id of ``token_url``.
        oauth_client_secret_file: Its secret.
        oauth_scope: Scope to ask for.
        partitions: Partitions of the topic when ``clapometer log init`` creates it.
        replication: Copies of each partition.
        min_insync: Copies that must have a record before it counts as written.
        retention_hours: How long the topic must keep records; -1 is for ever.
    """

    servers: tuple[str, ...]
    topic: str
    password: Secret | None = None
    client: Client = "kafka-python"
    record: RecordKind = "block"
    compression: Compression = "lz4"
    timeout_ms: int = 10_000
    connect_ms: int = 2_000
    buffer_bytes: int = 32 * _MIB
    max_block_bytes: int = 8 * _MIB
    fetch_bytes: int = 4 * _MIB
    client_id: str = "clapometer"
    group: str = "clapometer-loader"
    foreign_tenant: str = "default"
    foreign_trust: Trust = "key"
    trim: bool = False
    security: Security = "plaintext"
    sasl: Sasl | None = None
    username: str | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    key_password_file: Path | None = None
    check_hostname: bool = True
    token_file: Path | None = None
    token_url: str | None = None
    oauth_client_id: str | None = None
    oauth_client_secret_file: Path | None = None
    oauth_scope: str | None = None
    partitions: int = 12
    replication: int = 3
    min_insync: int = 2
    retention_hours: int = 168


def parse_kafka_url(url: str, *, password: str | None = None) -> KafkaSettings:
    """Returns the settings that ``url`` spells; ``password`` is a secret the environment gave.

    Raises:
        InputError: A key is unknown, a value does not fit, or two of them do not go together; names the key.
    """
    parts = urlsplit(url)
    if parts.scheme != "kafka" or parts.fragment:
        msg = "write kafka://host:port[,host:port]/topic?key=value&…"
        raise InputError(msg, "log")
    if "@" in parts.netloc:
        msg = "holds a user or password; use the keys username and password_file"
        raise InputError(msg, "log")
    values = _query(parts.query)
    secret = Secret(value=password) if password is not None else None
    if "password_file" in values:
        secret = Secret(file=Path(values.pop("password_file")))
    settings = KafkaSettings(
        servers=_servers(parts.netloc),
        topic=_topic(unquote(parts.path.removeprefix("/"))),
        password=secret,
        **{key: _READERS[key](key, value) for key, value in values.items()},  # type: ignore[arg-type]
    )
    _check_security(settings)
    _check_sizes(settings)
    return settings


def _servers(netloc: str) -> tuple[str, ...]:
    servers = tuple(netloc.split(","))
    for server in servers:
        if not _SERVER.fullmatch(server):
            msg = f"{server!r} is not host:port"
            raise InputError(msg, "log")
    return servers


def _topic(topic: str) -> str:
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        msg = f"{topic!r} is not a topic: 1 to 249 letters, digits, dots, hyphens and underscores"
        raise InputError(msg, "log")
    return topic


def _query(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        msg = f"the part after ? is not key=value&key=value: {error}"
        raise InputError(msg, "log") from error
    values: dict[str, str] = {}
    for key, value in pairs:
        if key == "password":
            msg = "a password does not belong in an URL; name the file that holds it with password_file"
            raise InputError(msg, key)
        if key not in _READERS and key != "password_file":
            close = difflib.get_close_matches(key, [*_READERS, "password_file"], n=1)
            msg = "unknown key" + (f"; did you mean {close[0]}?" if close else f"; known are {', '.join(_READERS)}")
            raise InputError(msg, key)
        if key in values:
            msg = "given twice"
            raise InputError(msg, key)
        values[key] = value
    return values


def _text(key: str, value: str) -> str:
    if not value:
        msg = "is empty"
        raise InputError(msg, key)
    return value


def _path(key: str, value: str) -> Path:
    return Path(_text(key, value))


def _flag(key: str, value: str) -> bool:
    if value not in {"true", "false"}:
        msg = f"{value!r} is neither true nor false"
        raise InputError(msg, key)
    return value == "true"


def _whole(low: int, high: int) -> Callable[[str, str], int]:
    def read(key: str, value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,15}", value) or not low <= int(value) <= high:
            msg = f"{value!r} is not a whole number from {low} to {high}"
            raise InputError(msg, key)
        return int(value)

    return read


def _one_of(choices: tuple[str, ...]) -> Callable[[str, str], str]:
    def read(key: str, value: str) -> str:
        if value not in choices:
            msg = f"{value!r} is not one of {', '.join(choices)}"
            raise InputError(msg, key)
        return value

    return read


_READERS: dict[str, Callable[[str, str], object]] = {
    "client": _one_of(get_args(Client)),
    "record": _one_of(get_args(RecordKind)),
    "compression": _one_of(get_args(Compression)),
    "timeout_ms": _whole(1_000, 600_000),
    "connect_ms": _whole(100, 60_000),
    "buffer_bytes": _whole(_MIB, 1 << 32),
    "max_block_bytes": _whole(256 * 1024, 256 * _MIB),
    "fetch_bytes": _whole(64 * 1024, 256 * _MIB),
    "trim": _flag,
    "foreign_trust": _one_of(get_args(Trust)),
    "security": _one_of(get_args(Security)),
    "sasl": _one_of(get_args(Sasl)),
    "check_hostname": _flag,
    "partitions": _whole(1, 10_000),
    "replication": _whole(1, 32),
    "min_insync": _whole(1, 32),
    "retention_hours": _whole(-1, 1_000_000),
    **dict.fromkeys(("ca_file", "cert_file", "key_file", "key_password_file"), _path),
    **dict.fromkeys(("token_file", "oauth_client_secret_file"), _path),
    **dict.fromkeys(("client_id", "group", "foreign_tenant", "username"), _text),
    **dict.fromkeys(("token_url", "oauth_client_id", "oauth_scope"), _text),
}
"""Reads the text of each key."""

assert set(_READERS) == {each.name for each in fields(KafkaSettings)} - {"servers", "topic", "password"}


def _check_security(settings: KafkaSettings) -> None:
    with_sasl = settings.security.startswith("sasl")
    if with_sasl != (settings.sasl is not None):
        msg = "needs security=sasl_ssl" if settings.sasl else f"security={settings.security} needs it"
        raise InputError(msg, "sasl")
    if not settings.security.endswith("ssl"):
        for key in ("ca_file", "cert_file", "key_file", "key_password_file"):
            if getattr(settings, key) is not None:
                msg = "needs security=ssl or security=sasl_ssl"
                raise InputError(msg, key)
    if settings.key_file is not None and settings.cert_file is None:
        msg = "needs cert_file"
        raise InputError(msg, "key_file")
    if settings.sasl == "oauthbearer":
        _check_oauth(settings)
    elif settings.sasl is not None and settings.username is None:
        msg = f"sasl={settings.sasl} needs it"
        raise InputError(msg, "username")
    elif settings.sasl is not None and settings.password is None:
        msg = f"sasl={settings.sasl} needs it, or the password from the environment"
        raise InputError(msg, "password_file")


def _check_oauth(settings: KafkaSettings) -> None:
    if (settings.token_file is None) == (settings.token_url is None):
        msg = "sasl=oauthbearer needs token_file or token_url, one of them"
        raise InputError(msg, "token_file")
    if settings.token_url is None:
        return
    if not settings.token_url.startswith("https://"):
        msg = "is not https://…: it would show the client's secret to the network"
        raise InputError(msg, "token_url")
    for key in ("oauth_client_id", "oauth_client_secret_file"):
        if getattr(settings, key) is None:
            msg = "token_url needs it"
            raise InputError(msg, key)


def _check_sizes(settings: KafkaSettings) -> None:
    if settings.min_insync > settings.replication:
        msg = f"{settings.min_insync} is more than replication={settings.replication}"
        raise InputError(msg, "min_insync")
    if settings.buffer_bytes < settings.max_block_bytes:
        msg = f"{settings.buffer_bytes} is less than max_block_bytes={settings.max_block_bytes}"
        raise InputError(msg, "buffer_bytes")
    if settings.connect_ms > settings.timeout_ms:
        msg = f"{settings.connect_ms} is more than timeout_ms={settings.timeout_ms}"
        raise InputError(msg, "connect_ms")
