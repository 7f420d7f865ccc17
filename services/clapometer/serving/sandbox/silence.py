"""Statements that read viewers cannot fail over a value: whether one fails would tell of single rows.

DuckDB evaluates conditions before it leaves small groups out, in an order of its own. So what may fail is run by
``TRY`` or ``TRY_CAST``, which give NULL; what those cannot hold is made of aggregates that have enough viewers; and
what DuckDB converts by itself must not be able to fail.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import duckdb

from clapometer.lake.duck import connect
from clapometer.lake.published.catalogue import ANALYST_VIEWS, MACROS, analyst_sql
from clapometer.serving.sandbox.statement import StatementError, Tree, trees
from clapometer.serving.sandbox.support import quoted

_SCALARS = """
+ - * / // % ** ^ || ~~ !~~ ~~* !~~* -> ->> @ & | abs add ago bar bin cbrt ceil ceiling char_length character_length
concat concat_ws contains date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day
dayname dayofmonth dayofweek dayofyear days_in_month divide ends_with epoch epoch_ms epoch_us even exp fdiv floor fmod
greatest hour if ilike_escape isfinite isinf isnan isodow isoyear json_array_length json_exists json_extract
json_extract_path json_extract_path_text json_extract_string json_value last_day lcase least left len length
like_escape ln log log10 log2 lower ltrim make_date minute mod month monthname multiply not_ilike_escape
not_like_escape nullif position pow power prefix quarter regexp_full_match regexp_matches right round rtrim second sign
split_part sqrt starts_with strftime strlen strpos substr substring subtract suffix time_bucket timezone trim trunc
ucase upper week weekday weekofyear year yearweek
"""
SCALARS = frozenset(_SCALARS.split())
"""Functions of single values that a statement over viewers may have: none can grow without end, or fail on purpose."""
_NEVER_FAIL = frozenset({"~~", "!~~", "~~*", "!~~*", "starts_with", "prefix", "suffix", "contains", "ends_with"})
"""Those that need no ``TRY``, behind which DuckDB reads all files."""
_TEXTS = frozenset({"VARCHAR", "CHAR", "BLOB", "BIT", "ENUM", "JSON", "VARIANT"})
"""Types of which not every value is one of another type, so that DuckDB may fail to convert them."""


def silence(tree: Tree, aggregates: Collection[str], macros: Collection[str]) -> None:
    """Makes all that may fail in a statement NULL instead.

    Args:
        tree: The statement, changed in place; aggregates over viewers have had their support.
        aggregates: Names of aggregates.
        macros: Names of our own functions.

    Raises:
        StatementError: A part of it may fail, and cannot be made not to.
    """
    allowed = SCALARS | {name.lower() for name in macros}
    _silence(tree, frozenset(aggregates), allowed)


def _silence(part: object, aggregates: frozenset[str], allowed: frozenset[str]) -> None:
    if isinstance(part, list):
        for item in part:
            _silence(item, aggregates, allowed)
        return
    if not isinstance(part, dict):
        return
    if part.get("class") == "CAST":
        part["try_cast"] = True
    scalar = part.get("class") == "FUNCTION" and str(part["function_name"]).lower() not in aggregates
    for key, child in list(part.items()):
        if not (part.get("type") == "TABLE_FUNCTION" and key == "function"):
            _silence(child, aggregates, allowed)
    if scalar:
        _silence_function(part, aggregates, allowed)


def _silence_function(call: Tree, aggregates: frozenset[str], allowed: frozenset[str]) -> None:
    name = str(call["function_name"]).lower()
    if name not in allowed:
        msg = f"the function {name} cannot be used where viewers are read: it may fail, or grow, by the value of one"
        raise StatementError(msg)
    inside = [part for part in trees(call) if part is not call]
    folds = any(part.get("class") == "FUNCTION" and str(part["function_name"]).lower() in aggregates for part in inside)
    if folds or any(part.get("class") in {"WINDOW", "SUBQUERY"} for part in inside):
        if _reads_rows(call, aggregates):
            msg = f"{name} is of an aggregate (or a query) and of a column here; put the aggregate into WITH first"
            raise StatementError(msg)
    elif name not in _NEVER_FAIL:
        alias = call["alias"]
        kept = {**call, "alias": ""}
        call.clear()
        call.update({"class": "OPERATOR", "type": "OPERATOR_TRY", "alias": alias, "children": [kept]})


def _reads_rows(part: object, aggregates: frozenset[str]) -> bool:
    """Returns whether a part of an expression is of a column itself, outside aggregates and ``TRY``."""
    if isinstance(part, list):
        return any(_reads_rows(item, aggregates) for item in part)
    if not isinstance(part, dict) or part.get("type") == "OPERATOR_TRY":
        return False
    if part.get("class") == "FUNCTION" and str(part["function_name"]).lower() in aggregates:
        return False
    return part.get("class") in {"COLUMN_REF", "SUBQUERY"} or _reads_rows(list(part.values()), aggregates)


@contextmanager
def mirror(types: Mapping[str, Mapping[str, str]], macros: Collection[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yields a DuckDB with empty tables in place of the views, so that what the views are made of is not looked at."""
    with connect(threads=1) as empty:
        for table, columns in types.items():
            listed = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
            empty.execute(f"CREATE TABLE {quoted(table)} ({listed})")
        for name in (*MACROS, *ANALYST_VIEWS):  # each after what it needs
            if name in macros:
                empty.execute(analyst_sql(name))
        yield empty


def refuse_conversions(empty: duckdb.DuckDBPyConnection, text: str) -> None:
    """Refuses a statement in which DuckDB converts text of a row to something else by itself.

    Args:
        empty: A :func:`mirror`.
        text: The statement.

    Raises:
        StatementError: It is such a one, or cannot be bound.
    """
    query = "SELECT json_serialize_plan(?::VARCHAR, optimize := false)"
    plan = json.loads(empty.execute(query, [text]).fetchall()[0][0])
    if plan["error"]:
        raise StatementError(str(plan["error_message"]))
    _check_conversions(plan)


def _check_conversions(part: object) -> None:
    if isinstance(part, list):
        for item in part:
            _check_conversions(item)
    if not isinstance(part, dict) or part.get("type") == "OPERATOR_TRY":
        return
    if part.get("type") == "OPERATOR_CAST" and not part["function_data"]["try_cast"]:
        (child,) = part["children"]
        source, target = ((each.get("return_type") or {}).get("id") for each in (child, part))
        if source in _TEXTS and target not in {"VARCHAR", source}:
            msg = (
                f"text is compared or joined with {target} here, which some texts are not; use TRY_CAST(… AS {target})"
            )
            raise StatementError(msg)
    for item in part.values():
        _check_conversions(item)
