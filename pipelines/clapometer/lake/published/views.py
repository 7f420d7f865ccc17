"""Views over Parquet files: one per table, and the documented ones of ``sql/views`` built on them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from clapometer.domain import Verdict
from clapometer.lake.delta.durable import UNKNOWN
from clapometer.lake.schema import WATCHING_COLUMNS, WATCHING_SUFFIX, WIDE
from clapometer.lake.specs import SPECS, TABLES
from clapometer.lake.statements import quote, sql

VIEWS = (
    "clips",
    "clip_changes",
    "impressions",
    "watches",
    "reactions",
    "conversions",
    "votes",
    "creator_actions",
    "rankings_current",
)
"""Names of the files in ``sql/views`` that define a view, in the order in which they build on each other."""

_SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    WIDE: "DECIMAL(20,0)",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.date32(): "DATE",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
}


_TODAYS_WORDS = f"WHEN 'winner' THEN '{Verdict.KEEP}' WHEN 'loser' THEN '{Verdict.STOP}'"
"""Rankings of 0.1 said it in other words."""

SHOWN_DATE = "CAST(make_timestamp(epoch_us(shown_at)) AS DATE)"
"""The day (UTC) of an outcome, in SQL that needs no extension of DuckDB."""

OTHER_EVENTS = "other_events"
"""View of the schema ``files``: the rows of ``events`` in files that may have others than what viewers did.

They are few. A query for registrations that reads only these opens few files, and DuckDB knows that it finds few rows:
over all files it takes a fifth of all events for clips, and then joins with them the wrong way round."""


def sources(paths: Mapping[str, Sequence[Path]]) -> dict[str, str]:
    """Returns a query for the rows of each table in its files, and of ``OTHER_EVENTS``."""
    queries = {name: scan(name, listed) for name, listed in paths.items()}
    if "events" in paths:
        wide = [path for path in paths["events"] if not path.name.endswith(WATCHING_SUFFIX)]
        queries[OTHER_EVENTS] = scan("events", wide)
    return queries


def scan(name: str, paths: Sequence[Path]) -> str:
    """Returns a query for the rows of a table in exactly these files; an empty typed one where there are none."""
    schema, _ = TABLES[name]
    groups: dict[tuple[bool, bool], list[Path]] = {}
    for path in paths:
        groups.setdefault((path.name.endswith(WATCHING_SUFFIX), UNKNOWN in path.parent.name), []).append(path)
    queries = [_scan(name, part, *which) for which, part in sorted(groups.items())]
    if not queries:
        columns = ", ".join(_missing(field) for field in schema)
        return f"SELECT {columns} WHERE false"
    return " UNION ALL ".join(queries)


def _scan(name: str, paths: Sequence[Path], lacking: bool, of_many_days: bool) -> str:
    schema, partition_by = TABLES[name]
    present = WATCHING_COLUMNS if lacking else schema.names
    told = {"shown_date": f'{SHOWN_DATE} AS "shown_date"'} if of_many_days else {}
    columns = ", ".join(
        told.get(field.name, _kept(name, field.name)) if field.name in present else _missing(field) for field in schema
    )
    listed = ", ".join(quote(str(path)) for path in paths)
    types = ", ".join(f"{quote(column)}: DATE" for column in partition_by)
    hive = (
        f"hive_partitioning = true, hive_types = {{{types}}}"
        if partition_by and not told
        else "hive_partitioning = false"
    )
    return f"SELECT {columns} FROM read_parquet([{listed}], {hive})"  # noqa: S608 - our own names and quoted paths


def _kept(table: str, column: str) -> str:
    """Returns the expression of a column that files have; see `packing` for what they leave out."""
    if (table, column) == ("events", "id"):
        return 'coalesce("id", "impression_id") AS "id"'
    if TABLES[table][0].field(column).type == WIDE:  # narrower in files of older versions
        return f'"{column}"::{_SQL_TYPES[WIDE]} AS "{column}"'
    if (table, column) == ("rankings", "verdict"):
        return f"""CASE "verdict" {_TODAYS_WORDS} ELSE "verdict" END AS "verdict\""""
    return f'"{column}"'


def _missing(field: pa.Field) -> str:
    return f'NULL::{_SQL_TYPES[field.type]} AS "{field.name}"'


def view_sql(name: str) -> str:
    """Returns the statement that makes one of `VIEWS`."""
    return sql(f"lake/published/sql/views/{name}.sql")


def create_views(connection: duckdb.DuckDBPyConnection, queries: Mapping[str, str]) -> None:
    """Creates a view of each query from `sources`, and the views built on them, in the current schema."""
    connection.execute("CREATE SCHEMA files")
    connection.execute(f'CREATE VIEW files."{OTHER_EVENTS}" AS {queries[OTHER_EVENTS]}')
    for name in TABLES:
        connection.execute(f'CREATE VIEW "{name}" AS {queries[name]}')
        connection.execute(f'COMMENT ON VIEW "{name}" IS {quote(SPECS[name].comment)}')
    for name in VIEWS:
        connection.execute(view_sql(name))
