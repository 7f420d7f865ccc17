"""A collector as it runs in production: uvicorn on a port of its own, an embedded log on a real disk."""

import contextlib
import datetime as dt
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest
import uvicorn
from tests.support.waiting import until

from clapometer.collector import CollectorConfig, create_app, uvicorn_config
from clapometer.domain import Block, decode_block
from clapometer.eventlog import EmbeddedLog, GroupCommitter, Record
from clapometer.gate import Gate, KeyRing, new_key, save_keys

TOKEN_SECRET = b"a secret for impression tokens, 32 bytes or more"


class Collector:
    """A running collector, the keys to it, and what it left in its log."""

    def __init__(self, folder: Path, config: CollectorConfig, **parts: Any) -> None:
        self.now = dt.datetime.now(dt.UTC)
        self.secret, secret_record = new_key("secret", now=self.now, tenant="acme")
        self.publishable, publishable_record = new_key("publishable", now=self.now, tenant="acme")
        self.pinned, pinned_record = new_key(
            "publishable", now=self.now, tenant="acme", origins=["https://player.example"]
        )
        self.signing, self.signing_record = new_key("secret", now=self.now, tenant="acme", signs=True)
        self.stale, stale_record = new_key("secret", now=self.now, expires=self.now - dt.timedelta(seconds=1))
        folder.mkdir(exist_ok=True)
        records = [secret_record, publishable_record, pinned_record, stale_record, self.signing_record]
        save_keys(folder / "keys.json", records)
        self.keys = KeyRing(path=folder / "keys.json")
        self.key_id = publishable_record.id
        self.log = parts.pop("log", None) or EmbeddedLog(folder / "log")
        self.committer = GroupCommitter(self.log)
        proxies = parts.pop("proxies", None)
        self.app = create_app(
            config,
            log=self.log,
            committer=self.committer,
            gate=Gate(self.keys, **parts.pop("gate", {})),
            tokens=parts.pop("tokens", {"t1": TOKEN_SECRET}),
            clock=parts.pop("clock", lambda: dt.datetime.now(dt.UTC)),
        )
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(uvicorn_config(self.app, config, proxies=proxies))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        until(lambda: self._server.started)
        self.http = httpx2.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120, trust_env=False)

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
        self.committer.close()
        self.log.close()

    def post(self, body: bytes | str | list[Any] | dict[str, Any], **headers: str) -> httpx2.Response:
        """Posts events with the secret key unless the headers name another; ``_`` in a header's name is ``-``."""
        content = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else _json(body)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if not {"authorization", "x-api-key"} & set(given):
            given["authorization"] = f"Bearer {self.secret}"
        return self.http.post("/v1/events", content=content, headers={"content-type": "application/json", **given})

    def raw(self, data: bytes, seconds: float = 120) -> bytes:
        """Sends bytes over a connection of its own and returns all that comes until it is closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            connection.sendall(data)
            received = b""
            with contextlib.suppress(TimeoutError, ConnectionResetError):
                while chunk := connection.recv(65_536):
                    received += chunk
            return received

    def blocks(self) -> list[Block]:
        """Returns every block of the log."""
        records: list[Record] = []
        offset = 0
        while batch := self.log.read(0, offset, 1 << 20):
            records += batch
            offset = batch[-1].offset + 1
        return [decode_block(record.block) for record in records]

    def stored_ids(self) -> list[str]:
        """Returns the ids of the accepted events, in order."""
        return [msgspec.json.decode(line)["id"] for block in self.blocks() for line in block.events]

    def dead_letters(self) -> list[dict[str, Any]]:
        """Returns the rejected events of the log, in order."""
        return [msgspec.json.decode(line) for block in self.blocks() for line in block.rejected]


def _json(body: object) -> bytes:
    return msgspec.json.encode(body)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Collector]]:
    """Starts collectors with limits of the test's choice, and stops them afterwards."""
    running: list[Collector] = []

    def start_one(
        log: Any = None, clock: Any = None, gate: Any = None, tokens: Any = None, proxies: Any = None, **limits: Any
    ) -> Collector:
        given = (("log", log), ("clock", clock), ("gate", gate), ("tokens", tokens), ("proxies", proxies))
        parts = {name: part for name, part in given if part is not None}
        collector = Collector(tmp_path / str(len(running)), CollectorConfig(**limits), **parts)
        running.append(collector)
        return collector

    yield start_one
    for collector in running:
        collector.stop()


@pytest.fixture
def collector(start: Callable[..., Collector]) -> Collector:
    """A collector with the limits that it has by default."""
    return start()
