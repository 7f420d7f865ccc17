"""The files of deploy/ as the tests read them, and the tools that check them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from clapometer.cli.main import app
from clapometer.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "clapometer"
TOOLS = ROOT / ".tools" / "deploy"
ALERTS = CHART / "files" / "alerts.yml"
DASHBOARD = CHART / "files" / "dashboard.json"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def tool(name: str, within: str = ".") -> str:
    """Returns the path of a tool; one that is missing fails the test, for unchecked files are not checked files."""
    found = shutil.which(name, path=f"{TOOLS / within}:/usr/bin:/usr/local/bin:/bin")
    assert found is not None, f"{name} is not there, and without it this is not checked: make deploytools"
    return found


def run(*command: str | Path, **options: Any) -> str:
    """Returns what a command prints; fails with all of it where the command does."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def chart(*options: str) -> str:
    """Returns the manifests that the chart makes."""
    return run(tool("helm"), "template", "release", CHART, "--kube-version", "1.34.0", *options)


def manifests(*options: str) -> list[dict[str, Any]]:
    """Returns the manifests that the chart makes, read."""
    return [each for each in yaml.safe_load_all(chart(*options)) if each]


def refused_settings(text: str) -> set[str]:
    """Returns the variables that a text sets and that no setting reads."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {f"{PREFIX}CONFIG"}
    return set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", text)) - known


def parse(arguments: list[str]) -> None:
    """Fails unless ``clapometer`` takes these arguments; nothing is run."""
    import typer.main

    context = typer.main.get_command(app).make_context("clapometer", list(arguments), resilient_parsing=False)
    while isinstance(context.command, typer.core.TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None, arguments
        context = command.make_context(name, rest, parent=context)
