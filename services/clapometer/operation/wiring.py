"""Builds objects from the settings: the one place where configuration becomes things."""

import datetime as dt
import importlib.metadata
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clapometer.domain import InputError, NotFoundError
from clapometer.gate.tokens import TokenRing
from clapometer.settings import Settings, load_settings, settings_file, state_home
from clapometer.telemetry.logs import configure_logging

if TYPE_CHECKING:  # imported where they are used, so that no command pays for the others
    from clapometer.collector import CollectorConfig
    from clapometer.eventlog import EventLog
    from clapometer.eventlog.kafka import KafkaSettings, PartitionShare
    from clapometer.gate import Gate, KeyRing
    from clapometer.labels import LabelRule
    from clapometer.lake.delta.storage import Storage
    from clapometer.lake.tables import Lake
    from clapometer.loading.loader import Loader
    from clapometer.telemetry.traces import Spans
    from clapometer.training.parameters import Parameters

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What asks a process to drain and end."""


def utc_now() -> dt.datetime:
    """Returns the time in UTC: the one clock of the services."""
    return dt.datetime.now(dt.UTC)


def version() -> str:
    """Returns the version of the installed product."""
    return importlib.metadata.version("clapometer")


def collector_config(settings: Settings) -> "CollectorConfig":
    """Returns what the collector takes and refuses."""
    from clapometer.collector import CollectorConfig

    return CollectorConfig(
        max_body_bytes=settings.max_body_bytes,
        max_decoded_bytes=settings.max_body_bytes,
        max_beacon_bytes=settings.max_beacon_bytes,
        max_events=settings.max_events,
        max_depth=settings.max_depth,
        answers_need_tokens=settings.answers_need_tokens,
        confirm_purchases=settings.confirm_purchases,
        max_browser_age_hours=settings.max_browser_age_hours,
        max_ratio=settings.max_ratio,
        cors_origins=settings.allowed_origins,
        max_connections=connections_allowed(settings),
        max_per_address=settings.connections_per_address,
    )


def open_log(settings: Settings) -> "EventLog":
    """Returns the event log that the settings name.

    Raises:
        InputError: The ``log`` setting is not of a known form.
    """
    if settings.log == "embedded":
        return open_embedded_log(settings)
    if settings.log.startswith("kafka://"):
        from clapometer.eventlog.kafka import KafkaLog

        return KafkaLog(kafka_settings(settings))
    msg = f"{settings.log!r} is neither `embedded` nor kafka://host:port/topic"
    raise InputError(msg, "log")


def open_embedded_log(settings: Settings) -> "EventLog":
    """Returns the event log on this machine's disk."""
    from clapometer.eventlog import EmbeddedLog

    settings.log_folder.mkdir(parents=True, exist_ok=True)
    return EmbeddedLog(settings.log_folder, max_bytes=settings.log_max_bytes)


def log_copier(settings: Settings, log: "EventLog") -> Callable[[Path], None] | None:
    """Returns what copies the embedded log into a folder; ``None`` for a log that has backups of its own."""
    from clapometer.eventlog import EmbeddedLog

    return log.copy_to if settings.log == "embedded" and isinstance(log, EmbeddedLog) else None


def single_files(settings: Settings) -> dict[str, Path]:
    """Returns the files beside lake and log that a system cannot do without, by name."""
    given = {"keys": settings.keys_file, "tokens": settings.tokens_file, "label-rule.toml": settings.label_rule}
    given["settings.toml"] = settings_file()
    return {name: path for name, path in given.items() if path is not None}


def kafka_settings(settings: Settings) -> "KafkaSettings":
    """Returns what the address of the topic says, with the password.

    Raises:
        InputError: A key of the address is unknown or its value does not fit.
    """
    from clapometer.eventlog.kafka import parse_kafka_url

    password = None if settings.kafka_password is None else settings.kafka_password.get_secret_value()
    return parse_kafka_url(settings.log, password=password)


def open_share(settings: Settings) -> "PartitionShare | None":
    """Returns the membership in the group that shares the partitions of a topic; the embedded log has no group."""
    if not settings.log.startswith("kafka://"):
        return None
    from clapometer.eventlog.kafka import PartitionShare

    return PartitionShare(kafka_settings(settings))


def open_loader(settings: Settings, log: "EventLog", share: "PartitionShare | None") -> "Loader":
    """Returns the loader of the partitions that ``share`` says; of all of them without one."""
    from clapometer.loading.loader import Loader, LoadSettings
    from clapometer.operation.damage import refuse_damaged_logs

    refuse_damaged_logs(settings)
    return Loader(
        log,
        open_lake(settings),
        LoadSettings(
            linger_s=settings.commit_seconds,
            window_days=settings.dedupe_days,
            retention_s=settings.log_retention_seconds,
            threads=settings.threads,
            memory_limit=settings.load_memory,
        ),
        partitions=None if share is None else share.settled,
        clock=utc_now,
    )


def open_keys(settings: Settings) -> "KeyRing":
    """Returns the API keys, which follow the changes of their file; makes an empty file where there is none."""
    from clapometer.gate import KeyRing, save_keys

    if not settings.keys_file.exists():
        settings.keys_file.parent.mkdir(parents=True, exist_ok=True)
        save_keys(settings.keys_file, ())
    return KeyRing(path=settings.keys_file)


def open_gate(settings: Settings, stop: threading.Event) -> "Gate":
    """Returns what lets requests in: keys, signatures, and rates that are counted until ``stop``.

    Raises:
        InputError: A rate or its storage is not spelt right.
    """
    import structlog

    from clapometer.gate import Gate, Rates, Signatures, open_storage

    address = settings.rate_storage.get_secret_value()
    storage = open_storage(address, stop, lambda told: structlog.get_logger().warning(told))
    rates = Rates(
        {
            "publishable": settings.rate_publishable or None,
            "secret": settings.rate_secret or None,
            "address": settings.rate_address or None,
            "slates_viewer": settings.rate_slates_viewer or None,
            "slates_address": settings.rate_slates_address or None,
        },
        storage,
    )
    return Gate(
        open_keys(settings),
        rates=rates,
        signatures=Signatures(settings.signature_seconds, storage),
        signed_only=settings.require_signatures,
    )


def connections_allowed(settings: Settings) -> int:
    """Returns how many connections a server may have: as many as set, or fewer where files are too few for them."""
    import structlog

    from clapometer.http.connections import SPARE_FILES, allow_files

    files = allow_files(settings.max_connections)
    allowed = max(1, min(settings.max_connections, files - SPARE_FILES))
    if allowed < settings.max_connections:
        structlog.get_logger().warning(
            "fewer connections than `max_connections`: the limit of open files (ulimit -n) is too low",
            files=files, connections=allowed,
        )  # fmt: skip
    return allowed


def open_token_secrets(settings: Settings) -> TokenRing:
    """Returns the secrets of impression tokens, which follow the changes of their file; makes the first one."""
    return TokenRing(settings.tokens_file)


def lake_storage(settings: Settings) -> "Storage":
    """Returns where the lake is: a folder, or a place on an object store and the folder of its local copy.

    Raises:
        InputError: The address names no bucket.
    """
    from clapometer.lake.delta.storage import storage_at

    return storage_at(settings.lake, settings.lake_copies, endpoint=settings.lake_endpoint, region=settings.lake_region)


def existing_lake(settings: Settings) -> "Lake":
    """Returns the lake.

    Raises:
        NotFoundError: There is none yet.
    """
    if not has_lake(settings):
        msg = f"there is no {settings.lake} yet: `clapometer up` or `clapometer load` makes it"
        raise NotFoundError(msg)
    return open_lake(settings)


def has_lake(settings: Settings) -> bool:
    """Returns whether there may be a lake: only a folder can be seen to be missing without asking a server."""
    return not isinstance(settings.lake, Path) or settings.lake.is_dir()


def lake_folder(settings: Settings) -> Path:
    """Returns the folder of a lake that is backed up with the log.

    Raises:
        InputError: The lake is on an object store.
    """
    if not isinstance(settings.lake, Path):
        msg = f"{settings.lake} is on an object store: keep its objects by the store's own versions or replication"
        raise InputError(msg, "lake")
    return settings.lake.absolute()


def open_lake(settings: Settings) -> "Lake":
    """Returns the lake.

    Raises:
        InputError: The bucket does not exist, or may not be used.
        TransientError: The object store does not answer.
    """
    from clapometer.lake.tables import Lake

    return Lake(lake_storage(settings))


def published_file(settings: Settings) -> Path:
    """Returns the path of the published file; makes its folder where the lake is on no object store."""
    storage = lake_storage(settings)
    if storage.bucket is None:
        storage.prepare()
    return storage.published


@contextmanager
def followed_lake(settings: Settings, stop: threading.Event, on_error: Callable[[Exception], None]) -> Iterator[None]:
    """Keeps the published file of a lake on an object store up to date; in a folder those who load do it themselves.

    Sets ``stop`` at the end and waits for a look that is under way: a thread that is in native code when the
    interpreter ends takes the process down with a signal.
    """
    from clapometer.lake.published.publish import follow

    if lake_storage(settings).bucket is None:
        yield
        return
    lake = open_lake(settings)
    following = threading.Thread(target=follow, args=(lake, stop, on_error), name="clapometer-follow", daemon=True)
    following.start()
    try:
        yield
    finally:
        stop.set()
        following.join()


def existing_published_file(settings: Settings) -> Path:
    """Returns the published file; where the lake is on an object store, made from what is there now.

    Raises:
        NotPublishedError: There is none yet.
        TransientError: The object store does not answer.
    """
    storage = lake_storage(settings)
    path = storage.published
    if storage.bucket is not None:
        from clapometer.lake.published.publish import publish
        from clapometer.lake.tables import Lake

        publish(Lake(storage), upload=False)
    if not path.exists():
        from clapometer.serving.reading.errors import NotPublishedError

        raise NotPublishedError(f"there is no {path} yet: `clapometer up` or `clapometer load` makes it")
    return path


def check_references(settings: Settings) -> None:
    """Looks at what the settings refer to, so that whoever starts the parts is told, and not their logs.

    Raises:
        InputError: A file is missing or wrong, an address has a key that is unknown, or an extra is not installed.
    """
    if settings.label_rule is not None:  # reading it imports what else only training needs
        label_rule(settings.label_rule)
    lake_storage(settings)
    if settings.log.startswith("kafka://"):
        kafka_settings(settings)
    spans = open_spans(settings, "up")
    if spans is not None:
        spans.close()


def parameters(settings: Settings) -> "Parameters":
    """Returns what decides rankings beside the label rule, with what the settings say of it."""
    from clapometer.training.parameters import Parameters

    return Parameters(
        bought_viewers=settings.bought_viewers,
        bought_impressions=settings.bought_impressions,
        bought_days=settings.bought_days,
    )


def label_rule(path: Path | None, field: str = "label_rule") -> "LabelRule":
    """Returns the label rule of a TOML file; the built-in one where there is none. ``field`` is what errors name.

    Raises:
        InputError: The file cannot be read or is no label rule.
    """
    from clapometer.labels import DEFAULT_RULE, decode_rule

    if path is None:
        return DEFAULT_RULE
    try:
        return decode_rule(path.read_text())
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise InputError(msg, field) from error
    except (InputError, UnicodeDecodeError) as error:
        msg = f"{path} is no label rule: {error}"
        raise InputError(msg, field) from error


def state_folder() -> Path:
    """Returns where a user's own traces are kept, such as the history of the SQL shell (XDG base directories)."""
    return state_home() / "clapometer"


def open_spans(settings: Settings, part: str) -> "Spans | None":
    """Returns where spans go; ``None`` where nobody wants any.

    Raises:
        InputError: OpenTelemetry is not installed.
    """
    if settings.traces is None:
        return None
    from clapometer.telemetry.traces import open_spans as opened

    return opened(settings.traces, part, version(), settings.traces_share)


def begin(part: str) -> tuple[Settings, threading.Event]:
    """Returns the settings, and the event that says when to drain and end; starts logging.

    What takes long, imports above all, comes after it: from here on no signal to end is lost.
    """
    stop = stop_on_signals()
    settings = load_settings()
    configure_logging(part, settings.log_level, settings.log_format)
    return settings, stop


def on_signals(handle: Callable[..., None]) -> None:
    """Has SIGTERM and SIGINT call ``handle``; also those that the supervisor held back until this part takes them."""
    for number in STOP_SIGNALS:
        signal.signal(number, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def stop_on_signals() -> threading.Event:
    """Returns an event that SIGTERM and SIGINT set, for whoever drains and ends."""
    stop = threading.Event()
    on_signals(lambda *_: stop.set())
    return stop
