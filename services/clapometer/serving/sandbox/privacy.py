"""Minimum viewers per cell: what is read of viewers is aggregated, and small groups do not appear.

Every SELECT that reads a table with viewers must aggregate, and gets ``HAVING count(DISTINCT viewer_id) >= k``.
Aggregates that repeat a single row's value are refused, and so is any use of an identifier but counting it. That
hides viewers from a reader of answers; it is no defence against somebody who subtracts many answers from each other.

References:
    Statistical disclosure control: threshold rule; Hundepool et al. (2012), Statistical Disclosure Control, 3.2.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import duckdb

from clapometer.serving.sandbox.statement import Statement, StatementError, Tree, trees

IDENTIFIERS = frozenset({
    "viewer_id", "impression_id", "session_id", "slate_id", "order_id", "left_impression_id", "right_impression_id",
    "event_key", "payload_hash", "raw",
})  # fmt: skip
AGGREGATES = frozenset({
    "count", "count_star", "count_if", "sum", "avg", "mean", "stddev", "stddev_pop", "stddev_samp", "variance",
    "var_pop", "var_samp", "corr", "covar_pop", "covar_samp", "regr_slope", "regr_intercept", "median", "quantile",
    "quantile_cont", "quantile_disc", "approx_quantile", "approx_count_distinct",
})  # fmt: skip
"""Aggregates that say something of a group, not of one of its rows."""
_COUNTS = frozenset({"count", "approx_count_distinct"})
_SIDES = ("left", "right")


def protect(
    connection: duckdb.DuckDBPyConnection, statement: Statement, columns: Mapping[str, Collection[str]], viewers: int
) -> Statement:
    """Returns the statement with groups of fewer than ``viewers`` viewers left out.

    Args:
        connection: Any; only its parser is used.
        statement: A statement that may be run.
        columns: Columns of each table.
        viewers: Least viewers of a cell.

    Raises:
        StatementError: It reads single rows of viewers.
    """
    if statement.prefix == "EXPLAIN ANALYZE":
        msg = "EXPLAIN ANALYZE counts rows before small groups are left out; use EXPLAIN"
        raise StatementError(msg)
    known = {name.lower(): frozenset(names) for name, names in columns.items()}
    personal = {name for name, names in known.items() if names & IDENTIFIERS}
    listed = connection.execute("SELECT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'")
    aggregates = frozenset(name for (name,) in listed.fetchall())
    tree = json.loads(json.dumps(statement.tree))
    for part in trees(tree):
        if part.get("type") == "SHOW_REF" and part.get("show_type") == "SUMMARY":
            msg = "SUMMARIZE shows single values, and answers here are about groups of viewers"
            raise StatementError(msg)
        if part.get("type") == "SELECT_NODE" and part.get("from_table"):
            read = [table for table in _tables(part["from_table"]) if _name(table) in personal]
            if read:
                counted = _check_select(part, read, known, aggregates, viewers)
                _leave_out(connection, part, counted, viewers)
    return replace(statement, tree=tree)


def _check_select(
    select: Tree, read: list[Tree], known: Mapping[str, frozenset[str]], aggregates: frozenset[str], viewers: int
) -> str:
    """Returns the name of the table whose viewers are to be counted.

    Raises:
        StatementError: The SELECT shows more than groups.
    """
    counted = next((table for table in read if "viewer_id" in known[_name(table)]), None)
    if counted is None:
        msg = f"{_name(read[0])} has single rows of viewers; join it to outcomes or impressions and aggregate"
        raise StatementError(msg)
    if any(table.get("column_name_alias") for table in read):
        msg = f"{_name(read[0])} cannot be read under other names for its columns here"
        raise StatementError(msg)
    conditions = _conditions(select["from_table"])
    own = [part for key, value in select.items() if key != "from_table" for part in _expressions(value)]
    used = {str(part["function_name"]).lower() for part in own if part.get("class") == "FUNCTION"} & aggregates
    grouped = select["group_expressions"] or select["aggregate_handling"] == "FORCE_AGGREGATES"  # GROUP BY ALL
    if not used and not grouped:
        msg = f"answers here are about groups of at least {viewers} viewers: use count, sum or avg, and GROUP BY"
        raise StatementError(msg)
    if single := used - AGGREGATES:
        msg = f"{min(single)} can repeat the value of one viewer; use {', '.join(sorted(AGGREGATES))}"
        raise StatementError(msg)
    aliases = {str(table["alias"] or table["table_name"]).lower() for table in read}
    _check_columns([*own, *(part for condition in conditions for part in _expressions(condition))], aliases)
    return str(counted["alias"] or counted["table_name"])


def _check_columns(expressions: list[Tree], aliases: Collection[str]) -> None:
    """Refuses identifiers except as what is counted, or as the equal sides of a join; and whole rows."""
    allowed: set[int] = set()
    for part in expressions:
        if part.get("class") == "FUNCTION" and str(part["function_name"]).lower() in _COUNTS:
            allowed |= {id(inner) for inner in trees(part["arguments"]) if inner.get("class") == "COLUMN_REF"}
        if part.get("type") == "COMPARE_EQUAL" and all(part[side]["class"] == "COLUMN_REF" for side in _SIDES):
            allowed |= {id(part[side]) for side in _SIDES}
    for part in expressions:
        names = [str(name).lower() for name in part.get("column_names", [])]
        if part.get("class") == "COLUMN_REF" and IDENTIFIERS & set(names) and id(part) not in allowed:
            msg = f"{names[-1]} tells viewers apart; it can only be counted, or join two tables"
            raise StatementError(msg)
        if part.get("class") in {"STAR", "POSITIONAL_REFERENCE"} or (len(names) == 1 and names[0] in aliases):
            msg = "whole rows cannot be used; name the columns that are to be counted or added up"
            raise StatementError(msg)


def _leave_out(connection: duckdb.DuckDBPyConnection, select: Tree, alias: str, viewers: int) -> None:
    """Makes a SELECT leave out groups with fewer viewers."""
    quoted = alias.replace('"', '""')
    least = _having(connection, f'count(DISTINCT "{quoted}".viewer_id) >= {viewers}')
    if select["having"] is not None:
        least = _having(connection, "a AND b") | {"children": [select["having"], least]}
    select["having"] = least


def _expressions(tree: object) -> Iterator[Tree]:
    """Yields the objects of an expression, but not those of a query inside it, which is a SELECT of its own."""
    if isinstance(tree, dict):
        if str(tree.get("type", "")).endswith("_NODE"):
            return
        yield tree
        for part in tree.values():
            yield from _expressions(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from _expressions(part)


def _tables(source: Tree) -> Iterator[Tree]:
    """Yields the tables that a FROM reads itself, not those of queries inside it."""
    if source["type"] == "BASE_TABLE":
        yield source
    for side in _SIDES:
        if isinstance(source.get(side), dict):
            yield from _tables(source[side])


def _conditions(source: Tree) -> list[Any]:
    """Returns the conditions of the joins of a FROM."""
    inner = [part for side in _SIDES if isinstance(source.get(side), dict) for part in _conditions(source[side])]
    return inner + ([source["condition"]] if source.get("condition") else [])


def _name(table: Tree) -> str:
    return str(table["table_name"]).lower()


def _having(connection: duckdb.DuckDBPyConnection, condition: str) -> Tree:
    """Returns the parse tree of a condition."""
    query = f"SELECT 1 HAVING {condition}"
    (serialised,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0]
    tree: Tree = json.loads(serialised)["statements"][0]["node"]["having"]
    return tree
