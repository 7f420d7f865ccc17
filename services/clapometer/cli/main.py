"""The ``clapometer`` command. Each command imports what it needs when it runs, so that help is quick."""

import os
import sys
import traceback
from types import TracebackType

import typer

from clapometer.cli import (
    audit,
    backup,
    config,
    demo,
    doctor,
    export,
    keys,
    label,
    load,
    log,
    rank,
    replay,
    schedule,
    services,
    simulate,
    sql,
    study,
    takedown,
    train,
)
from clapometer.cli.options import Exit, exit_of
from clapometer.domain import ClapometerError
from clapometer.settings import load_settings
from clapometer.terminal.printing import Console, echo

_PRIVATE = 0o077
"""What is written (viewers' ids, keys, backups) only its owner may read."""

app = typer.Typer(
    name="clapometer",
    help="Turns what viewers do with generated clips into preference labels and true rankings.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(rich_help_panel="Run")(services.up)
app.command(rich_help_panel="Run")(services.collect)
app.command(rich_help_panel="Run")(load.load)
app.command(rich_help_panel="Run")(schedule.schedule)
app.command(hidden=True)(schedule.due)
app.command(rich_help_panel="Run")(services.serve)
app.command(rich_help_panel="Rank")(train.train)
app.command(rich_help_panel="Rank")(rank.rank)
app.command(rich_help_panel="Rank")(rank.compare)
app.command(name="sql", rich_help_panel="Ask")(sql.sql)
app.command(name="open", rich_help_panel="Ask")(sql.open_lake)
app.add_typer(export.app, name="export", rich_help_panel="Rank")
app.add_typer(label.app, name="label", rich_help_panel="Rank")
app.command(rich_help_panel="Take down")(takedown.withdraw)
app.command(rich_help_panel="Take down")(takedown.erase)
app.command(rich_help_panel="Try")(demo.demo)
app.command(rich_help_panel="Try")(simulate.simulate)
app.command(rich_help_panel="Try")(replay.replay)
app.command(rich_help_panel="Prove")(study.study)
app.command(rich_help_panel="Prove")(audit.audit)
app.command(rich_help_panel="Keep")(doctor.doctor)
app.command(rich_help_panel="Keep")(backup.backup)
app.command(rich_help_panel="Keep")(backup.restore)
app.command(rich_help_panel="Keep")(backup.checksum)
app.add_typer(log.app, name="log", rich_help_panel="Set up")
app.add_typer(keys.app, name="keys", rich_help_panel="Set up")
app.command(name="config", rich_help_panel="Set up")(config.show)


def main() -> None:
    """Runs the command line; an error that a user can mend is one line on standard error.

    Exit codes are those of ``options.Exit``.
    """
    os.umask(_PRIVATE)
    sys.excepthook = _show_bug
    try:
        app()
    except ClapometerError as error:
        Console(stderr=True).print(f"error: {error}")
        sys.exit(exit_of(error))
    except Exception:
        said = _damage()
        if not said:
            raise
        Console(stderr=True).print(f"error: {said}")
        sys.exit(Exit.FAULT)


def _damage() -> str:
    """Returns which files are damaged, where that may be why a library failed."""
    from clapometer.operation.damage import damage_behind

    try:
        return damage_behind(load_settings())
    except ClapometerError:
        return ""


def _show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Shows the traceback of what should not happen, without obeying what a name in it says."""
    echo("".join(traceback.format_exception(kind, error, trace)), nl=False, err=True)


if __name__ == "__main__":
    main()
