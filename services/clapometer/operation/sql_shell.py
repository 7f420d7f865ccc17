"""The shell of ``clapometer sql``: history, completion, and how far a long statement is."""

import threading
from pathlib import Path

import duckdb
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import FileHistory
from prompt_toolkit.input import Input
from prompt_toolkit.lexers import PygmentsLexer
from prompt_toolkit.output import Output
from pygments.lexers.sql import SqlLexer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from clapometer.terminal.printing import Console

HELP = """Statements end with a semicolon. .tables lists what there is, .quit or Ctrl-D ends.
The file is a snapshot: start again for newer events."""
POLL_SECONDS = 0.2


def run(
    connection: duckdb.DuckDBPyConnection,
    state: Path,
    *,
    keyboard: Input | None = None,
    screen: Output | None = None,
    console: Console | None = None,
) -> None:
    """Reads statements and shows their answers until the user ends it.

    Args:
        connection: The lake.
        state: Folder of the history.
        keyboard: Where keys come from; the terminal by default.
        screen: Where the prompt is drawn; the terminal by default.
        console: Where answers go; standard output by default.
    """
    console = console or Console()
    state.mkdir(parents=True, exist_ok=True)
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(state / "sql-history")),
        completer=WordCompleter(words(connection), ignore_case=True),
        auto_suggest=AutoSuggestFromHistory(),
        lexer=PygmentsLexer(SqlLexer),
        input=keyboard,
        output=screen,
    )
    console.print(HELP, style="dim")
    pending = ""
    while True:
        try:
            line = session.prompt("      … " if pending else "clap > ")
        except EOFError:
            return
        except KeyboardInterrupt:
            pending = ""
            continue
        if not pending and line.strip() in {".quit", ".exit"}:
            return
        if not pending and line.strip() in {".tables", ".help"}:
            answer(connection, "SHOW TABLES", console) if line.strip() == ".tables" else console.print(HELP)
            continue
        pending = f"{pending}\n{line}".strip()
        if pending.endswith(";"):
            answer(connection, pending, console)
            pending = ""


def words(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Returns what can be completed: keywords, functions, tables and columns."""
    rows = connection.execute(
        "SELECT upper(keyword_name) FROM duckdb_keywords() UNION SELECT table_name FROM duckdb_columns() "
        "WHERE NOT internal UNION SELECT column_name FROM duckdb_columns() WHERE NOT internal "
        "UNION SELECT function_name FROM duckdb_functions() WHERE function_name SIMILAR TO '[a-z_0-9]+'"
    ).fetchall()
    return sorted(word for (word,) in rows)


def answer(connection: duckdb.DuckDBPyConnection, statement: str, console: Console) -> None:
    """Runs a statement, shows how far it is while it takes long, then its answer; Ctrl-C stops it."""
    found: list[str | duckdb.Error] = []

    def work() -> None:
        try:
            relation = connection.sql(statement)
            found.append("" if relation is None else str(relation))
        except duckdb.Error as error:
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    with _progress(console) as bar:
        task = bar.add_task("running", total=100)
        while thread.is_alive():
            try:
                thread.join(POLL_SECONDS)
                bar.update(task, completed=max(0.0, connection.query_progress()))
            except KeyboardInterrupt:
                connection.interrupt()
    for result in found:
        console.print(str(result).rstrip("\n"), markup=False, style="red" if isinstance(result, duckdb.Error) else None)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
