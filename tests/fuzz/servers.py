"""Collector and serving as operators run them, each a process of its own, over a lake that has rankings."""

import json
import re
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.e2e.running import service_environment
from tests.support.ports import free_port
from tests.support.waiting import until
from tests.unit.serving.sample_lake import full_lake

_REQUESTS = re.compile(r'^clapometer_(?:collector|serving)_requests_total\{.*status="(\d+)"\} (\S+)$', re.MULTILINE)


class Server:
    """One process: its port, what it documents and what it counts."""

    def __init__(self, folder: Path, part: str, port: int, environment: dict[str, str]) -> None:
        self.part = part
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self._errors = (folder / f"{part}.log").open("wb")
        command = [sys.executable, "-m", "clapometer.cli.main", part]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self._errors, stderr=self._errors, start_new_session=True
        )
        self._log = folder / f"{part}.log"

    def get(self, path: str) -> bytes:
        """Returns the body of a page."""
        with urllib.request.urlopen(self.address + path, timeout=20) as answer:
            return bytes(answer.read())

    def answers(self) -> bool:
        """Returns whether the process is ready."""
        assert self.process.poll() is None, self.log()
        with suppress(OSError):
            return bool(self.get("/readyz"))
        return False

    def document(self) -> dict[str, Any]:
        """Returns the OpenAPI document."""
        return dict(json.loads(self.get("/openapi.json")))

    def statuses(self) -> Counter[int]:
        """Returns the answers so far by status, as the process itself counts them."""
        found: Counter[int] = Counter()
        for status, count in _REQUESTS.findall(self.get("/metrics").decode()):
            found[int(status)] += int(float(count))
        return found

    def log(self) -> str:
        """Returns what the process wrote."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Ends the process."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._errors.close()


class Servers:
    """Both services in ``folder``, with keys of two tenants; a context manager."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self._folder = folder
        ports = {"collect": free_port(), "serve": free_port()}
        self.environment = service_environment(
            folder,
            collector_port=ports["collect"],
            serving_port=ports["serve"],
            log_max_bytes=2**33,
            rate_slates_viewer="",
            **settings,
        )
        full_lake(folder / "lake")
        self.secret = self.key("--kind", "secret")
        self.publishable = self.key("--kind", "publishable")
        self.signing = self.key("--kind", "secret", "--signs")
        self.rival = self.key("--kind", "secret", "--tenant", "rival")
        self.collector, self.serving = (Server(folder, part, port, self.environment) for part, port in ports.items())

    @property
    def both(self) -> tuple[Server, Server]:
        """Both of them."""
        return self.collector, self.serving

    def key(self, *options: str) -> str:
        """Returns a new key."""
        command = [sys.executable, "-m", "clapometer.cli.main", "keys", "new", *options]
        done = subprocess.run(command, cwd=self._folder, env=self.environment, capture_output=True, check=True)
        return done.stdout.decode().strip()

    def __enter__(self) -> "Servers":
        until(lambda: self.collector.answers() and self.serving.answers(), 60, every=0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self.collector.stop()
        self.serving.stop()
