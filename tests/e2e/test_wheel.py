"""The wheel as `pip install` brings it: in clean environments, away from the source."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13")


def interpreters() -> list[str]:
    """Returns the Pythons of this machine that Clapometer supports: one of each version, at least the one that runs."""
    found = {f"{sys.version_info.major}.{sys.version_info.minor}": sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in VERSIONS:
        installed = [*sorted(pyenv.glob(f"{version}.*/bin/python")), shutil.which(f"python{version}")]
        usable = [str(path) for path in installed if path is not None]
        if usable:
            found.setdefault(version, usable[0])
    return [found[version] for version in sorted(found)]


def uv(*arguments: object) -> None:
    subprocess.run([Path(sys.executable).with_name("uv"), *map(str, arguments)], check=True, timeout=600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, made from a source distribution as a release makes it."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", folder, ROOT)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module", params=interpreters(), ids=lambda path: Path(path).resolve().name)
def installed(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``clapometer`` of a fresh environment that holds the wheel and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel") / "environment"
    uv("venv", "--quiet", "--python", request.param, folder)
    python = folder / "bin" / "python"
    locked = ("--require-hashes", "--only-binary", ":all:", "-r", ROOT / "requirements-run.lock")
    uv("pip", "install", "--quiet", "--python", python, *locked)
    uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    return folder / "bin" / "clapometer"


def fetched(url: str, headers: dict[str, str] | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers or {}), timeout=120) as answer:
        content: bytes = answer.read()
        return content


def answers(url: str) -> bool:
    try:
        return bool(fetched(url))
    except OSError:
        return False


def test_demo_and_what_its_last_lines_say_work_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLAPOMETER_", "PYTHON"))}
    away = tmp_path / "away"
    away.mkdir()
    demo = [installed, "demo", "--prompts", "400", "--sessions", "2800", "--summary", "summary.json"]
    done = subprocess.run(demo, cwd=away, env=clean, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    pages = json.loads((away / "summary.json").read_text())["addresses"]
    (again,) = re.findall(r"^start it again +(.+)$", done.stdout, flags=re.MULTILINE)
    (recorded,) = re.findall(r"^the recorded clips +curl -H '(.+): (.+)' (.+)$", done.stdout, flags=re.MULTILINE)
    with (tmp_path / "up.log").open("wb") as log:
        up = subprocess.Popen(["sh", "-c", f"exec env {again}"], cwd=away, env=clean, stdout=log, stderr=log)
    try:
        until(lambda: answers(f"{pages['serving']}/healthz") and answers(f"{pages['collector']}/readyz"))
        assert b"Motif" in fetched(f"{pages['serving']}/")
        for module in (ROOT / "sdk/js").glob("*.js"):
            assert fetched(f"{pages['collector']}/sdk/{module.name}") == module.read_bytes()
        for service in pages.values():
            assert b"swagger-ui" in fetched(f"{service}/docs")
        name, value, url = recorded
        assert b"kuairand" in fetched(url, {name: value})
    finally:
        up.send_signal(signal.SIGTERM)
        code = up.wait(300)
    assert code == 0, (tmp_path / "up.log").read_text()


USERS_FILE = """
from pathlib import Path
from typing import assert_type

from clapometer.domain import Event, decode_event
from clapometer.lake.tables import Lake
from clapometer.settings import Settings, load_settings
from clapometer.traffic import SendOptions

assert_type(decode_event(b"{}"), Event)
assert_type(load_settings(), Settings)
SendOptions(url="http://localhost:8100", key="csk_x", rate="fast")
Lake(Path("lake")).no_such_method()
"""


def test_the_types_of_the_wheel_are_seen_by_whoever_checks_against_it(installed: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(USERS_FILE)
    checker = [sys.executable, "-m", "mypy", "--strict", "--python-executable", installed.with_name("python"), file]
    told = subprocess.run(checker, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    wrong = [line.partition("[")[2] for line in told.stdout.splitlines() if "mine.py" in line]
    assert wrong == ["arg-type]", "attr-defined]"], told.stdout
