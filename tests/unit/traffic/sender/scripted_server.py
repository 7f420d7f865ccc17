"""A small HTTP server that answers by a script: what a network and a busy server do to a sender."""

import contextlib
import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import zstandard


@dataclass(frozen=True)
class Answer:
    """One scripted answer; ``drop`` takes the request and closes the connection without a word."""

    status: int = 202
    body: dict[str, Any] | str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass
class ScriptedServer:
    """Answers from the script in turn, then accepts everything; remembers what it was sent."""

    script: list[Answer]
    url: str = ""
    requests: list[list[dict[str, Any]]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ids(self) -> list[str]:
        return [event["id"] for request in self.requests for event in request]

    def take(self, headers: dict[str, str], body: bytes) -> tuple[Answer, int]:
        encoding = headers.get("content-encoding")
        if encoding == "gzip":
            body = gzip.decompress(body)
        elif encoding == "zstd":
            body = zstandard.ZstdDecompressor().decompress(body)
        events = json.loads(body)
        with self.lock:
            self.requests.append(events)
            self.headers.append(headers)
            answer = self.script.pop(0) if self.script else Answer()
        return answer, len(events)


@contextmanager
def scripted_server(*script: Answer, closed_gate: bool = False) -> Iterator[ScriptedServer]:
    """A running server; a closed gate holds every answer back until it is set."""
    server = ScriptedServer(list(script))
    if not closed_gate:
        server.gate.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer, n_events = server.take(headers, body)
            server.gate.wait(300)
            if answer.drop:
                self.close_connection = True
                return
            accepted = {"accepted": n_events, "rejected": [], "warnings": []}
            content = answer.body if answer.body is not None else accepted if answer.status == 202 else "no"
            payload = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "content-length": str(len(payload))}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # the sender may have been cancelled
                self.wfile.write(payload)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        server.url = f"http://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.gate.set()
            listener.shutdown()
            thread.join()
