"""Every setting, in one frozen class: ``clapometer.toml``, then ``CLAPOMETER_*`` over it.

Nothing else reads the environment. Unknown keys are refused, so that a misspelt one is not silently ignored.
"""

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from clapometer.domain import InputError
from clapometer.setting_values import (
    AllowedOrigin,
    Endpoint,
    Host,
    LakeAddress,
    LogAddress,
    MemorySize,
    Proxy,
    Rate,
    Schedule,
)

PREFIX = "CLAPOMETER_"
CONFIG_VARIABLE = "CLAPOMETER_CONFIG"
DEFAULT_FILE = Path("clapometer.toml")

Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """All settings with their defaults; the description of each is what ``clapometer config`` prints."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    log: LogAddress = Field("embedded", description="event log: `embedded`, or `kafka://host:port/topic?…`")
    kafka_password: SecretStr | None = Field(None, description="password of SASL; the rest is in the address")
    log_folder: Path = Field(Path("log"), description="folder of the embedded event log")
    log_max_bytes: int = Field(16 * 2**30, ge=2**24, description="size at which the embedded log answers 503, in bytes")
    log_retention_seconds: int = Field(
        3600, ge=0, description="how long loaded blocks stay in the embedded log, in seconds"
    )
    lake: LakeAddress = Field(
        Path("lake"), description="lake: a folder, or s3://bucket/prefix; holds clapometer.duckdb"
    )
    lake_copies: Path = Field(Path("lake-copies"), description="folder for the local copy of a lake on an object store")
    lake_endpoint: Endpoint | None = Field(
        None, description="address of an object store other than Amazon's, such as http://minio:9000"
    )
    lake_region: str | None = Field(None, description="region of the bucket; AWS_REGION if unset")
    keys_file: Path = Field(Path("clapometer-keys.json"), description="API keys, hashed")
    tokens_file: Path = Field(Path("clapometer-tokens.json"), description="secrets of impression tokens; keep private")
    host: Host = Field("127.0.0.1", description="address that collector and serving listen on")
    collector_port: Port = Field(8480, description="port of the collector; 0 lets the system choose")
    serving_port: Port = Field(8481, description="port of serving; 0 lets the system choose")
    loader_port: Port | None = Field(
        None, description="port of the loader's /metrics; 0 lets the system choose, none if unset"
    )
    scheduler_port: Port | None = Field(
        None, description="port of the scheduler's /metrics; 0 lets the system choose, none if unset"
    )
    max_body_bytes: int = Field(2**20, ge=1024, description="largest request body, decompressed, in bytes")
    max_beacon_bytes: int = Field(2**16, ge=1024, description="largest sendBeacon body, in bytes")
    max_events: int = Field(500, ge=1, le=100_000, description="events in one request")
    max_depth: int = Field(16, ge=4, le=100, description="nesting depth of JSON")
    answers_need_tokens: bool = Field(
        True, description="what a publishable key says of an impression weighs if it quotes the impression's token"
    )
    confirm_purchases: bool = Field(
        True, description="purchases of a publishable key count once a secret key sends the same order"
    )
    max_browser_age_hours: float = Field(
        48, gt=0, le=87_672, description="how long before it is sent what a publishable key sends may have happened"
    )
    max_ratio: float = Field(20.0, ge=1, description="how many times a compressed body may grow")
    max_pending_bytes: int = Field(
        64 * 2**20, ge=2**20, description="bytes waiting for the log before the collector answers 503"
    )
    allowed_origins: tuple[AllowedOrigin, ...] = Field(
        ("*",), description="browser origins that may send events and ask for slates"
    )
    dedupe_days: int = Field(7, ge=7, le=400, description="window in which an event sent again is a duplicate, in days")
    commit_seconds: float = Field(0.75, gt=0, le=60, description="least time between two commits at light load")
    load_memory: MemorySize = Field("256MB", description="memory of DuckDB in the loader")
    memory_limit: MemorySize = Field("2GB", description="memory of DuckDB in training; the rest spills to disk")
    threads: int = Field(2, ge=1, le=256, description="threads of DuckDB")
    schedule: Schedule = Field(
        "15m", description="retraining: an interval such as 15m or 1h, or a cron expression in UTC such as `0 9 * * 1`"
    )
    keep_runs: int = Field(100, ge=1, description="runs whose results stay in the lake")
    bought_viewers: int = Field(
        200,
        ge=0,
        description="viewers that one person may make up: verdicts stand without any so many; 0 asks nothing",
    )
    bought_impressions: int = Field(2_000, ge=1, description="the most impressions that such viewers have together")
    bought_days: int = Field(3, ge=1, description="days within which all such viewers were there")
    public_tenant: str | None = Field("default", description="tenant whose rankings need no key to read; none if empty")
    label_rule: Path | None = Field(None, description="TOML file of the label rule; the built-in one if unset")
    seed: int = Field(20_260_101, description="seed of everything random in training")
    explore_share: float = Field(
        0.1, ge=0, le=1, description="share of slots that /v1/slates fills uniformly at random"
    )
    token_seconds: int = Field(86_400, ge=60, description="how long an impression token is valid, in seconds")
    voucher_seconds: int = Field(
        3_600, ge=60, le=604_800, description="how long the voucher of a viewer's session is valid, in seconds"
    )
    sql_seconds: float = Field(30.0, gt=0, le=3600, description="time after which a statement of /v1/sql is stopped")
    sql_memory_bytes: int = Field(512 * 2**20, ge=2**26, description="memory of a statement of /v1/sql, in bytes")
    sql_max_rows: int = Field(100_000, ge=1, description="rows after which an answer of /v1/sql ends")
    sql_min_viewers: int = Field(
        0, ge=0, description="viewers that each cell of an answer of /v1/sql must have; below 2, rows may be read"
    )
    sql_per_key: int = Field(2, ge=1, description="statements of one key under way at once")
    rate_publishable: Rate | None = Field(
        None, description="events that each publishable key may send, such as `1000/second`; no limit if unset"
    )
    rate_secret: Rate | None = Field(
        None, description="events, or requests of serving, of each secret key: `100 per 10 seconds; 100000/day`"
    )
    rate_address: Rate | None = Field(None, description="requests that each IP address may send; no limit if unset")
    rate_slates_viewer: Rate | None = Field(
        "60/minute", description="slates for each viewer, whoever asks; no limit if empty"
    )
    rate_slates_address: Rate | None = Field(
        "600/minute", description="slates that pages at each IP address may ask for; no limit if empty"
    )
    trusted_proxies: tuple[Proxy, ...] = Field(
        (), description="proxies whose X-Forwarded-For is believed: addresses or networks, such as `10.0.0.0/8`"
    )
    max_connections: int = Field(
        2_048, ge=1, description="connections of collector and of serving; beyond it they answer 503"
    )
    connections_per_address: int = Field(
        512, ge=1, description="connections of one address that is no trusted proxy; beyond it they are ended"
    )
    rate_storage: SecretStr = Field(
        SecretStr("memory"),
        description="where rates are counted: `memory` of each process, or redis://host:6379 for all (extra `redis`)",
    )
    require_signatures: bool = Field(
        False, description="whether secret keys must sign requests (RFC 9421); those that are sent are refused"
    )
    signature_seconds: int = Field(300, ge=1, le=86_400, description="how old a signature may be, in seconds")
    traces: str | None = Field(
        None,
        pattern="^https?://",
        description="where spans go over OTLP/HTTP: http://127.0.0.1:4318/v1/traces (extra `otel`); none if unset",
    )
    traces_share: float = Field(
        0.01, ge=0, le=1, description="share of the traces that begin here and are recorded; the sender's own follow it"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["text", "json"] = Field("text", description="form of log lines")

    @model_validator(mode="after")
    def _no_port_twice(self) -> Self:
        named = {name: getattr(self, name) for name in type(self).model_fields if name.endswith("_port")}
        first: dict[int, str] = {}
        for name, port in named.items():
            if port and first.setdefault(port, name) != name:
                msg = f"{name} and {first[port]} are both {port}; give each part a port of its own"
                raise ValueError(msg)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file; nothing else is read."""
        file = config_file(os.environ)
        toml = () if file is None else (TomlConfigSettingsSource(settings_cls, file),)
        return (init_settings, env_settings, *toml)


def config_file(environ: Mapping[str, str]) -> Path | None:
    """Returns the settings file to read, or None where there is none.

    Raises:
        InputError: ``CLAPOMETER_CONFIG`` names a file that is not there.
    """
    named = environ.get(CONFIG_VARIABLE)
    if named is not None:
        if not Path(named).is_file():
            msg = f"no such file: {named}"
            raise InputError(msg, CONFIG_VARIABLE)
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def settings_file() -> Path | None:
    """Returns the settings file of this process, or None where there is none."""
    return config_file(os.environ)


def load_settings() -> Settings:
    """Returns the settings of this process.

    Raises:
        InputError: A key is unknown or a value does not fit; names it, the problem and where it came from.
    """
    _refuse_unknown_variables()
    try:
        return Settings()  # type: ignore[call-arg]
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        where = origin(name) if name in Settings.model_fields else str(config_file(os.environ) or "the environment")
        said = first["msg"].removeprefix("Value error, ")
        reason = f"unknown setting{_suggest(name)}" if first["type"] == "extra_forbidden" else said
        msg = f"{reason} (from {where})"
        raise InputError(msg, name) from error
    except tomllib.TOMLDecodeError as error:
        msg = f"not valid TOML: {error}"
        raise InputError(msg, str(config_file(os.environ))) from error


def origin(name: str) -> str:
    """Returns where the value of a setting comes from: a variable, the file, or the default."""
    variable = PREFIX + name.upper()
    if variable in os.environ:
        return variable
    file = config_file(os.environ)
    if file is not None and name in tomllib.loads(file.read_text()):
        return str(file)
    return "default"


def environment_for(file: Path) -> dict[str, str]:
    """Returns this process's environment for a child whose settings are those of ``file`` and nothing else."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return rest | {CONFIG_VARIABLE: str(file)}


def state_home() -> Path:
    """Returns the folder where programs keep a user's own traces (XDG Base Directory Specification 0.8)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


def lean_environment() -> dict[str, str]:
    """Returns this process's environment for a child whose allocators give memory back instead of keeping it.

    glibc makes up to eight arenas a core and keeps freed blocks of up to 32 MB, and Arrow's own pool keeps what it
    freed: together about half of what the loader would hold. What the user set stays.
    """
    lean = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": "262144", "ARROW_DEFAULT_MEMORY_POOL": "system"}
    return {**lean, **os.environ}


def _refuse_unknown_variables() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {CONFIG_VARIABLE}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in known:
            msg = f"unknown setting{_suggest(variable.removeprefix(PREFIX).lower())}"
            raise InputError(msg, variable)


def _suggest(name: str) -> str:
    close = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f"; did you mean `{close[0]}`?" if close else "; `clapometer config` lists them"
