"""What single settings may say: checked when they are read, not when a service first needs them."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from clapometer.domain import InputError, check_origin
from clapometer.training.when import parse_when

_MEMORY = re.compile(r"[0-9]+(\.[0-9]+)?\s*([KMGT]i?B)|[1-9][0-9]?%", re.IGNORECASE)
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.?")


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """Returns a validator that keeps a value and says why it is refused where ``check`` raises ``InputError``."""

    def keep(given: str) -> str:
        try:
            check(given)
        except InputError as error:
            raise ValueError(error.reason) from error
        return given

    return AfterValidator(keep)


def _lake_address(given: object) -> object:
    """Keeps addresses of object stores as they are: as a path, ``s3://`` would lose a slash."""
    if isinstance(given, str) and "://" in given:
        if not re.match(r"s3://[^/]", given):
            msg = "must be a folder or s3://bucket/prefix; other stores than S3 are not supported"
            raise ValueError(msg)
        return given
    return Path(given) if isinstance(given, str) else given


def _log_address(given: str) -> None:
    if given != "embedded" and not given.startswith("kafka://"):
        msg = f"{given!r} is neither `embedded` nor kafka://host:port/topic"
        raise InputError(msg)


def _memory(given: str) -> None:
    if not _MEMORY.fullmatch(given.strip()):
        msg = f"{given!r} is no size of memory; write a number and a unit, such as 256MB, 2GB or 1.5GiB, or 80%"
        raise InputError(msg)


def _host(given: str) -> None:
    try:
        ipaddress.ip_address(given)
    except ValueError:
        if not _HOST.fullmatch(given) or re.fullmatch(r"[0-9.]+", given):
            msg = (
                f"{given!r} is no address to listen on; write an IP address such as 127.0.0.1, 0.0.0.0 or ::1, or a "
                "host's name, without scheme and port"
            )
            raise InputError(msg) from None


def _origin(given: str) -> None:
    if given != "*":
        check_origin(given)


def _endpoint(given: str) -> None:
    if not re.match(r"https?://[^/\s]+", given):
        msg = f"{given!r} is no address of an object store; write it like http://minio:9000"
        raise InputError(msg)


def _rate(given: str) -> None:
    from clapometer.gate import parse_rate  # noqa: PLC0415 - only whoever sets a rate pays for its library

    if given:
        parse_rate("", given)


def _proxy(given: str) -> None:
    from clapometer.gate import TrustedProxies  # noqa: PLC0415 - as above

    TrustedProxies([given])


Schedule = Annotated[str, _checked(parse_when)]
LogAddress = Annotated[str, _checked(_log_address)]
LakeAddress = Annotated[Path | str, BeforeValidator(_lake_address)]
MemorySize = Annotated[str, _checked(_memory)]
Host = Annotated[str, _checked(_host)]
AllowedOrigin = Annotated[str, _checked(_origin)]
Endpoint = Annotated[str, _checked(_endpoint)]
Rate = Annotated[str, _checked(_rate)]
Proxy = Annotated[str, _checked(_proxy)]
