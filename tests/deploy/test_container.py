"""The image and the compose file: checked by their own tools, and against what the program takes."""

import json
import re
import shlex
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.files import DEPLOY, ROOT, parse, refused_settings, run, tool

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
COMPOSE = DEPLOY / "compose.yaml"
HEALTH = DEPLOY / "docker" / "healthcheck.py"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file as the library of Docker Compose reads it."""
    model = run(tool("cmd", "compose"), "-format", "json", COMPOSE.name, cwd=DEPLOY)
    return dict(json.loads(model[model.index("{") :]))


def ours(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in compose["services"].items() if each["image"] == "clapometer"}


def test_the_dockerfile_has_no_findings() -> None:
    run(tool("hadolint", "python/bin"), DOCKERFILE)


def test_the_image_is_built_in_stages_and_runs_as_nobody_with_a_healthcheck() -> None:
    last = DOCKERFILE.read_text().split("\nFROM ")[-1]
    assert "COPY --from=build" in last
    assert "\nUSER 10001:10001\n" in last
    assert "\nHEALTHCHECK " in last
    assert "pip install" not in last


def test_what_the_image_copies_is_there_and_sent_to_the_builder() -> None:
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE.read_text(), re.MULTILINE):
        for source in shlex.split(line)[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == each or source.startswith(f"{each}/") for each in sent), source


def pins(path: Path) -> set[tuple[str, str]]:
    """Returns the packages of a lock with their versions."""
    return set(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text(), re.MULTILINE))


def test_all_locks_pin_the_same_versions_and_each_just_what_it_is_for() -> None:
    tests, running = pins(ROOT / "requirements.lock"), pins(ROOT / "requirements-run.lock")
    image = pins(DEPLOY / "docker/requirements.lock")
    assert running < image < tests, "make lock"
    assert {"fastapi", "deltalake"} <= dict(running).keys()
    assert {"obstore", "confluent-kafka", "opentelemetry-sdk"} <= dict(image).keys() - dict(running).keys()
    assert not {"pytest", "mypy", "moto"} & dict(image).keys()


def test_image_and_compose_name_settings_that_there_are() -> None:
    for path in (DOCKERFILE, COMPOSE):
        assert refused_settings(path.read_text()) == set(), path


def test_the_image_and_every_service_run_commands_that_there_are(compose: dict[str, Any]) -> None:
    (command,) = re.findall(r"^CMD (\[.*\])$", DOCKERFILE.read_text(), re.MULTILINE)
    parse(json.loads(command))
    commands = {name: service["command"] for name, service in ours(compose).items()}
    for each in commands.values():
        parse(each)
    assert {each[0] for each in commands.values()} == {"log", "collect", "load", "schedule", "serve"}
    assert [name for name, each in commands.items() if each[0] == "collect"] == ["collector-1", "collector-2"]


def test_every_service_has_a_check_of_the_port_that_it_listens_on(compose: dict[str, Any]) -> None:
    ports = {"collect": 8480, "serve": 8481, "load": 8482, "schedule": 8483}
    for name, service in ours(compose).items():
        if (kind := service["command"][0]) in ports:
            check = service["healthcheck"]["test"]
            assert check[:2] == ["CMD", "python"], name
            assert f"127.0.0.1:{ports[kind]}/" in check[-1], name


def test_what_compose_mounts_is_there(compose: dict[str, Any]) -> None:
    sources = [
        Path(mount["source"]) for service in compose["services"].values() for mount in service.get("volumes") or []
        if mount["type"] == "bind"
    ]  # fmt: skip
    assert len(sources) == 4
    assert [source for source in sources if not source.exists()] == []


def test_prometheus_scrapes_every_service_of_ours_that_has_a_port(compose: dict[str, Any]) -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    hosts = {
        target.partition(":")[0] for job in jobs for each in job.get("static_configs", []) for target in each["targets"]
    }
    hosts |= {name for job in jobs for each in job.get("dns_sd_configs", []) for name in each["names"]}
    assert hosts == set(ours(compose)) - {"topic"}


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/good" else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


def test_the_healthcheck_says_whether_every_address_answers() -> None:
    with HTTPServer(("127.0.0.1", 0), Answers) as server, socket.socket() as nobody:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        nobody.bind(("127.0.0.1", 0))
        good, bad = (f"http://127.0.0.1:{server.server_port}/{path}" for path in ("good", "bad"))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}/good"
        run(sys.executable, HEALTH, good, good)
        for wrong in ([good, bad], [away], ["nonsense"], []):
            with pytest.raises(AssertionError):
                run(sys.executable, HEALTH, *wrong)
        server.shutdown()
