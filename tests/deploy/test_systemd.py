"""The units of one machine: systemd takes them, and their command lines start the parts in a folder of their own."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.deploy.files import DEPLOY, UNITS, parse, refused_settings, run, tool
from tests.support.ports import free_port
from tests.support.waiting import until

from clapometer.settings import Settings

ENDS = {"collector": "/readyz", "loader": "/metrics", "trainer": "/metrics", "serving": "/readyz"}


def start_line(unit: Path) -> list[str]:
    """Returns the command line that a unit starts."""
    (line,) = (line for line in unit.read_text().splitlines() if line.startswith("ExecStart="))
    return shlex.split(line.removeprefix("ExecStart="))


def test_systemd_has_nothing_to_complain_of(tmp_path: Path) -> None:
    for unit in (*UNITS, DEPLOY / "systemd" / "clapometer.target"):
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/clapometer/bin/clapometer", sys.executable))
    run(tool("systemd-analyze"), "verify", "--man=no", *sorted(tmp_path.iterdir()))


def test_the_target_starts_every_unit() -> None:
    target = (DEPLOY / "systemd" / "clapometer.target").read_text()
    assert [unit.name for unit in UNITS if unit.name not in target] == []
    assert len(UNITS) == 4


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_runs_a_command_that_there_is(unit: Path) -> None:
    program, *arguments = start_line(unit)
    assert program == "/opt/clapometer/bin/clapometer"
    parse(arguments)
    assert refused_settings(unit.read_text()) == set()


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[dict[str, tuple[subprocess.Popen[bytes], int]]]:
    """Every unit's command line, with the settings of deploy/systemd in a folder and on ports of the test's own."""
    ports = {name: free_port() for name in ENDS}
    settings = (DEPLOY / "systemd" / "clapometer.toml").read_text().replace("/var/lib/clapometer", str(tmp_path))
    settings = settings.replace("8482", str(ports["loader"])).replace("8483", str(ports["trainer"]))
    settings += f"collector_port = {ports['collector']}\nserving_port = {ports['serving']}\n"
    (tmp_path / "clapometer.toml").write_text(settings)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLAPOMETER_")}
    running = {}
    for unit in UNITS:
        name = unit.stem.removeprefix("clapometer-")
        with (tmp_path / f"{name}.log").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "clapometer.cli.main", *start_line(unit)[1:]], stderr=output, stdout=output,
                cwd=tmp_path, env={**clean, "CLAPOMETER_CONFIG": str(tmp_path / "clapometer.toml")},
            )  # fmt: skip
        running[name] = (process, ports[name])
    yield running
    for process, _ in running.values():
        process.kill()
        process.wait()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_command_lines_of_the_units_start_all_parts_and_end_them_in_order(parts, tmp_path):
    assert set(parts) == set(ENDS)
    for name, (process, port) in parts.items():
        until(lambda: answers(f"http://127.0.0.1:{port}{ENDS[name]}"), every=0.1)  # noqa: B023 - called at once
        assert process.poll() is None, (tmp_path / f"{name}.log").read_text()
    for process, _ in parts.values():
        process.send_signal(signal.SIGTERM)
    assert {name: process.wait(300) for name, (process, _) in parts.items()} == dict.fromkeys(ENDS, 0)


def test_the_settings_file_names_settings_that_there_are() -> None:
    import tomllib

    given = tomllib.loads((DEPLOY / "systemd" / "clapometer.toml").read_text())
    assert set(given) <= set(Settings.model_fields)
    assert given["public_tenant"] == ""


def test_units_that_need_no_keys_cannot_open_them() -> None:
    closed = {
        unit.stem: "InaccessiblePaths=-/var/lib/clapometer/keys.json -/var/lib/clapometer/tokens.json"
        in unit.read_text()
        for unit in UNITS
    }
    assert closed == {
        "clapometer-collector": False, "clapometer-loader": True,
        "clapometer-serving": False, "clapometer-trainer": True,
    }  # fmt: skip


def located(path: str) -> str:
    """Returns where the proxy sends a path: an exact location wins, then the longest that it begins with."""
    text = (DEPLOY / "systemd" / "nginx.conf").read_text()
    found = re.findall(r"^ *location (= )?(\S+) \{ (?:proxy_pass http://([^;]+)|deny all);", text, re.MULTILINE)
    fits = [(bool(exact), len(prefix), to) for exact, prefix, to in found
            if (path == prefix if exact else path.startswith(prefix))]  # fmt: skip
    return str(max(fits)[2])


def test_the_proxy_sends_every_path_to_the_service_that_has_it(parts) -> None:
    checked = 0
    for name, there in (("collector", "127.0.0.1:8480"), ("serving", "127.0.0.1:8481")):
        address = f"http://127.0.0.1:{parts[name][1]}/openapi.json"
        until(lambda: answers(address), every=0.1)  # noqa: B023 - called at once
        with urllib.request.urlopen(address, timeout=120) as answer:
            paths = set(json.load(answer)["paths"]) - {"/healthz", "/readyz", "/metrics"}
        for path in paths | ({"/sdk/clapometer.js"} if name == "collector" else {"/", "/static/charts.js"}):
            assert located(re.sub(r"\{[^}]+\}", "x", path)) == there, path
            checked += 1
    assert checked > 8
    assert located("/metrics") == ""
