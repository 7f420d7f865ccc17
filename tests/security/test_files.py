"""What is written is for its owner alone: viewers' ids are in the lake, secrets beside it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.builders import block, impression, registered

from clapometer.eventlog import EmbeddedLog


@pytest.fixture
def commands(tmp_path: Path):
    """Runs commands as a user does whose umask lets others read."""

    def run(*arguments: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CLAPOMETER_")}
        subprocess.run(
            [sys.executable, "-m", "clapometer.cli.main", *arguments], cwd=tmp_path, env=clean, umask=0o022, check=True,
            capture_output=True,
        )  # fmt: skip

    return run


def test_no_file_or_folder_can_be_read_by_others(tmp_path: Path, commands) -> None:
    commands("keys", "new", "--kind", "secret")
    commands("keys", "rotate-tokens")
    commands("load", "--once")
    log = EmbeddedLog(tmp_path / "log")
    log.append_many([block([registered("r"), impression("i")])])
    log.close()
    commands("load", "--once")
    commands("backup", "backups")
    written = [path for path in tmp_path.rglob("*") if not path.is_symlink()]
    assert {"lake", "log", "backups", "clapometer-keys.json", "clapometer-tokens.json"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert any(path.suffix == ".parquet" for path in written)
    open_to_others = {
        str(path.relative_to(tmp_path)): oct(mode) for path in written
        if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077
    }  # fmt: skip
    assert open_to_others == {}


def test_a_backup_of_files_that_others_could_read_is_its_owners_alone(tmp_path: Path, commands) -> None:
    commands("load", "--once")
    for path in (tmp_path / "lake").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    commands("backup", "backups")
    assert not any(path.stat().st_mode & 0o077 for path in (tmp_path / "backups").rglob("*"))
