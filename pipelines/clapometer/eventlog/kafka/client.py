"""From settings to the options of kafka-python's clients; secrets are read here, at the moment of connecting."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
import msgspec
from kafka import errors
from kafka.net.compat import KafkaNetClient
from kafka.net.sasl.oauth import AbstractTokenProvider

from clapometer.domain import TerminalError, TransientError
from clapometer.eventlog.kafka.settings import KafkaSettings, Secret
from clapometer.eventlog.kafka.sockets import DIRECT, tls_context

Client = TypeVar("Client")
Options = dict[str, Any]

TOKEN_MARGIN_SECONDS = 30
"""A token is renewed this long before it expires."""


def client_options(settings: KafkaSettings) -> Options:
    """Returns what producer, consumer and admin client need to connect.

    Raises:
        TransientError: A file with a secret cannot be read.
    """
    options: Options = {
        "bootstrap_servers": list(settings.servers),
        "client_id": settings.client_id,
        "security_protocol": settings.security.upper(),
        "bootstrap_timeout_ms": settings.connect_ms,
        "request_timeout_ms": request_timeout_ms(settings),
        "reconnect_backoff_max_ms": 1_000,
        "metadata_max_age_ms": 60_000,
        "proxy_url": DIRECT,
    }
    if settings.security.endswith("ssl"):
        options |= _tls_options(settings)
    if settings.sasl is not None:
        options |= _sasl_options(settings)
    return options


def request_timeout_ms(settings: KafkaSettings) -> int:
    """Returns how long one request may take: less than an append, so that a lost one is sent again."""
    return settings.timeout_ms * 4 // 10


def connect(make: Callable[..., Client], settings: KafkaSettings, **more: object) -> Client:
    """Returns a connected client; one that could not connect leaves no sockets behind.

    Raises:
        TransientError: The broker is away or does not let us in.
    """
    _hide_debug_lines()
    opened: list[KafkaNetClient] = []

    def network(**options: object) -> KafkaNetClient:
        opened.append(KafkaNetClient(**options))
        return opened[-1]

    options = client_options(settings) | {"kafka_client": network} | more
    try:
        return make(**options)
    except (errors.KafkaError, OSError) as error:
        for client in opened:
            client.close()
        msg = f"cannot connect to Kafka at {', '.join(settings.servers)}: {describe(error)}"
        raise TransientError(msg) from error


def _hide_debug_lines() -> None:
    """Keeps kafka-python from logging at level debug: there it writes passwords and tokens."""
    library = logging.getLogger("kafka")
    if library.getEffectiveLevel() < logging.INFO:
        library.setLevel(logging.INFO)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns the errors of kafka-python into ours."""
    try:
        yield
    except (errors.KafkaError, OSError) as error:
        msg = f"{what}: {describe(error)}"
        raise TransientError(msg) from error


def describe(error: BaseException) -> str:
    """Returns what went wrong, in one line."""
    if isinstance(error, errors.SaslAuthenticationFailedError):
        return "the broker refuses the credentials"
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _tls_options(settings: KafkaSettings) -> Options:
    password = None
    if settings.key_password_file is not None:
        password = Secret(file=settings.key_password_file).read()
    try:
        context = tls_context(
            ca_file=settings.ca_file,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            key_password=password,
            check_hostname=settings.check_hostname,
        )
    except OSError as error:
        raise tls_failure(settings, error) from error
    return {"ssl_context": context}


def tls_failure(settings: KafkaSettings, reason: object) -> TransientError:
    """Returns the error for certificates that cannot be used, which names their files."""
    files = [str(path) for path in (settings.ca_file, settings.cert_file, settings.key_file) if path is not None]
    return TransientError(f"TLS cannot be set up from {', '.join(files)}: {reason}")


def _sasl_options(settings: KafkaSettings) -> Options:
    if settings.sasl == "oauthbearer":
        provider = FileToken(settings) if settings.token_file is not None else ClientCredentialsToken(settings)
        return {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": provider}
    if settings.sasl is None or settings.password is None:
        msg = "SASL needs a mechanism and a password"
        raise TerminalError(msg)
    return {
        "sasl_mechanism": settings.sasl.upper(),
        "sasl_plain_username": settings.username,
        "sasl_plain_password": settings.password.read(),
    }


class FileToken(AbstractTokenProvider):  # type: ignore[misc]
    """A bearer token that something else writes into a file and renews there, such as Kubernetes."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__()
        self._secret = Secret(file=settings.token_file)

    def token(self) -> str:
        """Returns the token that the file holds now."""
        return self._secret.read()


class _TokenAnswer(msgspec.Struct):
    access_token: str
    expires_in: float = 300


class ClientCredentialsToken(AbstractTokenProvider):  # type: ignore[misc]
    """A bearer token got for client credentials (RFC 6749, section 4.4), kept until shortly before it expires."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__()
        self._settings = settings
        self._token = ""
        self._renew_at = 0.0

    def token(self) -> str:
        """Returns a token that is valid now.

        Raises:
            TransientError: The authorization server is away or refuses.
        """
        if time.monotonic() >= self._renew_at:
            answer = self._ask()
            self._token = answer.access_token
            self._renew_at = time.monotonic() + max(0.0, answer.expires_in - TOKEN_MARGIN_SECONDS)
        return self._token

    def _ask(self) -> _TokenAnswer:
        settings = self._settings
        form = {"grant_type": "client_credentials"} | ({"scope": settings.oauth_scope} if settings.oauth_scope else {})
        secret = Secret(file=settings.oauth_client_secret_file).read()
        try:
            answer = httpx2.post(
                settings.token_url or "",
                data=form,
                auth=(settings.oauth_client_id or "", secret),
                timeout=settings.connect_ms / 1000,
            )
            answer.raise_for_status()
            return msgspec.json.decode(answer.content, type=_TokenAnswer)
        except (httpx2.HTTPError, msgspec.MsgspecError) as error:
            msg = f"no token from {settings.token_url}: {error}"
            raise TransientError(msg) from error
