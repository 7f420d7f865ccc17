"""Minimum viewers per cell: what is read of viewers is aggregated, and small groups do not appear.

Every SELECT that reads a table with viewers must aggregate, and gets ``HAVING count(DISTINCT viewer_id) >= k`` for each
of them. What it may be made of is listed, so that no group of many viewers has the values of a few in it: published
tables, joined by equal columns, and aggregates of plain columns that do not repeat a single row's value. Identifiers
can only be counted, or join two tables with viewers. An aggregate is of as many viewers who have a value
(``support``), and no statement can fail over a value (``silence``). That hides viewers from a reader of answers; it is
no defence against somebody who subtracts many answers from each other.

References:
    Statistical disclosure control: threshold rule; Hundepool et al. (2012), Statistical Disclosure Control, 3.2.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import duckdb

from clapometer.serving.sandbox.silence import refuse_conversions, silence
from clapometer.serving.sandbox.statement import Statement, StatementError, Tree, trees
from clapometer.serving.sandbox.support import name_columns, quoted, support
from clapometer.serving.sandbox.tenant import TenantView

IDENTIFIERS = frozenset({
    "viewer_id", "impression_id", "session_id", "slate_id", "order_id", "left_impression_id", "right_impression_id",
    "event_key", "payload_hash", "raw",
})  # fmt: skip
KEYS = IDENTIFIERS - {"order_id", "event_key", "payload_hash", "raw"}
"""Identifiers that belong to one viewer, so that rows with the same are of the same."""
AGGREGATES = frozenset({
    "count", "count_star", "count_if", "countif", "sum", "avg", "mean", "stddev", "stddev_pop", "stddev_samp",
    "variance", "var_pop", "var_samp", "median", "approx_count_distinct",
})  # fmt: skip
"""Aggregates of one column that say something of a group, not of one of its rows."""
MACROS = frozenset({"ago", "date_add", "days_in_month", "fdiv", "fmod", "if", "nullif", "split_part"})
"""DuckDB's macros that do not aggregate."""
SOURCES = frozenset({
    "BASE_TABLE", "JOIN", "SUBQUERY", "TABLE_FUNCTION", "EMPTY", "EMPTY_FROM", "EXPRESSION_LIST", "SHOW_REF",
})  # fmt: skip
"""What a FROM may have."""
_COUNTS = frozenset({"count", "approx_count_distinct"})
_SIDES = ("left", "right")


@dataclass
class _Reading:
    """What a statement reads, and what of it is in order."""

    known: Mapping[str, frozenset[str]]
    derived: Collection[str]
    folding: Collection[str]
    viewers: int
    aliases: set[str] = field(default_factory=set)
    in_order: set[int] = field(default_factory=set)

    def is_personal(self, table: Tree) -> bool:
        return bool(self.known.get(_name(table), frozenset()) & IDENTIFIERS)


def protect(statement: Statement, view: TenantView, viewers: int, empty: duckdb.DuckDBPyConnection) -> Statement:
    """Returns the statement with groups of fewer than ``viewers`` viewers left out.

    Args:
        statement: A statement that may be run.
        view: What it reads; of its connection only the parser is used.
        viewers: Least viewers of a cell.
        empty: The ``mirror`` of the view.

    Raises:
        StatementError: It reads single rows of viewers, or could fail over one.
    """
    listed = view.connection.execute(
        "SELECT function_name FROM duckdb_functions() WHERE internal AND function_type IN ('aggregate', 'macro')"
    )
    tree = json.loads(json.dumps(statement.tree))
    reading = _Reading(
        {name.lower(): frozenset(names) for name, names in view.columns.items()},
        {str(entry["key"]).lower() for part in trees(tree) if "map" in part for entry in part["map"]},
        {name for (name,) in listed.fetchall()} - MACROS,
        viewers,
    )
    counted = []
    for part in trees(tree):
        if part.get("type") == "SHOW_REF" and part.get("show_type") == "SUMMARY":
            msg = "SUMMARIZE shows single values, and answers here are about groups of viewers"
            raise StatementError(msg)
        if part.get("type") == "SELECT_NODE" and part.get("from_table"):
            leaves = list(_leaves(part["from_table"]))
            if any(reading.is_personal(leaf) for leaf in leaves):
                counted.append((part, _check_select(part, leaves, reading)))
    if counted:
        _check_columns(list(trees(tree)), reading)
    if not counted:
        return replace(statement, tree=tree)
    protected = replace(statement, tree=_rewritten(view, tree, counted, reading))
    refuse_conversions(empty, replace(protected, prefix="").sql(view.connection))
    return protected


def _rewritten(view: TenantView, tree: Tree, counted: list[tuple[Tree, list[str]]], reading: _Reading) -> Tree:
    """Returns the statement, of which each part is about enough viewers and none can fail."""
    name_columns(view.connection, tree)
    for select, aliases in counted:
        parts = [value for key, value in select.items() if key not in {"from_table", "cte_map"}]
        for fold in [part for part in _expressions(parts) if _is_fold(part, reading)]:
            support(view.connection, fold, aliases, reading.viewers)
    silence(tree, reading.folding, view.macros)
    for select, aliases in counted:
        for alias in aliases:
            _leave_out(view.connection, select, alias, reading.viewers)
    return tree


def _check_select(select: Tree, leaves: list[Tree], reading: _Reading) -> list[str]:
    """Returns the names of the tables whose viewers are to be counted.

    Raises:
        StatementError: The SELECT shows more than groups.
    """
    read = [leaf for leaf in leaves if reading.is_personal(leaf)]
    counted = [_alias(table) for table in read if "viewer_id" in reading.known[_name(table)]]
    if not counted:
        msg = f"{_name(read[0])} has single rows of viewers; join it to outcomes or impressions and aggregate"
        raise StatementError(msg)
    if any(table.get("column_name_alias") for table in leaves):
        msg = f"{_name(read[0])} cannot be read under other names for its columns here"
        raise StatementError(msg)
    reading.aliases |= {_alias(table).lower() for table in read}
    parts = {key: value for key, value in select.items() if key not in {"from_table", "cte_map"}}
    own = list(_expressions(list(parts.values())))
    folds = [part for part in own if _is_fold(part, reading)]
    if not folds and not select["group_expressions"] and select["aggregate_handling"] != "FORCE_AGGREGATES":
        msg = (
            f"answers here are about groups of at least {reading.viewers} viewers: use count, sum or avg, and GROUP BY"
        )
        raise StatementError(msg)
    if single := {str(part["function_name"]).lower() for part in folds} - AGGREGATES:
        msg = f"{min(single)} can repeat the value of one viewer; use {', '.join(sorted(AGGREGATES))}"
        raise StatementError(msg)
    for part in folds:
        if str(part["function_name"]).lower() in _COUNTS:
            reading.in_order |= {id(argument["expression"]) for argument in part["arguments"]}
    _check_joins(select["from_table"], leaves, reading)
    _check_columns(own, reading)
    if any(part.get("class") in {"STAR", "POSITIONAL_REFERENCE"} for part in own):
        msg = "whole rows cannot be used; name the columns that are to be counted or added up"
        raise StatementError(msg)
    mine = {id(part) for part in own}
    if any(_is_fold(part, reading) for part in trees(list(parts.values())) if id(part) not in mine):
        msg = "a query inside one that reads viewers cannot aggregate here; put it into WITH"
        raise StatementError(msg)
    for part in folds:
        _check_fold(part, leaves, reading)
    return counted


def _is_fold(part: Tree, reading: _Reading) -> bool:
    return part.get("class") == "FUNCTION" and str(part["function_name"]).lower() in reading.folding


def _check_fold(fold: Tree, leaves: list[Tree], reading: _Reading) -> None:
    """Refuses an aggregate that may be of a part of its group: of anything but a column of a table, all of it."""
    columns = {_alias(leaf).lower(): reading.known[_name(leaf)] for leaf in leaves}
    whole = fold["filter"] is None and len(fold["arguments"]) <= 1
    for argument in fold["arguments"]:
        inner = argument["expression"]
        if inner["class"] == "CAST" and not inner["try_cast"]:
            inner = inner["child"]
        names = [str(name).lower() for name in inner.get("column_names", [])]
        owners = [columns.get(names[0], frozenset())] if len(names) == 2 else list(columns.values())
        is_column = len(names) in {1, 2} and any(names[-1] in owner for owner in owners)
        whole = whole and (is_column or inner["class"] == "CONSTANT")
    if not whole:
        msg = (
            f"{fold['function_name']} can only be of a column here, without FILTER, CASE or other expressions, which "
            "pick some viewers of a group; use WHERE or GROUP BY"
        )
        raise StatementError(msg)


def _check_joins(source: Tree, leaves: list[Tree], reading: _Reading) -> None:
    """Refuses what could pick or repeat rows of some viewers: all but published tables with equal columns.

    Raises:
        StatementError: With the reason.
    """
    if any(leaf["type"] != "BASE_TABLE" or _name(leaf) in reading.derived for leaf in leaves):
        msg = "tables with viewers can only be joined to published tables here; filter with WHERE … IN (SELECT …)"
        raise StatementError(msg)
    aliases = [_alias(leaf).lower() for leaf in leaves]
    if len(set(aliases)) < len(aliases):
        msg = "give the tables different names"
        raise StatementError(msg)
    personal = {alias for alias, leaf in zip(aliases, leaves, strict=True) if reading.is_personal(leaf)}
    ties = [tie for join in _joins(source) for tie in _check_join(join, personal, reading)]
    tied = {min(personal)}
    for _ in personal:
        tied.update(*(tie for tie in ties if tie & tied))
    if tied != personal:
        msg = "join tables with viewers ON a.impression_id = b.impression_id, or another id that both have"
        raise StatementError(msg)


def _check_join(join: Tree, personal: Collection[str], reading: _Reading) -> list[set[str]]:
    """Returns the sets of tables that a join ties by an identifier."""
    ties = []
    pairs = _pairs(join)
    for pair in pairs:
        ids = {str(side["column_names"][-1]).lower() for side in pair}
        tie = {str(side["column_names"][0]).lower() for side in pair if len(side["column_names"]) == len(_SIDES)}
        if _same_key(ids) and len(tie) == len(_SIDES) and tie <= set(personal):
            reading.in_order |= {id(side) for side in pair}
            ties.append(tie)
    _check_columns(list(_expressions(join["condition"])), reading)
    using = {str(name).lower() for name in join["using_columns"]}
    if using & IDENTIFIERS:
        below = {_alias(leaf).lower() for leaf in _leaves(join)}
        if not (below <= set(personal) and using <= KEYS):
            msg = f"{min(using & IDENTIFIERS)} tells viewers apart; it can only be counted, or join two tables"
            raise StatementError(msg)
        ties.append(below)
    if join["join_type"] != "INNER" or join["ref_type"] != "REGULAR" or not (pairs or using):
        msg = "tables with viewers can only be joined with JOIN … USING (…) here, or ON a.x = b.x AND …"
        raise StatementError(msg)
    return ties


def _same_key(names: set[str]) -> bool:
    return names <= KEYS and (len(names) == 1 or all(name.endswith("impression_id") for name in names))


def _pairs(join: Tree) -> list[tuple[Tree, Tree]]:
    """Returns the columns that a join takes to be equal; none where its condition is anything else."""
    condition = join["condition"]
    if condition is None:
        return []
    parts = condition["children"] if condition["type"] == "CONJUNCTION_AND" else [condition]
    equal = all(
        part["type"] == "COMPARE_EQUAL" and all(part[side]["class"] == "COLUMN_REF" for side in _SIDES)
        for part in parts
    )
    return [(part["left"], part["right"]) for part in parts] if equal else []


def _check_columns(expressions: list[Tree], reading: _Reading) -> None:
    """Refuses identifiers except where they are in order; and whole rows."""
    for part in expressions:
        names = [str(name).lower() for name in part.get("column_names", [])]
        if part.get("class") == "COLUMN_REF" and IDENTIFIERS & set(names) and id(part) not in reading.in_order:
            msg = f"{names[-1]} tells viewers apart; it can only be counted, or join two tables"
            raise StatementError(msg)
        relation = str(part.get("relation_name") or "").lower()
        whole = part.get("class") == "STAR" and relation in reading.aliases
        if whole or (names and names[-1] in reading.aliases):
            msg = "whole rows cannot be used; name the columns that are to be counted or added up"
            raise StatementError(msg)


def _leave_out(connection: duckdb.DuckDBPyConnection, select: Tree, alias: str, viewers: int) -> None:
    """Makes a SELECT leave out groups with fewer viewers."""
    least = _having(connection, f"count(DISTINCT {quoted(alias)}.viewer_id) >= {viewers}")
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


def _leaves(source: Tree) -> Iterator[Tree]:
    """Yields what a FROM joins, but not what queries inside it read.

    Raises:
        StatementError: It is nothing that could be checked.
    """
    if source["type"] not in SOURCES:
        msg = f"{source['type']} cannot be used in FROM here; use GROUP BY"
        raise StatementError(msg)
    if source["type"] == "JOIN":
        for side in _SIDES:
            yield from _leaves(source[side])
    else:
        yield source


def _joins(source: Tree) -> Iterator[Tree]:
    if source["type"] == "JOIN":
        yield source
        for side in _SIDES:
            yield from _joins(source[side])


def _alias(table: Tree) -> str:
    return str(table["alias"] or table.get("table_name", ""))


def _name(table: Tree) -> str:
    return str(table["table_name"]).lower() if table["type"] == "BASE_TABLE" else ""


def _having(connection: duckdb.DuckDBPyConnection, condition: str) -> Tree:
    """Returns the parse tree of a condition."""
    query = f"SELECT 1 HAVING {condition}"
    (serialised,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0]
    tree: Tree = json.loads(serialised)["statements"][0]["node"]["having"]
    return tree
