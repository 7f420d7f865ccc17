"""A lake's place in an object store that speaks the protocol of S3: what is written there, and read from there.

Objects but the published file never change. So a process works on a copy in a local folder, which is complete as far
as it has needed the files, and may be deleted at any time. Credentials are found by the client libraries themselves:
``AWS_*`` variables, web identity, container and instance roles.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clapometer.domain import ClapometerError, InputError, TransientError
from clapometer.lake.delta.durable import fsync

if TYPE_CHECKING:  # an extra: only lakes on an object store need it
    from obstore import ReadableFile
    from obstore.store import S3Store

SCHEME = "s3://"
_RETRIES = 5
_RETRY_SECONDS = 30
_DENIED = (
    "403 Forbidden", "401 Unauthorized", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "InvalidToken",
    "ExpiredToken", "169.254.169.254", "169.254.170", "redentials",
)  # fmt: skip


class Bucket:
    """Everything under ``s3://bucket/prefix``.

    Args:
        url: Bucket and prefix.
        endpoint: Address of a server other than Amazon's.
        region: Of the bucket.

    Raises:
        InputError: The address names no bucket, or the client library is not installed.
    """

    def __init__(self, url: str, *, endpoint: str | None = None, region: str | None = None) -> None:
        parts = urlsplit(url)
        if not parts.netloc or parts.query or parts.fragment:
            msg = f"{url!r} names no bucket; write s3://bucket/prefix"
            raise InputError(msg, "lake")
        self.name = parts.netloc
        self.prefix = parts.path.strip("/")
        self.endpoint = endpoint
        self._region = region

    @property
    def url(self) -> str:
        """Bucket and prefix, without a slash at the end."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")

    @property
    def options(self) -> dict[str, str]:
        """What ``deltalake`` needs beside the environment; a commit puts its log entry only where there is none yet."""
        options = {"aws_conditional_put": "etag", "max_retries": str(_RETRIES), "retry_timeout": f"{_RETRY_SECONDS}s"}
        if self.endpoint:
            options |= {"aws_endpoint": self.endpoint, "allow_http": str(self.endpoint.startswith("http://")).lower()}
        if self._region:
            options["aws_region"] = self._region
        return options

    def check(self) -> None:
        """Returns once the bucket has answered.

        Raises:
            InputError: There is no such bucket, or the credentials are wrong; names the setting.
            TransientError: The server does not answer.
        """
        try:
            next(iter(self._store().list(chunk_size=1)), None)
        except Exception as error:
            raise self.explain(error) from error

    def upload(self, path: Path, key: str) -> None:
        """Puts a file under its key; whoever reads sees all of it or nothing.

        Raises:
            TransientError: The object store did not take it.
        """
        try:
            self._store().put(key, path)
        except Exception as error:
            raise TransientError(str(self.explain(error))) from error

    def download(self, key: str, path: Path, scratch: Path) -> bool:
        """Gets an object into a file, which is complete when it has its name; returns whether there is one.

        Raises:
            TransientError: The object store did not give it.
        """
        half = scratch / f"{uuid.uuid4().hex}.part"
        try:
            with half.open("wb") as file:
                for chunk in self._store().get(key).stream():
                    file.write(bytes(chunk))
            path.parent.mkdir(parents=True, exist_ok=True)
            fsync(half)
            half.rename(path)
        except FileNotFoundError:
            return False
        except Exception as error:
            raise TransientError(str(self.explain(error))) from error
        finally:
            half.unlink(missing_ok=True)
        return True

    def read(self, key: str) -> bytes | None:
        """Returns the bytes of an object; ``None`` where there is none.

        Raises:
            TransientError: The object store did not give it.
        """
        try:
            return bytes(self._store().get(key).bytes())
        except FileNotFoundError:
            return None
        except Exception as error:
            raise TransientError(str(self.explain(error))) from error

    def delete(self, key: str) -> None:
        """Deletes an object, if there is one.

        Raises:
            TransientError: The object store did not answer.
        """
        try:
            self._store().delete(key)
        except FileNotFoundError:
            return
        except Exception as error:
            raise TransientError(str(self.explain(error))) from error

    def names(self, folder: str) -> list[str]:
        """Returns the names of the objects and folders in a folder.

        Raises:
            TransientError: The object store did not answer.
        """
        start = f"{folder}/" if folder else ""
        try:
            listed = self._store().list_with_delimiter(start or None)
        except Exception as error:
            raise TransientError(str(self.explain(error))) from error
        keys = [*listed["common_prefixes"], *(each["path"] for each in listed["objects"])]
        return sorted(key.removeprefix(start).strip("/") for key in keys)

    def open(self, key: str) -> ReadableFile:
        """Returns an object as a file, of which only what is asked for is fetched; whoever opens it closes it.

        Raises:
            FileNotFoundError: There is none.
            TransientError: The object store did not give it.
        """
        import obstore  # noqa: PLC0415

        try:
            return obstore.open_reader(self._store(), key)
        except FileNotFoundError:
            raise
        except Exception as error:
            raise TransientError(str(self.explain(error))) from error

    def explain(self, error: Exception) -> ClapometerError:
        """Returns what a failure of a client library means, and what to do about it."""
        text = str(error)
        if "NoSuchBucket" in text:
            msg = f"there is no bucket {self.name!r} at {self._server}; create it, or correct the setting"
            return InputError(msg, "lake")
        if any(sign in text for sign in _DENIED):
            msg = (
                f"{self._server} refuses {self.url}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION), "
                "or give this machine a role that may read and write there"
            )
            return InputError(msg, "lake")
        return TransientError(
            f"{self._server} does not answer for {self.url}; is `lake_endpoint` right? {_first(text)}"
        )

    @property
    def _server(self) -> str:
        return self.endpoint or "Amazon S3"

    def _store(self) -> S3Store:
        try:
            from obstore.store import S3Store  # noqa: PLC0415
        except ImportError as error:
            msg = "a lake on an object store needs the extra: pip install 'clapometer[s3]'"
            raise InputError(msg, "lake") from error
        config: Mapping[str, Any] = {
            name: value for name, value in (("endpoint", self.endpoint), ("region", self._region)) if value
        }
        http = {"allow_http": True} if (self.endpoint or "").startswith("http://") else {}
        return S3Store(
            self.name,
            prefix=self.prefix or None,
            config=config,  # type: ignore[arg-type]
            client_options=http,  # type: ignore[arg-type]
            retry_config={"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)},
        )


def _first(text: str) -> str:
    """Returns the first lines of an error, without what is meant for developers of the library."""
    return " ".join(text.split("Debug source", maxsplit=1)[0].split())[:300]
