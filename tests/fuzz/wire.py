"""Requests as bytes over connections that are kept, and what the OpenAPI document promises of the answers."""

import re
import socket
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs
import msgspec


@dataclass(frozen=True)
class Asked:
    """A request; ``operation`` is its path in the document."""

    method: str
    operation: str
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def head(self) -> bytes:
        """Returns the bytes before the body."""
        lines = [b"%s %s HTTP/1.1" % (self.method.encode(), self.target), b"host: fuzz"]
        lines += [name + b": " + value for name, value in self.headers]
        lines.append(b"content-length: %d" % len(self.body))
        return b"\r\n".join(lines) + b"\r\n\r\n"


@dataclass(frozen=True)
class Answered:
    """An answer; status 0 where the connection was closed without one."""

    status: int
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Connection:
    """Sends requests one after another; connects again where the server closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self._rest = b""

    def ask(self, asked: Asked) -> Answered:
        """Returns the answer to a request."""
        try:
            return self._ask(asked)
        except (ConnectionError, BrokenPipeError):
            self.close()
            return self._ask(asked)  # the server ended an idle connection

    def _ask(self, asked: Asked) -> Answered:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=30)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._rest = b""
        self._socket.sendall(asked.head() + asked.body)
        return self._answer()

    def _answer(self) -> Answered:
        head = self._until(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        headers = dict(line.lower().split(b": ", 1) for line in lines if line)
        if headers.get(b"transfer-encoding") == b"chunked":
            body = self._chunks()
        else:
            size = int(headers.get(b"content-length", b"0"))
            while len(self._rest) < size:
                self._more()
            body, self._rest = self._rest[:size], self._rest[size:]
        if headers.get(b"connection") == b"close":
            self.close()
        return Answered(int(status.split()[1]), headers, body)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            while len(self._rest) < size + 2:
                self._more()
            body, self._rest = body + self._rest[:size], self._rest[size + 2 :]
        self._until(b"\r\n")
        return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._rest:
            self._more()
        found, _, self._rest = self._rest.partition(mark)
        return found

    def _more(self) -> None:
        assert self._socket is not None
        chunk = self._socket.recv(1 << 16)
        if not chunk:
            raise ConnectionResetError
        self._rest += chunk

    def close(self) -> None:
        """Ends the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Promises:
    """What an OpenAPI document says of answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._validators: dict[tuple[str, str, int, str], Any] = {}

    def complaint(self, asked: Asked, answered: Answered) -> str | None:
        """Returns what is wrong with an answer; ``None`` where it is as documented and no server error."""
        where = f"{asked.method} {asked.operation}: {answered.status}"
        if answered.status >= 500:
            return f"{where} is a server error"
        responses = self._document["paths"][asked.operation][asked.method.lower()]["responses"]
        if str(answered.status) not in responses:
            return f"{where} is not documented"
        media = re.split(rb"[; ]", answered.headers.get(b"content-type", b""))[0].decode()
        content = responses[str(answered.status)].get("content", {})
        if (media not in content) if content else media != "":
            return f"{where} has the content type {media!r}, which is not documented"
        if media.endswith("json"):
            return self._check(asked, answered, media, content[media]["schema"], where)
        return None

    def _check(self, asked: Asked, answered: Answered, media: str, schema: dict[str, Any], where: str) -> str | None:
        key = (asked.method, asked.operation, answered.status, media)
        if key not in self._validators:
            whole = {**schema, "components": self._document["components"]}
            self._validators[key] = jsonschema_rs.validator_for(whole)
        try:
            self._validators[key].validate(msgspec.json.decode(answered.body))
        except (jsonschema_rs.ValidationError, msgspec.DecodeError) as error:
            return f"{where} is not what is documented: {error}"
        return None
