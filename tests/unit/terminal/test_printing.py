"""What others wrote reaches no terminal raw: not through a console, not through any command."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text
from tests.support.event_rows import answer, at, clip, events_table, impression
from tests.support.terminal_texts import ANY_TEXT, obeyed

from clapometer.cli.main import app
from clapometer.gate import new_key, save_keys
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.operation import wiring
from clapometer.terminal.printing import Console
from clapometer.training.train import train_once

EVIL = "\x1b[2J\x9b31m\x1b]0;owned\x07\u202etxet\u2066[red]n[/x] :boom: \x7f\rover\x08"


@given(ANY_TEXT)
def test_a_console_prints_any_text_as_text(text: str) -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=4_000)
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    table.add_row(Text(text))
    for shown in (text, Text(text), Text.assemble("name: ", (text, "bold")), table):
        screen.print(shown)
    assert obeyed(screen.file.getvalue()) == set()  # type: ignore[attr-defined]


@given(st.text("[]/ab:=@#1 ", max_size=20))
def test_markup_and_emoji_codes_in_a_name_are_a_part_of_the_name(text: str) -> None:
    screen = Console(file=io.StringIO(), width=4_000)
    screen.print(f"<{text}>", soft_wrap=True)
    assert screen.file.getvalue() == f"<{text}>\n"  # type: ignore[attr-defined]


COMMANDS = {
    "rank": [["rank"], ["rank", "prompts"], ["rank", "--format", "csv"], ["rank", "--format", "json"]],
    "compare": [
        ["compare", f"{EVIL}@1", "m2@1"],
        ["compare", f"{EVIL}@1", "m2@1", "--format", "json"],
        ["compare", EVIL, EVIL],
    ],
    "sql": [
        *(
            ["sql", 'FROM clips SELECT *, model_name AS "\x1b[5m"', "--format", form]
            for form in ("table", "csv", "json")
        ),
        ["sql", "SELECT error(min(model_name)) FROM clips"],
        ["sql", EVIL],
    ],
    "audit": [["audit"], ["audit", "--format", "json"]],
    "doctor": [["doctor"], ["doctor", "--format", "json"]],
    "keys": [["keys", "list"], ["keys", "revoke", EVIL], ["keys", "rotate", EVIL]],
    "config": [["config"], ["config", "--format", "json"]],
    "label": [["label", "show"], ["label", "fit", "--anchor", "votes", "--out", EVIL]],
    "export": [
        ["export", "trl-preference", "--out", EVIL],
        ["export", "trl-preference", "--out", "exported", "--run", EVIL],
        ["export", "trl-unpaired", "--out", "exported", "--tenant", EVIL],
        ["export", "diff", EVIL, "."],
    ],
    "withdraw": [["withdraw", EVIL, "--reason", EVIL], ["withdraw", f"c{EVIL}", "--reason", "r", "--format", "json"]],
    "erase": [["erase", EVIL]],
    "replay": [["replay", "evil.csv", "--key", EVIL, "--url", "http://127.0.0.1:9"], ["replay", EVIL, "--key", "k"]],
    "simulate": [["simulate", "--without", EVIL, "--key", "k"]],
    "train": [["train", "--no-wait"], ["train", "--run", EVIL]],
    "open": [["open"]],
    "backup": [["backup", EVIL]],
    "restore": [["restore", EVIL]],
    "checksum": [["checksum"]],
    "log": [["log", "init"]],
    "study": [["study", "--scenario", EVIL]],
}
"""Every command with what it prints of others; those that run for long print through the same console and log."""
SERVICES = {"up", "collect", "load", "schedule", "due", "serve", "demo"}


def test_every_command_is_tried() -> None:
    group = typer.main.get_command(app)
    assert {*COMMANDS, *SERVICES} == set(group.commands)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake, keys and a file whose every name is hostile."""
    root = tmp_path_factory.mktemp("evil")
    lake = Lake(root / "lake")
    named = {"audience": EVIL, "surface": EVIL, "experiment": json.dumps([{"id": EVIL, "variant": EVIL}])}
    lake.append(
        "events",
        events_table(
            [
                *(clip(f"c{model}", f"p{EVIL}", model, template_id=EVIL) for model in (EVIL, "m2")),
                *(impression(f"i{n}", f"c{EVIL if n % 2 else 'm2'}", at(n), viewer_id=f"{EVIL}{n}", **named)
                  for n in range(60)),
                *(answer("reacted", f"i{n}", f"r{n}", at(n + 1), reaction="like") for n in range(0, 60, 3)),
            ]
        ),
    )  # fmt: skip
    train_once(lake, clock=wiring.utc_now)
    publish(lake)
    _, key = new_key("secret", now=wiring.utc_now(), tenant=f"t{EVIL}"[:90], name=EVIL)
    save_keys(root / "keys.json", (key,))
    (root / "clapometer.toml").write_text('keys_file = "keys.json"\n')
    (root / "evil.csv").write_text(
        f"type,id,time,impression_id,reaction\nreacted,a,{EVIL!r},i,{EVIL.strip()[:9]}\n", newline=""
    )
    return root


PROGRAM = """
import json, sys
from clapometer.cli.main import main
for arguments in json.load(open("commands.json")):
    sys.argv = ["clapometer", *arguments]
    print("RUN", json.dumps(arguments), flush=True)
    try:
        main()
    except SystemExit as ended:
        print("ENDED", ended.code, flush=True)
"""


def on_a_terminal(folder: Path, commands: list[list[str]]) -> str:
    """Runs commands, one after the other, and returns all that the terminal was sent."""
    (folder / "commands.json").write_text(json.dumps(commands))
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal, cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TERM": "dumb", "COLUMNS": "200"},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    with process:
        while True:
            try:
                piece = os.read(master, 65_536)
            except OSError:  # how Linux says that the other side is closed
                break
            if not piece:
                break
            shown += piece
    os.close(master)
    return shown.decode().replace("\r\n", "\n")


def test_no_command_lets_a_name_reach_the_terminal_raw(folder: Path) -> None:
    every = [arguments for group in COMMANDS.values() for arguments in group]
    shown = on_a_terminal(folder, every)
    for part in shown.split("RUN ")[1:]:
        assert obeyed(part) == set(), part
        assert "Traceback" not in part, part
    assert shown.count("RUN ") == shown.count("ENDED ") == len(every)
    assert "\\x1b[2J" in shown
    assert "[red]n[/x] :boom:" in shown


def test_a_file_or_pipe_gets_the_bytes_as_they_are(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "clapometer.cli.main", "sql", "SELECT min(model_name) FROM clips", "--format", "csv"],
        cwd=folder, capture_output=True, check=True, env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    assert EVIL[:20].encode() in done.stdout
