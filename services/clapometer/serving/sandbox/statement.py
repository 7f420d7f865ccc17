"""What may be asked: one SELECT or EXPLAIN over the tenant's views, as DuckDB's own parser reads it."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from clapometer.domain import InputError
from clapometer.serving.sandbox.functions import ALLOWED

Tree = dict[str, Any]

TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_NAME = re.compile(r"[a-z_]\w*")
_RESERVED = ("duckdb_", "pg_", "sqlite_", "pragma_", "information_schema")
_EXPLAIN = re.compile(r"\s*explain(\s+analyze)?\s+(.*)", re.IGNORECASE | re.DOTALL)


class StatementError(InputError):
    """The statement is not one that may be run."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, "sql")


@dataclass(frozen=True)
class Statement:
    """A statement that may be run.

    Attributes:
        tree: What DuckDB's parser makes of the query.
        prefix: ``EXPLAIN``, before the query; or empty.
    """

    tree: Tree
    prefix: str = ""

    def sql(self, connection: duckdb.DuckDBPyConnection) -> str:
        """Returns the text to run: written anew from the tree, so that what was checked is what runs."""
        (text,) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(self.tree)]).fetchall()[0]
        return f"{self.prefix} {text}".strip()


def check(
    connection: duckdb.DuckDBPyConnection,
    text: str,
    tables: Collection[str],
    table_functions: Collection[str] = (),
    macros: Collection[str] = (),
) -> Statement:
    """Returns the one statement in ``text``.

    Args:
        connection: Any; only its parser is used.
        text: SQL.
        tables: Names of the views that may be read.
        table_functions: Names of our own table functions (macros).
        macros: Names of our own functions (macros of expressions).

    Raises:
        StatementError: It is no single SELECT or EXPLAIN, or names something else than these.
    """
    statement = _parse(connection, text)
    names = {name.lower() for name in tables}
    sources = TABLE_FUNCTIONS | {name.lower() for name in table_functions}
    functions = ALLOWED | sources | {name.lower() for name in macros}
    named = {cte.lower() for cte in _common_tables(statement.tree)}
    for tree in trees(statement.tree):
        _check_tree(tree, names | named, sources, functions)
    return statement


def _parse(connection: duckdb.DuckDBPyConnection, text: str) -> Statement:
    try:
        statements = connection.extract_statements(text)
    except duckdb.Error as error:
        raise StatementError(str(error)) from error
    if len(statements) != 1:
        msg = f"send one statement, not {len(statements)}"
        raise StatementError(msg)
    query, prefix = statements[0].query, ""
    if statements[0].type == duckdb.StatementType.EXPLAIN and (found := _EXPLAIN.fullmatch(query)):
        if found[1]:
            msg = "EXPLAIN ANALYZE counts the rows of all tenants, and names files; use EXPLAIN, or the published file"
            raise StatementError(msg)
        query, prefix = found[2], "EXPLAIN"
    (serialised,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0]
    tree = json.loads(serialised)
    if tree["error"] or len(tree["statements"]) != 1:
        kind = statements[0].type.name
        msg = f"only SELECT, DESCRIBE, SUMMARIZE and EXPLAIN of a SELECT can be run here; this is {kind}"
        raise StatementError(msg)
    return Statement(tree, prefix)


def trees(tree: object) -> Iterator[Tree]:
    """Yields every object in a parse tree, outer ones first."""
    if isinstance(tree, dict):
        yield tree
        for part in tree.values():
            yield from trees(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from trees(part)


def _common_tables(tree: Tree) -> Iterator[str]:
    """Yields the names of common table expressions.

    Raises:
        StatementError: One has the name of a system table or file, which it would let in elsewhere.
    """
    for part in trees(tree):
        for entry in part.get("map", []) if "map" in part else []:
            name = str(entry["key"])
            if not _NAME.fullmatch(name.lower()) or name.lower().startswith(_RESERVED):
                msg = f"give the WITH query {name!r} a plain name: letters, digits and underscores"
                raise StatementError(msg)
            yield name


def _check_tree(tree: Tree, tables: Collection[str], sources: Collection[str], functions: Collection[str]) -> None:
    kind = str(tree.get("type", ""))
    if kind.endswith("_NODE") and kind not in NODES:
        msg = f"only reading is possible here, no {kind.removesuffix('_NODE').replace('_', ' ')}"
        raise StatementError(msg)
    if kind == "BASE_TABLE":
        _check_name(tree, str(tree["table_name"]), tables, "table")
    elif kind == "SHOW_REF" and tree.get("query") is None and str(tree["table_name"]).strip('"') != "tables":
        msg = "of SHOW, only SHOW TABLES can be run here; DESCRIBE shows the columns of a table"
        raise StatementError(msg)
    elif kind == "TABLE_FUNCTION":
        _check_name(tree["function"], str(tree["function"]["function_name"]), sources, "table function")
    elif tree.get("function_name") is not None:
        name = str(tree["function_name"]).lower()
        if _qualified(tree) or tree.get("export_state") or name not in functions:
            msg = f"the function {name} cannot be used here"
            raise StatementError(msg)


def _check_name(tree: Mapping[str, Any], name: str, known: Collection[str], what: str) -> None:
    if _qualified(tree) or name.lower() not in known:
        msg = f"there is no {what} {name!r} here; there are {', '.join(sorted(known))}"
        raise StatementError(msg)


def _qualified(tree: Mapping[str, Any]) -> bool:
    return any(tree.get(key) for key in ("catalog_name", "schema_name", "catalog", "schema"))
