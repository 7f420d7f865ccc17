"""A client that does not read its answer holds its turn no longer than a statement may take."""

import json
import socket
import time
from dataclasses import replace
from urllib.parse import urlsplit

import psutil
import pytest
from tests.support.waiting import until
from tests.unit.serving.running import SECRET, Serving
from tests.unit.serving.sandbox.conftest import CONFIG, asker

from clapometer.lake.tables import Lake
from clapometer.serving.sandbox import process

LARGE = "SELECT i, repeat('x', 1000) AS x FROM range(60000) t(i)"


def workers() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if "sandbox.worker" in " ".join(child.cmdline())]


def test_a_client_that_reads_nothing_gives_its_turn_back(viewed: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 6.0)
    limits = replace(CONFIG, sql_per_key=1, sql_seconds=2, sql_max_bytes=64 << 20, sql_max_rows=100_000)
    serving = Serving(viewed.storage.published, limits)
    ask = asker(serving)
    try:
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            place = urlsplit(serving.url)
            deaf.connect((place.hostname, place.port))
            body = json.dumps({"sql": LARGE}).encode()
            fields = f"Host: x\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: {len(body)}"
            head = f"POST /v1/sql HTTP/1.1\r\n{fields}\r\n\r\n"
            begun = time.monotonic()
            deaf.sendall(head.encode() + body)
            until(lambda: ask("SELECT 1").status_code == 429)
            until(lambda: ask("SELECT 1").status_code == 200)
            assert time.monotonic() - begun >= 5, "it had its time"
            until(lambda: not workers())
    finally:
        serving.stop()
