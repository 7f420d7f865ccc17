"""``clapometer config``: every setting, its value, and where that came from."""

from typing import Annotated

import typer
from rich.table import Table

from clapometer.settings import Settings, load_settings, origin
from clapometer.terminal.printing import Console, echo_json


def show(
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Print every setting, its value, and where it came from."""
    settings = load_settings()
    if json:
        echo_json(settings.model_dump_json(indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("setting", "value", "from", "meaning"):
        table.add_column(title, overflow="fold")
    for name, field in Settings.model_fields.items():
        table.add_row(name, str(getattr(settings, name)), origin(name), field.description)
    Console().print(table)
