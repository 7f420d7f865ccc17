"""Writes docs/reference/commands.md and settings.md: ``python scripts/command_reference.py``."""

from pathlib import Path
from typing import Any

import typer

from clapometer.cli.main import app
from clapometer.cli.options import EXITS
from clapometer.settings import PREFIX, Settings

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
COMMANDS_HEAD = """\
# Commands

Generated from the command line itself by `scripts/command_reference.py`; do not edit. `clapometer COMMAND -h` prints
the same.

What a command is about is an argument, how it does it is an option. `--tenant` says whose data is meant;
`--format json` prints for programs what a command prints. Exit codes:

"""
SETTINGS_HEAD = f"""\
# Settings

Generated from `services/clapometer/settings.py` by `scripts/command_reference.py`; do not edit.

A setting is read from `clapometer.toml` in the working folder (or the file that `CLAPOMETER_CONFIG` names), and from
the environment as `{PREFIX}` and its name in capitals, which wins. Unknown names are refused. `clapometer config`
prints every value and where it came from.

| setting | default | meaning |
| --- | --- | --- |
"""


def commands(group: Any, path: str) -> list[tuple[str, Any]]:
    """Returns every command below a group with its full name."""
    found = []
    for name in sorted(group.commands):
        command = group.commands[name]
        full = f"{path} {name}"
        if command.hidden:
            continue
        found += commands(command, full) if hasattr(command, "commands") else [(full, command)]
    return found


def option_row(parameter: Any) -> str:
    """Returns the table row of one argument or option."""
    names = f"`{parameter.name.upper()}`" if parameter.param_type_name == "argument" else ", ".join(
        f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts]
    )  # fmt: skip
    default = "" if parameter.default is None or callable(parameter.default) else f"`{parameter.default}`"
    needed = "needed" if parameter.required else default
    return f"| {names} | {needed} | {(parameter.help or '').replace('|', '/')} |"


def command_reference() -> str:
    """Returns the page of all commands."""
    parts = [COMMANDS_HEAD, *(f"- {code.value}: {text}\n" for code, text in EXITS.items())]
    for name, command in commands(typer.main.get_command(app), "clapometer"):
        rows = [
            option_row(each) for each in command.params if each.name != "help" and not getattr(each, "hidden", False)
        ]
        parts.append(f"\n## `{name}`\n\n{(command.help or '').strip()}\n")
        if rows:
            parts.append("\n| option | default | meaning |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n")
    return "".join(parts)


def settings_reference() -> str:
    """Returns the page of all settings."""
    rows = [
        f"| `{name}` | {'' if field.default is None else f'`{field.default}`'} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return SETTINGS_HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "commands.md").write_text(command_reference())
    (FOLDER / "settings.md").write_text(settings_reference())
