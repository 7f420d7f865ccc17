"""``clapometer doctor``: what is wrong with this installation, and what to do."""

import typer
from rich.table import Table
from rich.text import Text

from clapometer.cli import options
from clapometer.domain import InputError
from clapometer.settings import load_settings
from clapometer.terminal.printing import Console, echo_json

_MARKS = {"ok": Text("ok", "green"), "warning": Text("warning", "yellow"), "error": Text("ERROR", "red bold")}


def doctor(form: options.Format = "table") -> None:
    """Check settings, folders, disk, keys, secrets, event log, lag, lake, training, clock and services.

    Exit codes: 0 nothing is wrong (warnings may be there), 1 something is.
    """
    import msgspec

    from clapometer.operation.check import Check
    from clapometer.operation.checks import examine

    try:
        checks = [Check(part="settings", status="ok", found="all known, all values fit"), *examine(load_settings())]
    except InputError as error:
        checks = [
            Check(part="settings", status="error", found=str(error), advice="`clapometer config` lists all settings")
        ]
    healthy = all(check.status != "error" for check in checks)
    if form == "json":
        echo_json(msgspec.json.format(msgspec.json.encode({"healthy": healthy, "checks": checks}), indent=2))
    else:
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
        for check in checks:
            advice = f"\n→ {check.advice}" if check.advice else ""
            table.add_row(_MARKS[check.status], check.part, Text.assemble(check.found, (advice, "bold")))
        Console().print(table)
    if not healthy:
        raise typer.Exit(1)
