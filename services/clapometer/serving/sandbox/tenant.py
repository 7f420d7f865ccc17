"""A DuckDB that holds nothing but one tenant's rows of the published lake, and cannot reach anything else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from clapometer.lake.duck import connect
from clapometer.lake.published.catalogue import ANALYST_VIEWS, MACROS, analyst_sql
from clapometer.lake.statements import quote
from clapometer.serving.sandbox.job import Job

CATALOGUE = "catalogue"
"""Our own table that lists what may be read."""
UNCOUNTED = frozenset({
    "creative_board", "daily_metrics", "funnel", "main_currencies", "model_versions", "orders", "prompts", "screened",
    "templates", "watch_quantiles",
})  # fmt: skip
"""What tells of viewers without an id of theirs in a column, or with an approximate number of viewers for many numbers,
of which each may be of fewer; not for a minimum of viewers."""


@dataclass(frozen=True)
class TenantView:
    """An open database.

    Attributes:
        connection: With a view of the tenant's rows for every published table and view.
        columns: Columns by view, with their types.
        table_functions: Names of the published table macros.
        macros: Names of the published macros of expressions.
    """

    connection: duckdb.DuckDBPyConnection
    columns: Mapping[str, Mapping[str, str]]
    table_functions: frozenset[str]
    macros: frozenset[str]


@contextmanager
def open_tenant(job: Job) -> Iterator[TenantView]:
    """Opens the published file for one tenant, with all of the job's limits.

    Raises:
        duckdb.Error: The file cannot be read.
    """
    connection = connect(
        threads=job.threads,
        memory_limit=f"{job.memory >> 20}MiB",
        temp_directory=job.spill,
        max_temp_directory_size=f"{job.spill_bytes >> 20}MiB",
        python_enable_replacements=False,
        preserve_insertion_order=False,
    )
    try:
        connection.execute("SET explain_output = 'all'")
        connection.execute(f"ATTACH {quote(job.published)} AS published (READ_ONLY)")
        columns = _create_views(connection, job)
        kinds = _create_macros(connection, scalar_only=job.min_viewers > 1)
        folder = str(Path(job.published).parent.resolve())
        connection.execute(f"SET allowed_directories = [{quote(folder + '/')}]")
        if job.min_viewers > 1:  # else an error tells whether a row has more than one match
            connection.execute("SET scalar_subquery_error_on_multiple_rows = false")
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        yield TenantView(connection, columns, _of_kind(kinds, "table_macro"), _of_kind(kinds, "macro"))
    finally:
        connection.close()


def _create_views(connection: duckdb.DuckDBPyConnection, job: Job) -> dict[str, dict[str, str]]:
    """Creates a view of the tenant's rows of each published view that has a tenant; returns their columns."""
    listed = connection.execute(
        "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE database_name = 'published' "
        "AND schema_name = 'main' AND NOT internal ORDER BY table_name, column_index"
    ).fetchall()
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind, _ in listed:
        columns.setdefault(table, {})[column] = kind
    readable = {table: names for table, names in columns.items() if "tenant" in names}
    if job.min_viewers > 1:
        readable = {table: names for table, names in readable.items() if table not in UNCOUNTED}
    for table, names in readable.items():
        condition = f"tenant = {quote(job.tenant)}"
        if job.min_viewers > 1 and "viewers" in names:
            condition += f" AND coalesce(viewers >= {job.min_viewers}, true)"
        connection.execute(f"CREATE VIEW {_name(table)} AS SELECT * FROM published.{_name(table)} WHERE {condition}")  # noqa: S608
    connection.execute(f"CREATE TABLE {CATALOGUE} (table_name TEXT, column_name TEXT, data_type TEXT, comment TEXT)")
    connection.executemany(
        f"INSERT INTO {CATALOGUE} VALUES (?, ?, ?, ?)",  # noqa: S608 - our own name
        [row for row in listed if row[0] in readable] or [(None,) * 4],
    )
    return readable | {CATALOGUE: dict.fromkeys(("table_name", "column_name", "data_type", "comment"), "VARCHAR")}


def _create_macros(connection: duckdb.DuckDBPyConnection, *, scalar_only: bool) -> dict[str, str]:
    """Creates the published macros anew, so that the tables in them are the tenant's; returns their kinds."""
    listed = connection.execute(
        "SELECT DISTINCT function_name, function_type FROM duckdb_functions() "
        "WHERE database_name = 'published' AND NOT internal ORDER BY ALL"
    ).fetchall()
    kinds = {name: kind for name, kind in listed if not (scalar_only and kind == "table_macro")}
    for name in (*MACROS, *ANALYST_VIEWS):  # each after what it needs
        if name in kinds:
            connection.execute(analyst_sql(name))
    return {name: kind for name, kind in kinds.items() if name in {*MACROS, *ANALYST_VIEWS}}


def _of_kind(kinds: Mapping[str, str], wanted: str) -> frozenset[str]:
    return frozenset(name for name, kind in kinds.items() if kind == wanted)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
