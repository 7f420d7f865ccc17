"""What an aggregate says is of enough viewers: aggregates skip NULL, so a group of many may have the value of one.

Each aggregate becomes ``CASE WHEN count(DISTINCT viewer_id) FILTER (WHERE column IS NOT NULL) >= k THEN … END``, for
each table with viewers that is read: below that it is NULL, wherever it stands, so that neither an answer nor an error
can be about fewer.
"""

import copy
import json
from collections.abc import Iterable

import duckdb

from clapometer.serving.sandbox.statement import Tree, trees

EXACT = {"approx_count_distinct": "count"}
"""Aggregates that are run as another, with DISTINCT: an approximate number tells more of one viewer than it may."""


def name_columns(connection: duckdb.DuckDBPyConnection, tree: Tree) -> None:
    """Gives every column of a SELECT that has no name the one that it has as it was written."""
    for select in list(trees(tree)):
        if select.get("type") != "SELECT_NODE":
            continue
        for item in select["select_list"]:
            if not item["alias"] and item["class"] not in {"COLUMN_REF", "STAR", "CONSTANT", "SUBQUERY"}:
                item["alias"] = written(connection, item)


def written(connection: duckdb.DuckDBPyConnection, expression: Tree) -> str:
    """Returns an expression as SQL."""
    statement = parsed(connection, "SELECT 0")
    statement["statements"][0]["node"]["select_list"] = [expression]
    (text,) = connection.execute("SELECT json_deserialize_sql(?::JSON)", [json.dumps(statement)]).fetchall()[0]
    return str(text).removeprefix("SELECT ")


def parsed(connection: duckdb.DuckDBPyConnection, text: str) -> Tree:
    """Returns the parse tree of a statement of ours."""
    (serialised,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchall()[0]
    tree: Tree = json.loads(serialised)
    return tree


def support(connection: duckdb.DuckDBPyConnection, fold: Tree, tables: Iterable[str], viewers: int) -> None:
    """Makes an aggregate NULL where fewer than ``viewers`` viewers of a table have a value of it."""
    if fold["function_name"].lower() in EXACT:
        fold |= {"function_name": EXACT[fold["function_name"].lower()], "distinct": True}
    enough = " AND ".join(
        f"count(DISTINCT {quoted(table)}.viewer_id) FILTER (WHERE 0 IS NOT NULL) >= {viewers}" for table in tables
    )
    case = parsed(connection, f"SELECT CASE WHEN {enough} THEN 0 END")["statements"][0]["node"]["select_list"][0]
    for part in list(trees(case)):
        if part.get("type") == "OPERATOR_IS_NOT_NULL" and fold["arguments"]:
            part["children"] = [copy.deepcopy(fold["arguments"][0]["expression"])]
    (check,) = case["case_checks"]
    check["then_expr"] = {**fold, "alias": ""}
    alias = fold["alias"]
    fold.clear()
    fold.update(case | {"alias": alias})


def quoted(name: str) -> str:
    """Returns a name as SQL."""
    return '"' + name.replace('"', '""') + '"'
