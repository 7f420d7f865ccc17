"""Bodies of requests: read with a limit, decoded with an error that names the field."""

from typing import TypeVar

import msgspec
from fastapi import Request

from clapometer.domain import TolerantDecoder, explain, plain_text
from clapometer.gate import DIGEST, SignatureError, check_digest
from clapometer.http.problems import RefusedError

T = TypeVar("T")


async def read_body(request: Request, limit: int) -> bytes:
    """Returns the body of a request.

    Raises:
        RefusedError: 413 where it is longer than ``limit``, before it is read; 415 where it is compressed; 401 where
            it is not the one that its digest names.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise RefusedError(415, "send the body as it is, without content encoding")
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            msg = f"the body is longer than {limit} bytes"
            raise RefusedError(413, msg)
        chunks.append(chunk)
    body = b"".join(chunks)
    if (digest := request.headers.get(DIGEST)) is not None:
        try:
            check_digest(digest, body)
        except SignatureError as error:
            msg = f"the body is not the one that Content-Digest names: {error}"
            raise RefusedError(401, msg) from error
    return body


def decode_body(decoder: TolerantDecoder[T], body: bytes) -> T:
    """Returns what a JSON body spells.

    Raises:
        InputError: It is not of the decoder's type; names the field.
    """
    text = plain_text(body)
    try:
        return decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise explain(error, text, kind=decoder.kind) from error
