"""The scripts that `make` installs with: they say what they are at, and wait for others."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


def tell(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPTS / "tell", "making it", *command], capture_output=True, text=True, timeout=300, check=False
    )


def test_a_command_is_announced_before_it_starts_and_its_output_kept_where_it_succeeds() -> None:
    done = tell("sh", "-c", "echo of no interest")
    assert (done.returncode, done.stdout, done.stderr) == (0, "making it\n", "")


def test_a_command_that_fails_shows_all_it_said_and_passes_its_code_on() -> None:
    done = tell("sh", "-c", "echo the reason >&2; exit 7")
    assert done.returncode == 7
    assert done.stderr.splitlines() == ["the reason", "failed: making it"]


def test_a_command_that_takes_long_is_told_of_each_second_with_its_last_line(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with subprocess.Popen(
        [SCRIPTS / "tell", "making it", "sh", "-c", f"echo half way; read line <{gate}"],
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "making it\n"
        told = [process.stdout.readline() for _ in range(2)]
        gate.write_text("go on\n")
        assert process.wait(300) == 0
    assert all(line.startswith("  … ") and line.endswith(" s half way\n") for line in told)


@pytest.fixture
def apt(tmp_path: Path) -> dict[str, str]:
    """Debian's own apt-get with folders of its own, which needs no root and has no package at all."""
    for folder in ("state/lists/partial", "cache/archives/partial", "dpkg", "log", "etc/apt.conf.d",
                   "etc/preferences.d", "etc/sources.list.d", "etc/trusted.gpg.d"):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "dpkg/status").touch()
    settings = {"Dir": "", "Dir::State": "state", "Dir::State::status": "dpkg/status", "Dir::Cache": "cache"}
    settings |= {"Dir::Etc": "etc", "Dir::Log": "log"}
    lines = [f'{name} "{tmp_path / folder}";' for name, folder in settings.items()]
    (tmp_path / "apt.conf").write_text("\n".join(lines))
    return {**os.environ, "APT_CONFIG": str(tmp_path / "apt.conf")}


def test_a_held_package_lock_is_waited_for_and_said(tmp_path: Path, apt: dict[str, str]) -> None:
    with (tmp_path / "dpkg/lock-frontend").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        with subprocess.Popen(
            [SCRIPTS / "apt-install", "nothing-there"],
            env=apt, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            first = process.stdout.readline()
            fcntl.lockf(lock, fcntl.LOCK_UN)
            _, errors = process.communicate(timeout=300)
    assert first == "waiting for the package lock: another process installs packages\n"
    assert "Unable to locate package nothing-there" in errors  # it went on once the lock was free
    assert process.returncode == 1
