"""Every command speaks alike: forms, tenants, what is an argument, and how it ends."""

from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from tests.unit.serving.sample_lake import full_lake

from clapometer.cli.main import app, main


def commands(group: Any, *path: str) -> dict[tuple[str, ...], Any]:
    """Returns every command below a group by the words that call it."""
    found: dict[tuple[str, ...], Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, *path, name)
        else:
            found[*path, name] = command
    return found


COMMANDS = commands(typer.main.get_command(app))
SILENT = {("up",), ("collect",), ("load",), ("schedule",), ("due",), ("serve",), ("demo",), ("open",)}
"""Services, whose log says what they do; the demo, which is a show; and what starts another program."""
NEEDED = {
    ("withdraw",): ["reason"],
    ("label", "fit"): ["anchor", "out"],
    ("keys", "new"): ["kind"],
    ("export", "trl-preference"): ["out"],
    ("export", "trl-unpaired"): ["out"],
}
"""Options that have no default: neither names what the command is about."""


def options(command: Any) -> dict[str, Any]:
    return {name: each for each in command.params for name in each.opts if each.param_type_name == "option"}


def called(words: tuple[str, ...]) -> str:
    return " ".join(words)


@pytest.mark.parametrize("words", COMMANDS, ids=called)
def test_what_a_command_prints_it_prints_for_programs_too(words: tuple[str, ...]) -> None:
    form = options(COMMANDS[words]).get("--format")
    if words in SILENT:
        assert form is None
        return
    assert form is not None, "it prints, and has no --format"
    assert form.default == "table"
    assert {"table", "json"} <= set(get_args(form.type_descriptor.annotation))


@pytest.mark.parametrize("words", COMMANDS, ids=called)
def test_no_command_has_a_spelling_of_its_own(words: tuple[str, ...]) -> None:
    known = options(COMMANDS[words])
    assert not {"--json", "--quiet", "--once"} & set(known) or words == ("load",)
    if tenant := known.get("--tenant"):
        assert tenant.help.startswith("Whose data: the name of a tenant")
        assert tenant.default == (None if words == ("train",) else "default")
    assert [each.name for each in known.values() if each.required] == NEEDED.get(words, [])


def ended(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["clapometer", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    return int(end.value.code or 0)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing has been done yet."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


NOTHING_THERE = {
    ("rank",): [],
    ("compare",): ["a@1", "b@1"],
    ("sql",): ["SELECT 1"],
    ("open",): [],
    ("audit",): [],
    ("train",): [],
    ("label", "fit"): ["--anchor", "votes", "--out", "rule.toml"],
    ("export", "trl-preference"): ["--out", "labels"],
    ("export", "trl-unpaired"): ["--out", "labels"],
    ("backup",): ["backups"],
    ("checksum",): [],
    ("withdraw",): ["nosuch", "--reason", "rights"],
    ("erase",): ["nobody"],
    ("keys", "rotate"): ["nosuch"],
    ("keys", "edit"): ["nosuch", "--name", "x"],
    ("keys", "revoke"): ["nosuch"],
}
DONE = {
    ("label", "show"): [],
    ("keys", "new"): ["--kind", "secret"],
    ("keys", "list"): [],
    ("keys", "rotate-tokens"): [],
    ("config",): [],
}
FAULT = {("doctor",): []}
"""Nothing runs in an empty folder, and the doctor says so."""
WITH_A_SERVER: dict[tuple[str, ...], str] = {
    **dict.fromkeys(SILENT - {("open",)}, "waits for events"),
    ("simulate",): "sends",
    ("replay",): "sends",
    ("study",): "takes hours",
    ("export", "diff"): "its input are exports",
    ("restore",): "its input is a backup",
    ("log", "init"): "needs Kafka",
    ("log", "copy"): "needs Kafka",
    ("keys", "retire-token"): "needs a secret that no longer signs",
}


def test_every_command_has_its_row_in_the_table_of_ends() -> None:
    rows = [*NOTHING_THERE, *DONE, *FAULT, *WITH_A_SERVER]
    assert sorted(rows) == sorted(COMMANDS)


@pytest.mark.parametrize("words", NOTHING_THERE, ids=called)
def test_3_means_that_nothing_is_there_yet(empty: Path, capsys: Any, words: tuple[str, ...]) -> None:
    assert ended(*words, *NOTHING_THERE[words]) == 3
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("words", DONE, ids=called)
def test_0_means_done(empty: Path, capsys: Any, words: tuple[str, ...]) -> None:
    assert ended(*words, *DONE[words]) == 0
    assert ended(*words, *DONE[words], "--format", "json") == 0
    assert capsys.readouterr().out


def test_1_means_a_fault(empty: Path) -> None:
    assert [ended(*words, *arguments) for words, arguments in FAULT.items()] == [1]


@pytest.mark.parametrize("words", COMMANDS, ids=called)
def test_2_means_that_the_command_line_is_wrong(empty: Path, words: tuple[str, ...]) -> None:
    assert ended(*words, "--no-such-option") == 2


def test_a_release_script_waits_while_there_is_no_ranking(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = ("compare", "kite@3.1", "aurora@2", "--require", "better")
    assert ended(*question) == 3
    full_lake(empty / "lake")
    monkeypatch.setenv("CLAPOMETER_LAKE", str(empty / "lake"))
    assert ended(*question) == 0
    assert ended(*question, "--tenant", "nobody") == 2
