"""API keys: ``cpk_`` keys may be published in a web page, ``csk_`` keys are secret, ``css_`` keys secretly sign.

A key is ``<prefix>_<id>_<secret>``. Of the secret only its SHA-256 is stored: it has 256 random bits, so there
is no dictionary to try and nothing that a slow password hash would add but a delay on every request. A key that signs
requests is the exception: to check a signature the server needs the secret itself.
"""

import contextlib
import datetime as dt
import hashlib
import hmac
import os
import secrets
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from clapometer.domain import InputError, NotFoundError, check_origin, nearest
from clapometer.gate.following import Followed, refuse_newer

KeyKind = Literal["publishable", "secret"]
FORMAT = 2
"""Of key files; newer ones are refused."""
SIGNING_PREFIX = "css"
PREFIXES: dict[KeyKind, str] = {"publishable": "cpk", "secret": "csk"}
SECRET_PREFIXES = (PREFIXES["secret"], SIGNING_PREFIX)


class ApiKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is known of a key; the key itself is not.

    Attributes:
        id: Public name of the key; it is part of the key, of blocks and of metrics.
        kind: What it may do: ``publishable`` keys send what browsers send, ``secret`` keys everything.
        sha256: Hash of the whole key, in hexadecimal.
        tenant: Owner of all that is sent with it.
        created: When it was made.
        expires: From when on it is refused; never where absent.
        origins: Where set, pages of other origins are refused.
        name: What its owner calls it.
        signing: Set for a key that signs requests and is never sent: the secret of its HMAC, in hexadecimal.
    """

    id: Annotated[str, Meta(pattern=r"^[a-z0-9]{4,40}\Z")]
    kind: KeyKind
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    created: Annotated[dt.datetime, Meta(tz=True)]
    tenant: Annotated[str, Meta(min_length=1, max_length=100)] = "default"
    expires: Annotated[dt.datetime, Meta(tz=True)] | None = None
    origins: tuple[str, ...] = ()
    name: str = ""
    signing: Annotated[str, Meta(pattern=r"^[0-9a-f]{64,}\Z")] | None = None

    @property
    def prefix(self) -> str:
        """What the key begins with."""
        return PREFIXES[self.kind] if self.signing is None else SIGNING_PREFIX

    def expired(self, now: dt.datetime) -> bool:
        """Whether the key's time is over."""
        return self.expires is not None and now >= self.expires


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: tuple[ApiKey, ...] = ()
    format: int = 1  # files before there was this field are of format 1; format 2 knows keys that sign


def new_key(
    kind: KeyKind,
    *,
    now: dt.datetime,
    tenant: str = "default",
    expires: dt.datetime | None = None,
    origins: Iterable[str] = (),
    name: str = "",
    signs: bool = False,
) -> tuple[str, ApiKey]:
    """Returns a new key, which is to be shown once and then forgotten, and the record of it to store.

    Raises:
        InputError: A publishable key is to sign: its secret would be no secret; or no browser sends an origin.
    """
    if signs and kind != "secret":
        msg = "only secret keys sign requests: a browser cannot keep what it signs with"
        raise InputError(msg, "kind")
    key_id = secrets.token_hex(6)
    key = f"{SIGNING_PREFIX if signs else PREFIXES[kind]}_{key_id}_{secrets.token_urlsafe(32)}"
    record = ApiKey(
        id=key_id,
        kind=kind,
        sha256=_digest(key),
        created=now,
        tenant=tenant,
        expires=expires,
        origins=tuple(check_origin(origin) for origin in origins),
        name=name,
        signing=key.encode().hex() if signs else None,
    )
    return key, record


def rotated(keys: Iterable[ApiKey], key_id: str, *, now: dt.datetime, until: dt.datetime) -> tuple[str, list[ApiKey]]:
    """Returns a successor of a key and the keys to store; both hold until the old one expires, at ``until``.

    Raises:
        NotFoundError: There is no such key.
        InputError: It has expired.
    """
    kept = list(keys)
    old = next((key for key in kept if key.id == key_id), None)
    if old is None:
        raise unknown_key(kept, key_id)
    if old.expired(now):
        msg = f"{key_id!r} has expired; `clapometer keys new` makes another one"
        raise InputError(msg, "key_id")
    key, record = new_key(
        old.kind, now=now, tenant=old.tenant, expires=old.expires, origins=old.origins, name=old.name,
        signs=old.signing is not None,
    )  # fmt: skip
    end = until if old.expires is None else min(until, old.expires)
    return key, [*(msgspec.structs.replace(one, expires=end) if one.id == key_id else one for one in kept), record]


def edited(
    keys: Iterable[ApiKey],
    key_id: str,
    *,
    origins: Iterable[str] | None = None,
    name: str | None = None,
    expires: dt.datetime | msgspec.UnsetType | None = msgspec.UNSET,
) -> list[ApiKey]:
    """Returns the keys to store once what is given of one of them has changed; the key itself stays.

    Raises:
        NotFoundError: There is no such key.
        InputError: No browser sends an origin.
    """
    kept = list(keys)
    if key_id not in {key.id for key in kept}:
        raise unknown_key(kept, key_id)
    changes: dict[str, object] = {} if name is None else {"name": name}
    if origins is not None:
        changes["origins"] = tuple(check_origin(origin) for origin in origins)
    if expires is not msgspec.UNSET:
        changes["expires"] = expires
    return [msgspec.structs.replace(key, **changes) if key.id == key_id else key for key in kept]


def unknown_key(keys: Iterable[ApiKey], key_id: str) -> NotFoundError:
    """Returns the error for an id that no key has; a whole key is not repeated, for it may be secret."""
    if "_" in key_id:
        return NotFoundError("that is a key, or none; give its id, which `clapometer keys list` shows")
    return NotFoundError(f"no key has the id {key_id!r}{nearest(key_id, (key.id for key in keys))}")


def load_keys(path: Path) -> tuple[ApiKey, ...]:
    """Returns the keys of a JSON or TOML file, which holds them as a list named ``keys``.

    Raises:
        InputError: The file cannot be read, or an entry is not a key.
    """
    try:
        text = path.read_bytes()
        content = tomllib.loads(text.decode()) if path.suffix == ".toml" else msgspec.json.decode(text)
        refuse_newer(path, content, FORMAT, "keys_file")
        return msgspec.convert(content, _KeyFile).keys
    except (OSError, ValueError) as error:  # msgspec's and tomllib's errors are ValueErrors
        msg = f"{path.name} holds no API keys: {error}"
        raise InputError(msg) from error


def save_keys(path: Path, keys: Iterable[ApiKey]) -> None:
    """Replaces a JSON key file at once, readable by its owner alone.

    Raises:
        InputError: A key is such that the file could not be read again.
    """
    kept = tuple(keys)
    format_ = FORMAT if any(key.signing is not None for key in kept) else 1  # older versions read what they can
    content = msgspec.json.encode(_KeyFile(kept, format_))
    try:
        msgspec.json.decode(content, type=_KeyFile)  # constructors check nothing
    except msgspec.ValidationError as error:
        raise InputError(str(error), "key") from error
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.format(content, indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


class KeyRing:
    """The keys that are known now. With a file behind it, it follows the file's changes within a second.

    A file that breaks while the service runs leaves the last good keys in force; ``error`` then says why.
    """

    def __init__(self, keys: Iterable[ApiKey] = (), *, path: Path | None = None) -> None:
        self._install(keys)
        self._file = None if path is None else Followed(path, load_keys, self._install)

    @property
    def error(self) -> str | None:
        """Why the file could not be read again; ``None`` where it could."""
        return None if self._file is None else self._file.error

    def find(self, key: str, now: dt.datetime) -> ApiKey | None:
        """Returns the record of ``key``; ``None`` where it is unknown, wrong or expired."""
        prefix, _, rest = key.partition("_")
        record = self._by_id.get(rest.partition("_")[0])
        # The id that finds the record is public; what is secret is compared as a hash, in constant time.
        if record is None or not hmac.compare_digest(_digest(key), record.sha256) or prefix != record.prefix:
            return None
        return None if record.expired(now) else record

    def signer(self, key_id: str, now: dt.datetime) -> ApiKey | None:
        """Returns the record of a key that signs requests, by its id; ``None`` where there is none that holds."""
        record = self._by_id.get(key_id)
        return None if record is None or record.signing is None or record.expired(now) else record

    def reload(self, seconds: float) -> None:
        """Reads the file again if it changed; looks at most once a second by ``seconds``, a clock that never runs back.

        A clock that may be set would keep a revoked key alive for as long as it was set back.
        """
        if self._file is not None:
            self._file.look(seconds)

    @property
    def origins(self) -> frozenset[str]:
        """Every origin that some key names."""
        return self._origins

    def _install(self, keys: Iterable[ApiKey]) -> None:
        self._by_id = {key.id: key for key in keys}
        self._origins = frozenset(origin for key in self._by_id.values() for origin in key.origins)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
