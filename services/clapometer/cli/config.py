"""``clapometer config``: every setting, its value, and where that came from."""

from rich.table import Table

from clapometer.cli import options
from clapometer.settings import Settings, load_settings, origin
from clapometer.terminal.printing import Console, echo_json


def show(
    form: options.Format = "table",
) -> None:
    """Print every setting, its value, and where it came from."""
    settings = load_settings()
    if form == "json":
        echo_json(settings.model_dump_json(indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("setting", "value", "from", "meaning"):
        table.add_column(title, overflow="fold")
    for name, field in Settings.model_fields.items():
        table.add_row(name, str(getattr(settings, name)), origin(name), field.description)
    Console().print(table)
