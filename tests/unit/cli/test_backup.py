"""``clapometer backup``, ``restore`` and ``checksum`` as an operator uses them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.builders import block, impression, registered
from typer.testing import CliRunner, Result

from clapometer.cli.main import app
from clapometer.domain import InputError, NotFoundError, TerminalError
from clapometer.eventlog import EmbeddedLog
from clapometer.gate import load_keys, save_keys
from clapometer.gate.tokens import load_token_secrets
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings

Use = Callable[[Path], None]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Use:
    monkeypatch.chdir(tmp_path)

    def choose(root: Path) -> None:
        places = {"LAKE": "lake", "LOG_FOLDER": "log", "KEYS_FILE": "keys.json", "TOKENS_FILE": "tokens.json"}
        for name, value in places.items():
            monkeypatch.setenv(f"CLAPOMETER_{name}", str(root / value))

    return choose


@pytest.fixture
def first(tmp_path: Path, use: Use) -> Path:
    root = tmp_path / "first"
    root.mkdir()
    use(root)
    save_keys(root / "keys.json", [])
    load_token_secrets(root / "tokens.json")
    log = EmbeddedLog(root / "log", max_bytes=1 << 24)
    log.append_many([block([registered("r"), impression("i")])])
    loader = Loader(log, Lake(root / "lake"), LoadSettings(upkeep=None))
    loader.load_once()
    loader.close()
    log.append_many([block([impression("waits")])])
    log.close()
    return root


def test_a_system_moves_to_another_place_and_goes_on_there(tmp_path: Path, first: Path, use: Use) -> None:
    assert first.is_dir()
    made = invoke("backup", str(tmp_path / "backups"), "--format", "json")
    assert made.exit_code == 0, made.exception
    assert json.loads(made.stdout)["rows"]["events"] == 2
    before = json.loads(invoke("checksum", "--format", "json").stdout)
    use(tmp_path / "second")
    restored = invoke("restore", str(tmp_path / "backups"))
    assert restored.exit_code == 0, restored.exception
    assert restored.output.startswith("restored: ")
    assert invoke("checksum", "events", "--expect", before["hash"]).exit_code == 0
    assert load_keys(tmp_path / "second" / "keys.json") == ()
    assert invoke("load", "--once").exit_code == 0
    assert json.loads(invoke("checksum", "--format", "json").stdout)["rows"] == 3
    other = invoke("checksum", "events", "--expect", before["hash"])
    assert isinstance(other.exception, TerminalError)
    assert invoke("checksum", "--version", str(before["version"]), "--expect", before["hash"]).exit_code == 0


def test_what_is_not_there_is_said(tmp_path: Path, use: Use) -> None:
    use(tmp_path / "nothing")
    for arguments, reason in (
        (("backup", str(tmp_path / "b")), "there is no"),
        (("restore", str(tmp_path)), "holds no complete backup"),
        (("checksum",), "there is no"),
    ):
        error = invoke(*arguments).exception
        assert isinstance(error, InputError | NotFoundError)
        assert reason in str(error)
