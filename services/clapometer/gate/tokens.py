"""The secrets that sign impression tokens, in a file that its owner alone can read."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from clapometer.domain import InputError, NotFoundError, nearest
from clapometer.gate.following import Followed, refuse_newer

FORMAT = 1
"""Of the file; newer ones are refused."""
_SECRET_BYTES = 32


class TokenSecrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Secrets by key id, in hexadecimal; ``current`` signs, the others still verify.

    A retired secret stays until its last token has expired.
    """

    current: str
    keys: dict[str, str]
    format: int = 1  # files before there was this field are of format 1

    def verifying(self) -> Mapping[str, bytes]:
        """Returns the secrets by key id as bytes."""
        return {key_id: bytes.fromhex(secret) for key_id, secret in self.keys.items()}

    def signing(self) -> tuple[str, bytes]:
        """Returns the key id and the secret that sign new tokens."""
        return self.current, bytes.fromhex(self.keys[self.current])


def load_token_secrets(path: Path) -> TokenSecrets:
    """Returns the secrets of ``path``; makes the file with a fresh one where there is none.

    Raises:
        InputError: The file is there but holds no secrets.
    """
    if not path.exists():
        _create(path)
    try:
        content = path.read_bytes()
        refuse_newer(path, msgspec.json.decode(content), FORMAT, "tokens_file")
        found = msgspec.json.decode(content, type=TokenSecrets)
        found.signing()
        found.verifying()
    except (ValueError, KeyError) as error:
        msg = f"{path.name} holds no token secrets ({error}); restore it, or remove it to make all tokens void"
        raise InputError(msg, "tokens_file") from error
    return found


def rotate_token_secrets(path: Path) -> TokenSecrets:
    """Adds a fresh secret that signs from now on, keeps the others for verifying, and returns all."""
    old = load_token_secrets(path)
    key_id, secret = _fresh()
    new = TokenSecrets(current=key_id, keys={**old.keys, key_id: secret})
    _write(path, new)
    return new


def retire_token_secret(path: Path, key_id: str) -> TokenSecrets:
    """Takes a secret out, so that its tokens are void from now on, and returns the others.

    Raises:
        NotFoundError: There is no such secret.
        InputError: It is the one that signs.
    """
    old = load_token_secrets(path)
    if key_id not in old.keys:
        msg = f"no secret of tokens has the id {key_id!r}{nearest(key_id, old.keys)}"
        raise NotFoundError(msg)
    if key_id == old.current:
        msg = f"{key_id!r} signs now; `clapometer keys rotate-tokens` first"
        raise InputError(msg, "key_id")
    new = TokenSecrets(current=old.current, keys={name: old.keys[name] for name in old.keys if name != key_id})
    _write(path, new)
    return new


class TokenRing(Mapping[str, bytes]):
    """The secrets that verify, by key id, and the one that signs; follows the changes of the file within a second.

    A key id that is not known makes it look at once: whoever signs may have seen the change a moment before.
    """

    def __init__(self, path: Path, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._file = Followed(path, load_token_secrets, self._install)

    @property
    def error(self) -> str | None:
        """Why the file could not be read again; ``None`` where it could."""
        self._file.look(self._seconds())
        return self._file.error

    def signing(self) -> tuple[str, bytes]:
        """Returns the key id and the secret that sign new tokens."""
        self._file.look(self._seconds())
        return self._signing

    def __getitem__(self, key_id: str) -> bytes:
        return self._verifying[key_id]

    def __contains__(self, key_id: object) -> bool:
        self._file.look(self._seconds())
        if key_id not in self._verifying:
            self._file.look_now()
        return key_id in self._verifying

    def __iter__(self) -> Iterator[str]:
        return iter(self._verifying)

    def __len__(self) -> int:
        return len(self._verifying)

    def _install(self, found: TokenSecrets) -> None:
        self._verifying, self._signing = found.verifying(), found.signing()


def _fresh() -> tuple[str, str]:
    return secrets.token_hex(4), secrets.token_hex(_SECRET_BYTES)


def _create(path: Path) -> None:
    """Makes the file; of several processes that try at once, one wins and all read the same."""
    key_id, secret = _fresh()
    temporary = _private(path, TokenSecrets(current=key_id, keys={key_id: secret}))
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _write(path: Path, content: TokenSecrets) -> None:
    _private(path, content).replace(path)


def _private(path: Path, content: TokenSecrets) -> Path:
    """Writes ``content`` durably beside ``path``, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(content))
        file.flush()
        os.fsync(file.fileno())
    return temporary
