"""``clapometer up`` as its user runs it: a real process group in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.support.ports import free_port
from tests.support.waiting import until


def service_environment(folder: Path, **settings: object) -> dict[str, str]:
    """Returns this process's environment for a service that keeps everything in ``folder``; ``settings`` win."""
    chosen = {
        "lake": folder / "lake",
        "log_folder": folder / "log",
        "keys_file": folder / "keys.json",
        "tokens_file": folder / "tokens.json",
        "log_max_bytes": 2**30,
        **settings,
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLAPOMETER_")}
    return {**clean, **{f"CLAPOMETER_{name.upper()}": str(value) for name, value in chosen.items()}}


class RunningService:
    """The service in ``folder``; start, kill and start again on the same addresses."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.lake = folder / "lake"
        self.collector = f"http://127.0.0.1:{(collector := free_port())}"
        self.serving = f"http://127.0.0.1:{(serving := free_port())}"
        self.environment = service_environment(folder, collector_port=collector, serving_port=serving, **settings)
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def command(self, *arguments: str, seconds: float = 120) -> str:
        """Returns what a command of the product prints; fails with its error output."""
        done = subprocess.run(
            [sys.executable, "-m", "clapometer.cli.main", *arguments],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def secret_key(self) -> str:
        """Returns a new secret key."""
        return self.command("keys", "new", "--kind", "secret").strip()

    def start(self, ready: str = "collector", command: str = "up") -> None:
        """Starts ``up``, or another command, and returns once the collector (or ``serving``) is ready."""
        self.launch(command)
        until(lambda: self.is_ready(getattr(self, ready)), every=0.05)

    def launch(self, command: str = "up") -> None:
        """Starts ``up``, or another command, and does not wait for it."""
        self.starts += 1
        with (self.folder / f"up-{self.starts}.log").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "clapometer.cli.main", command],
                cwd=self.folder, env=self.environment, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip

    def is_ready(self, address: str) -> bool:
        """Returns whether an address says that it is ready."""
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def log(self) -> str:
        """Returns what the last start wrote."""
        return (self.folder / f"up-{self.starts}.log").read_text()

    def kill(self) -> None:
        """Kills the whole process group at once, as a power cut would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 300) -> int:
        """Asks the service to end and returns its exit code."""
        if self.process is None or self.process.poll() is not None:
            return 0 if self.process is None else int(self.process.returncode)
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def post(self, path: str, key: str, body: object, *, serving: bool = False) -> dict[str, object]:
        """Returns the JSON answer to a POST."""
        request = urllib.request.Request(
            f"{self.serving if serving else self.collector}{path}",
            data=json.dumps(body).encode(),
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return dict(json.load(answer))
