"""``clapometer doctor`` names what is wrong, with real faults: full and read-only disks, no broker, a stale clock."""

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.builders import block, impression, registered
from tests.support.event_rows import clip, events_table
from tests.support.event_rows import impression as shown
from tests.support.lakes import traffic
from typer.testing import CliRunner

from clapometer.cli.main import app
from clapometer.domain import Event, InputError
from clapometer.eventlog import EmbeddedLog
from clapometer.gate import new_key, save_keys
from clapometer.gate.tokens import load_token_secrets
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings

Report = dict[str, Any]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    places = {"LAKE": "lake", "LOG_FOLDER": "log", "KEYS_FILE": "keys.json", "TOKENS_FILE": "tokens.json"}
    for name, value in places.items():
        monkeypatch.setenv(f"CLAPOMETER_{name}", str(tmp_path / value))
    for name in ("COLLECTOR_PORT", "SERVING_PORT"):
        monkeypatch.setenv(f"CLAPOMETER_{name}", "0")
    now = dt.datetime.now(dt.UTC)
    save_keys(tmp_path / "keys.json", [new_key("secret", now=now)[1]])
    load_token_secrets(tmp_path / "tokens.json")
    load(tmp_path, registered("r"), impression("i"))
    return tmp_path


def load(root: Path, *events: Event) -> None:
    log = EmbeddedLog(root / "log", max_bytes=1 << 24)
    log.append_many([block(events, received_at=dt.datetime.now(dt.UTC))])
    loader = Loader(log, Lake(root / "lake"), LoadSettings(upkeep=None))
    loader.load_once()
    loader.close()
    log.close()


def examined(expected: int) -> list[Report]:
    result = CliRunner().invoke(app, ["doctor", "--format", "json"])
    assert result.exit_code == expected, result.output
    report = json.loads(result.stdout)
    assert report["healthy"] == (expected == 0)
    return list(report["checks"])


def errors(checks: list[Report]) -> list[Report]:
    wrong = [check for check in checks if check["status"] == "error"]
    assert all(check["advice"] for check in wrong)
    return wrong


@pytest.mark.usefixtures("root")
def test_a_healthy_installation_passes() -> None:
    checks = examined(0)
    assert {check["part"] for check in checks} == {
        "settings", "folders", "disk", "keys", "secrets", "label rule", "schedule", "event log", "lag", "lake",
        "training", "clock",
    }  # fmt: skip
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 0


@pytest.mark.usefixtures("root")
def test_a_misspelt_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAPOMETER_LAKES", "lake")
    (wrong,) = errors(examined(1))
    assert wrong["part"] == "settings"
    assert "CLAPOMETER_LAKES" in wrong["found"]


Mount = Callable[..., Path]


@pytest.fixture
def mounted(root: Path) -> Iterator[Mount]:
    """Mounts a small file system in memory over the place of the log."""
    places: list[Path] = []

    def mount(place: Path, *options: str) -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)], check=True)
        places.append(place)
        return place

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_found(root: Path, mounted: Mount) -> None:
    log = mounted(root / "log", "size=4m")
    EmbeddedLog(log, max_bytes=1 << 20).close()
    with pytest.raises(OSError, match="No space"):
        (log / "filler").write_bytes(bytes(8 << 20))
    wrong = errors(examined(1))
    assert {("disk", True), ("folders", True)} <= {(each["part"], "log" in each["found"]) for each in wrong}
    assert any("No space left" in each["found"] for each in wrong)


def test_a_folder_that_cannot_be_written_is_found(root: Path, mounted: Mount) -> None:
    mounted(root / "log", "ro")
    found = [each for each in errors(examined(1)) if each["part"] == "folders"]
    assert len(found) == 1
    assert "Read-only file system" in found[0]["found"]
    assert "mount its disk for writing" in found[0]["advice"]


def test_a_broker_that_does_not_answer_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert root
    monkeypatch.setenv("CLAPOMETER_LOG", "kafka://127.0.0.1:9/events")
    wrong = errors(examined(1))
    assert [each["part"] for each in wrong] == ["event log"]
    told = run("doctor", "--format", "json")
    assert json.loads(told.stdout)["healthy"] is False, "what libraries log is no part of the report"
    assert "--- Logging error ---" not in told.stderr


def test_a_stale_clock_is_found(root: Path) -> None:
    done = subprocess.run(
        ["faketime", "-f", "-48h", sys.executable, "-m", "clapometer.cli.main", "doctor", "--format", "json"],
        capture_output=True, text=True, check=False, cwd=root,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    wrong = [check for check in json.loads(done.stdout)["checks"] if check["status"] == "error"]
    assert {check["part"] for check in wrong} == {"clock"}
    assert "the clock is behind by at least 1 day" in wrong[0]["advice"]


def test_blocks_that_wait_too_long_are_found(root: Path) -> None:
    log = EmbeddedLog(root / "log", max_bytes=1 << 24)
    log.append_many([block([impression("late")], received_at=dt.datetime.now(dt.UTC) - dt.timedelta(hours=1))])
    log.close()
    (wrong,) = errors(examined(1))
    assert wrong["part"] == "lag"
    assert "1 blocks wait to be loaded, the oldest since" in wrong["found"]


def test_a_log_that_was_replaced_by_an_older_copy_is_found(root: Path) -> None:
    log = EmbeddedLog(root / "log", max_bytes=1 << 24)
    (root / "copy").mkdir()
    log.copy_to(root / "copy")
    log.append_many([block([impression("new")])])
    loader = Loader(log, Lake(root / "lake"), LoadSettings(upkeep=None))
    loader.load_once()
    loader.close()
    log.close()
    (root / "copy" / "data.mdb").replace(root / "log" / "data.mdb")
    (wrong,) = errors(examined(1))
    assert "has loaded 1 blocks that the log never had" in wrong["found"]


def test_keys_and_secrets_are_looked_at(root: Path) -> None:
    now = dt.datetime.now(dt.UTC)
    (root / "tokens.json").chmod(0o644)
    save_keys(root / "keys.json", [new_key("secret", now=now, expires=now - dt.timedelta(days=1))[1]])
    wrong = errors(examined(1))
    assert {each["part"] for each in wrong} == {"keys", "secrets"}
    (root / "tokens.json").chmod(0o600)
    save_keys(root / "keys.json", [new_key("secret", now=now, expires=now + dt.timedelta(days=3))[1]])
    warned = [each for each in examined(0) if each["part"] == "keys"]
    assert warned[0]["status"] == "warning"
    (root / "keys.json").write_text("{")
    assert [each["part"] for each in errors(examined(1))] == ["keys"]


def test_events_that_nobody_counted_are_found(root: Path) -> None:
    Lake(root / "lake").append("events", events_table([clip("c")]))
    (wrong,) = errors(examined(1))
    assert "ledger difference 1" in wrong["found"]


def test_clips_that_became_others_are_found(root: Path) -> None:
    rows = [clip("c", "p"), clip("c", "q") | {"id": "again"}]
    Lake(root / "lake").append("events", events_table(rows))
    (found,) = [each for each in examined(1) if each["part"] == "clips"]
    assert (found["status"], "1 clips changed prompt or model, such as c" in found["found"]) == ("warning", True)


def test_a_tenant_that_registered_no_clip_is_found(root: Path) -> None:
    rows = [clip("c"), shown("i", "c"), shown("i", "gone") | {"tenant": "quiet"}]
    Lake(root / "lake").append("events", events_table(rows))
    (found,) = [each for each in examined(1) if each["part"] == "clips"]
    said = "tenant quiet has shown clips 1 times and registered none: it is not ranked"
    assert (found["status"], found["found"]) == ("warning", said)


def test_senders_that_show_clips_that_nobody_registered_are_found(root: Path) -> None:
    assert [each for each in examined(0) if each["part"] == "clips"] == []
    load(root, impression("j", clip="typo", source="/player"), impression("k", clip="typo", source="/player"))
    (found,) = [each for each in examined(0) if each["part"] == "clips"]
    said = "/player of tenant default shows clips that nobody registered: 1 of them 2 times in the newest two days"
    assert (found["status"], found["found"]) == ("warning", f"{said}, such as typo; they count in no ranking")
    load(root, registered("late", clip="typo"))
    assert [each for each in examined(0) if each["part"] == "clips"] == []


@pytest.mark.parametrize("schedule", ["15 minutes", "0 9 * * 8", "0 0 30 2 *"])
def test_what_is_no_schedule_is_refused_by_every_command_and_by_doctor(
    root: Path, monkeypatch: pytest.MonkeyPatch, schedule: str
) -> None:
    (root / "clapometer.toml").write_text(f'schedule = "{schedule}"')
    (wrong,) = errors(examined(1))
    assert wrong["part"] == "settings"
    for said in ("schedule: ", repr(schedule), "is no schedule", "such as 15m", "from clapometer.toml"):
        assert said in wrong["found"]
    refused = CliRunner().invoke(app, ["config"])
    assert isinstance(refused.exception, InputError)


def test_doctor_says_when_training_is_next(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAPOMETER_SCHEDULE", "0 9 * * 1")
    (found,) = [each for each in examined(0) if each["part"] == "schedule"]
    assert "next on Monday " in found["found"]
    assert "at 09:00 UTC" in found["found"]


def test_a_schedule_on_the_command_line_is_refused_by_the_name_of_its_option(root: Path) -> None:
    refused = CliRunner().invoke(app, ["schedule", "--every", "15 minutes"])
    assert str(refused.exception).startswith("every: '15 minutes' is no schedule")


def test_the_newest_run_of_every_tenant_is_looked_at_and_none_hides_another(root: Path) -> None:
    for tenant in ("failing", "good", "late", "shown-nothing"):
        rows = traffic(prompts=22, tenant=tenant) if tenant == "good" else [clip(f"c-{tenant}", tenant=tenant)]
        Lake(root / "lake").append("events", events_table(rows))
    trained = CliRunner().invoke(app, ["train", "--no-wait"])
    assert "3 of 5 runs failed" in str(trained.exception)
    told = json.loads(CliRunner().invoke(app, ["doctor", "--format", "json"]).stdout)
    said = [each["found"] for each in told["checks"]
            if each["part"] == "training"]  # fmt: skip
    assert "the newest run of 2 tenants (default, good) succeeded" in said
    failed = sorted(each.split(":")[0] for each in said if "failed: there is nothing to rank" in each)
    assert failed == ["tenant failing", "tenant late", "tenant shown-nothing"]


def test_a_look_that_fails_of_something_unexpected_hides_no_other(root: Path) -> None:
    (damaged, *_) = (root / "lake" / "runs" / "_delta_log").glob("*.json")
    damaged.write_text("{")
    checks = json.loads(CliRunner().invoke(app, ["doctor", "--format", "json"]).stdout)["checks"]
    found = {(each["part"], each["status"]) for each in checks}
    assert ("training", "error") in found
    assert {("clock", "ok"), ("event log", "ok"), ("keys", "ok")} <= found


def damaged_log(root: Path) -> str:
    (root / "log" / "data.mdb").write_bytes(b"")
    return "data.mdb is empty"


def cut_log(root: Path) -> str:
    os.truncate(root / "log" / "data.mdb", 12_288)
    return "data.mdb was cut"


def missing_entry(root: Path) -> str:
    entries = sorted((root / "lake" / "events" / "_delta_log").glob("*.json"))
    entries[-2].unlink()
    return f"{entries[-2].name} is missing"


def empty_entry(root: Path) -> str:
    entries = sorted((root / "lake" / "events" / "_delta_log").glob("*.json"))
    os.truncate(entries[-1], 0)  # which Delta's readers take for an entry that did nothing
    return f"{entries[-1].name} is empty"


def cut_file(root: Path) -> str:
    file = Lake(root / "lake").files("events")[0]
    os.truncate(file, 50)
    return f"{file.name} has 50 bytes of"


@pytest.mark.parametrize("damage", [damaged_log, cut_log, missing_entry, empty_entry, cut_file])
def test_damage_is_told_in_a_sentence_by_doctor_and_by_whoever_needs_the_file(
    root: Path, damage: Callable[[Path], str]
) -> None:
    if damage is missing_entry:
        Lake(root / "lake").append("events", events_table([clip("more")]))
    problem = damage(root)
    told = [
        each
        for each in errors(json.loads(run("doctor", "--format", "json").stdout)["checks"])
        if problem in each["found"]
    ]
    assert len(told) == 1
    assert "ost for certain" in told[0]["found"]
    if "log" in damage.__name__:
        assert "the lake has the first 1 blocks of this log" in told[0]["advice"]
    loaded = run("load", "--once")
    assert loaded.returncode == 1
    said = " ".join(loaded.stderr.split())
    assert "Traceback" not in said
    assert problem in said.replace("/ ", "/")
    assert "ost for certain" in said


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own: a page that is not there would end this one."""
    return subprocess.run(
        [sys.executable, "-m", "clapometer.cli.main", *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "1000"},
    )  # fmt: skip


def test_origins_that_no_browser_sends_are_found_in_old_files_of_keys(root: Path) -> None:
    key = new_key("publishable", now=dt.datetime.now(dt.UTC))[1]
    save_keys(root / "keys.json", [msgspec.structs.replace(key, origins=("example.com", "https://a.example"))])
    (wrong,) = errors(examined(1))
    assert f"key {key.id} is for pages of 'example.com', which no browser sends" in wrong["found"]
    assert f"`clapometer keys edit {key.id}" in wrong["advice"]


def test_a_public_tenant_that_is_nobody_is_found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAPOMETER_PUBLIC_TENANT", "defualt")
    (found,) = [each for each in examined(0) if each["found"].startswith("public_tenant is ")]
    assert (found["status"], "did you mean `default`?" in found["found"]) == ("warning", True)


def test_a_tenant_that_nobody_knows_is_no_run_and_doctor_hears_nothing_of_it(root: Path) -> None:
    refused = CliRunner().invoke(app, ["train", "--no-wait", "--tenant", "acme"])
    assert "tenant 'acme' has registered no clip" in str(refused.exception)
    told = json.loads(CliRunner().invoke(app, ["doctor", "--format", "json"]).stdout)
    assert not [each for each in told["checks"] if "acme" in each["found"]]
