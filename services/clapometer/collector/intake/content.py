"""From the bytes of a body to the bytes of JSON: media types and compression, both within limits."""

import enum
import urllib.parse
import zlib
from collections.abc import Mapping

import zstandard

from clapometer.collector.answers import RefusedError
from clapometer.collector.config import CollectorConfig
from clapometer.domain import is_json


class Media(enum.Enum):
    """How events are laid out in a body."""

    JSON = "json"
    LINES = "lines"
    BEACON = "beacon"
    BINARY = "binary"
    """CloudEvents' binary mode: the body is the data of one event, its attributes are headers."""


MEDIA_TYPES: dict[bytes, Media] = {
    b"application/json": Media.JSON,
    b"application/cloudevents+json": Media.JSON,
    b"application/cloudevents-batch+json": Media.JSON,
    b"application/x-ndjson": Media.LINES,
    b"application/ndjson": Media.LINES,
    b"text/plain": Media.BEACON,
}
_ACCEPTED = ", ".join(name.decode() for name in MEDIA_TYPES)
_ENCODINGS = b"gzip, zstd, identity"


def layout_of(headers: Mapping[bytes, bytes]) -> Media:
    """Returns how events are laid out in a body, by the headers that come with it.

    Raises:
        RefusedError: 415, where ``Content-Type`` does not name a layout of ours, or one that is not UTF-8.
    """
    content_type = headers.get(b"content-type")
    if b"ce-specversion" in headers or b"ce-id" in headers:
        name = (content_type or b"application/json").partition(b";")[0].strip().lower()
        if not name.startswith(b"application/cloudevents") and is_json(name):
            return Media.BINARY
        if MEDIA_TYPES.get(name, Media.BEACON) is Media.BEACON:  # no beacon has such headers
            msg = "an event whose attributes are ce- headers has JSON as its body; send content-type: application/json"
            raise RefusedError(415, msg)
    return media_of(content_type)


def attributes_of(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Returns the attributes of an event in binary mode, percent-encoding undone (CloudEvents, HTTP binding 3.1.3.2).

    Raises:
        RefusedError: 422, one of them is not UTF-8.
    """
    try:
        return {
            name[3:].decode("ascii"): urllib.parse.unquote_to_bytes(value).decode()
            for name, value in headers.items()
            if name.startswith(b"ce-")
        }
    except UnicodeError as error:
        msg = "a ce- header is not UTF-8; percent-encode what is not ASCII"
        raise RefusedError(422, msg) from error


def media_of(content_type: bytes | None) -> Media:
    """Returns the layout that a ``Content-Type`` names.

    Raises:
        RefusedError: 415, where there is none, or it is not one of ours, or not UTF-8.
    """
    media = MEDIA_TYPES.get(content_type or b"")
    if media is not None:
        return media
    name, _, parameters = (content_type or b"").partition(b";")
    media = MEDIA_TYPES.get(name.strip().lower())
    if media is None:
        detail = f"send one of these content types: {_ACCEPTED}"
        raise RefusedError(415, detail, headers=[(b"accept", _ACCEPTED.encode())])
    for parameter in parameters.split(b";"):
        key, _, value = parameter.strip().lower().partition(b"=")
        if key == b"charset" and value.strip(b'"') not in (b"utf-8", b"utf8", b"us-ascii"):
            msg = "JSON travels as UTF-8; leave the charset out or send utf-8"
            raise RefusedError(415, msg)
    return media


class Decompressor:
    """Undoes ``Content-Encoding`` without ever holding more than the limits allow."""

    def __init__(self, config: CollectorConfig) -> None:
        self._config = config
        self._zstd = zstandard.ZstdDecompressor(max_window_size=1 << 23)  # RFC 9659: 8 MiB

    def decode(self, body: bytes, encoding: bytes) -> bytes:
        """Returns the body without its compression.

        Raises:
            RefusedError: 415 for an encoding that is not ours, 413 for a body that unpacks to too much, 422 for
                one that is broken or cut short.
        """
        name = encoding.strip().lower()
        if name in (b"", b"identity"):
            return body
        if name == b"gzip":
            return self._gzip(body)
        if name == b"zstd":
            return self._zstandard(body)
        detail = "send the body as gzip, zstd or without an encoding; not several one over another"
        raise RefusedError(415, detail, headers=[(b"accept-encoding", _ENCODINGS)])

    def _limit(self, compressed: int) -> int:
        by_ratio = int(self._config.max_ratio * compressed)
        return min(self._config.max_decoded_bytes, max(by_ratio, self._config.ratio_free_bytes))

    def _gzip(self, body: bytes) -> bytes:
        limit = self._limit(len(body))
        unpacker = zlib.decompressobj(wbits=31)
        try:
            text = unpacker.decompress(body, limit + 1)
        except zlib.error as error:
            raise _broken("gzip") from error
        if len(text) > limit:
            raise self._too_large(limit)
        if not unpacker.eof or unpacker.unused_data:
            raise _broken("gzip")
        return text

    def _zstandard(self, body: bytes) -> bytes:
        limit = self._limit(len(body))
        try:
            size = zstandard.frame_content_size(body)
            if size > limit:
                raise self._too_large(limit)
            # A frame that names its size is unpacked to that size, whatever the limit here says: hence the check.
            return self._zstd.decompress(body, max_output_size=limit, allow_extra_data=False)
        except zstandard.ZstdError as error:
            if self._overflows(body, limit):
                raise self._too_large(limit) from error
            raise _broken("zstd") from error

    def _overflows(self, body: bytes, limit: int) -> bool:
        try:
            with self._zstd.stream_reader(body) as reader:
                return len(reader.read(limit + 1)) > limit
        except zstandard.ZstdError:
            return False

    def _too_large(self, limit: int) -> RefusedError:
        ratio = self._config.max_ratio
        return RefusedError(
            413,
            f"the body unpacks to more than {limit} bytes; at most {self._config.max_decoded_bytes} bytes and "
            f"{ratio:g} times its compressed size are taken: split the array, or compress it less",
        )


def _broken(name: str) -> RefusedError:
    return RefusedError(422, f"the body is not one whole {name} stream; send it again, whole and once compressed")
