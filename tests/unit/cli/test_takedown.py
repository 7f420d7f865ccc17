"""``withdraw`` and ``erase`` say so where there is nothing to take down, and look at what is not loaded yet, too."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.builders import block, impression, registered
from typer.testing import CliRunner, Result

from clapometer.cli.main import app
from clapometer.domain import NotFoundError
from clapometer.eventlog import EmbeddedLog
from clapometer.lake.tables import Lake

Command = Callable[..., Result]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs commands beside a log whose two blocks nobody has loaded yet."""
    monkeypatch.chdir(tmp_path)
    log = EmbeddedLog(tmp_path / "log")
    first = [registered("r", clip="clip-17"), impression("i", clip="clip-17", viewer="ann")]
    log.append_many([block(first), block([impression("j", clip="unregistered", viewer="bob")])])
    log.close()
    return lambda *arguments: CliRunner().invoke(app, arguments)


def events(kind: str) -> int:
    with Lake("lake").connect() as con:
        return int(con.execute("SELECT count(*) FROM events WHERE type = ?", [kind]).fetchall()[0][0])


def test_a_clip_that_nobody_knows_is_not_withdrawn(command: Command) -> None:
    missing = command("withdraw", "clip-71", "--reason", "rights")
    assert isinstance(missing.exception, NotFoundError)
    said = str(missing.exception)
    assert said.startswith("no clip of tenant 'default' has the id 'clip-71'; did you mean `clip-17`?")
    assert events("clip_withdrawn") == 0


def test_another_tenants_clip_is_not_known(command: Command) -> None:
    missing = command("withdraw", "clip-17", "--reason", "rights", "--tenant", "acme")
    assert "no clip of tenant 'acme' has the id 'clip-17'; there is none yet" in str(missing.exception)


@pytest.mark.parametrize("clip", ["clip-17", "unregistered"])
def test_a_clip_that_was_registered_or_shown_is_withdrawn_though_nothing_was_loaded(
    command: Command, clip: str
) -> None:
    done = command("withdraw", clip, "--reason", "rights")
    assert done.exit_code == 0, done.exception
    assert f"{clip}: withdrawn" in done.stdout


def test_a_clip_can_be_withdrawn_before_it_comes(command: Command) -> None:
    assert command("withdraw", "later", "--reason", "rights", "--ahead").exit_code == 0
    log = EmbeddedLog("log")
    log.append_many([block([registered("late", clip="later")])])
    log.close()
    assert command("load", "--once").exit_code == 0
    with Lake("lake").connect() as con:
        assert con.execute("SELECT withdrawn FROM clips WHERE clip_id = 'later'").fetchall() == [(True,)]


def test_a_viewer_of_whom_nothing_is_stored_is_told_with_the_proof_that_it_was_looked_for(command: Command) -> None:
    missing = command("erase", "nobody")
    assert isinstance(missing.exception, NotFoundError)
    said = str(missing.exception)
    assert said.startswith("nothing of this viewer is stored: 'nobody' of tenant 'default'")
    assert "FROM erasures WHERE erasure_id = '" in said
    assert "erase again" in said


def test_a_viewer_is_erased_though_nothing_was_loaded_and_the_order_is_not_counted(command: Command) -> None:
    done = command("erase", "ann")
    assert done.exit_code == 0, done.exception
    assert done.stdout.startswith("erased: 1 of events; ")
    with Lake("lake").connect() as con:
        assert con.execute("SELECT viewer_id FROM events WHERE type = 'impression'").fetchall() == [("bob",)]


def test_the_report_for_machines_is_printed_in_both_cases(command: Command) -> None:
    for viewer, code, rows in (("nobody", 1, 1), ("bob", 0, 2)):
        done = command("erase", viewer, "--format", "json")
        assert done.exit_code == code
        report = json.loads(done.stdout)
        assert (report["rows"]["events"], report["orders"]) == (rows, 1)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("withdraw", "", "--reason", "r"), "clip_id: "),
        (("withdraw", "clip-17", "--reason", ""), "reason: "),
        (("withdraw", "c" * 300, "--reason", "r"), "clip_id: "),
        (("erase", ""), "viewer_id: "),
    ],
)
def test_what_no_event_may_say_is_refused_by_the_name_of_the_option(
    command: Command, arguments: tuple[str, ...], named: str
) -> None:
    refused = command(*arguments)
    assert refused.exit_code != 0
    assert str(refused.exception).startswith(named)
