"""``clapometer sql`` and ``clapometer open``: the published lake in DuckDB, here or in another program."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clapometer.domain import InputError
from clapometer.operation import wiring
from clapometer.settings import Settings, load_settings
from clapometer.terminal.printing import echo

if TYPE_CHECKING:  # imported when a command runs, so that help is quick
    import duckdb

Form = Literal["table", "csv", "json", "parquet", "arrow"]
Tool = Literal["path", "duckdb", "harlequin"]


def sql(
    statement: Annotated[str | None, typer.Argument(help="SQL to run; `-` reads it; a shell if left out.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="The lake as it was: a time (RFC 3339), or the id of a run.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="`table` for people, others for programs.")] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write the answer to.")] = None,
) -> None:
    """Ask the lake in SQL: once, or in a shell with history and completion."""
    from clapometer.operation import sql_output, sql_shell

    settings = load_settings()
    with lake_connection(settings, as_of) as connection:
        if statement is None and sys.stdin.isatty():
            sql_shell.run(connection, wiring.state_folder())
            return
        text = sys.stdin.read() if statement in {None, "-"} else statement
        sql_output.write(connection, str(text), form, output)


def open_lake(
    tool: Annotated[Tool, typer.Option("--with", help="What to start; `path` prints the file's name.")] = "path",
) -> None:
    """Print the name of the file that any DuckDB opens, or start a program on it."""
    path = wiring.existing_published_file(load_settings()).absolute()
    if tool == "path":
        echo(path)
        return
    arguments = {"duckdb": ["duckdb", "-readonly", str(path)], "harlequin": ["harlequin", "-r", str(path)]}[tool]
    _become(arguments, "install it first, or open the file with another DuckDB")


@contextmanager
def lake_connection(settings: Settings, as_of: str | None) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Yields a DuckDB over the lake, as it is or as it was.

    Raises:
        NotFoundError: There is no lake yet.
        InputError: It does not keep that time or run.
    """
    path = wiring.existing_published_file(settings)
    connection = _now(path, settings) if as_of is None else _then(settings, as_of)
    try:
        yield connection
    finally:
        connection.close()


def _now(path: Path, settings: Settings) -> "duckdb.DuckDBPyConnection":
    from clapometer.lake.duck import connect

    return connect(path, read_only=True, threads=settings.threads)


def _then(settings: Settings, as_of: str) -> "duckdb.DuckDBPyConnection":
    from clapometer.lake.history import open_then
    from clapometer.serving import parse_as_of

    then = open_then(
        wiring.open_lake(settings), parse_as_of(as_of) or as_of,
        threads=settings.threads, memory_limit=settings.memory_limit,
    )  # fmt: skip
    if not then.exact:
        echo(
            "The lake no longer keeps its versions of that time: this is what had been received and recorded by then, "
            "less what was erased since.",
            err=True,
        )
    return then.connection


def _become(arguments: list[str], missing: str) -> None:
    """Becomes another program.

    Raises:
        InputError: It is not installed; ``missing`` says what to do.
    """
    if shutil.which(arguments[0]) is None:
        msg = f"there is no program {arguments[0]!r} here; {missing}"
        raise InputError(msg, "with")
    os.execvp(arguments[0], arguments)  # noqa: S606 - what the user asked for
