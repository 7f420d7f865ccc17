"""Types of DuckDB that a form of answer has no type for: they go out as DuckDB's own text, nothing else changes."""

from collections.abc import Iterator
from typing import Literal

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

Form = Literal["json", "csv", "arrow", "parquet"]

# Arrow would have them, but not as they are: DuckDB hands over the bytes of a bit string, a time without its zone, a
# large unsigned number as a negative one, an interval whose nanoseconds overflow.
_NOWHERE = frozenset({"interval", "uhugeint", "time with time zone", "bit", "bignum", "variant"})
_NANOSECONDS = frozenset({"timestamp_ns", "time_ns"})  # Python has none
_NESTED = frozenset({"list", "array", "struct", "tuple", "map", "union"})
_AS_TEXT: dict[Form, frozenset[str]] = {
    "arrow": _NOWHERE,
    "parquet": _NOWHERE | {"union"},
    "json": _NOWHERE | _NANOSECONDS | {"geometry"},
    "csv": _NOWHERE | _NANOSECONDS | {"geometry", "blob"},
}


def fitted(relation: duckdb.DuckDBPyRelation, form: Form) -> duckdb.DuckDBPyRelation:
    """Returns the relation with what the form has no type for as text, also inside lists, structs and maps.

    Where a form's rows are read by name (Parquet, JSON), a name that is there twice gets a number.
    """
    names = _apart(relation.columns) if form in {"parquet", "json"} else relation.columns
    types = [_fitted(kind, _AS_TEXT[form]) for kind in relation.types]
    if names == relation.columns and types == [str(kind) for kind in relation.types]:
        return relation
    return relation.project(
        ", ".join(
            f"{f'CAST(#{place} AS {wanted})' if wanted != str(kind) else f'#{place}'} AS {_quoted(name)}"
            for place, (name, kind, wanted) in enumerate(zip(names, relation.types, types, strict=True), start=1)
        )
    )


def batches(relation: duckdb.DuckDBPyRelation, rows: int) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Returns the schema of an answer and its batches.

    Raises:
        duckdb.Error: Reading it failed, at once or on the way.
    """
    reader = relation.to_arrow_reader(rows)
    return reader.schema, _read(reader)


def _read(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    try:
        yield from reader
    except OSError as error:  # what Arrow makes of an error of DuckDB on the way
        raise duckdb.Error(str(error)) from error


def _fitted(kind: DuckDBPyType, as_text: frozenset[str]) -> str:
    """Returns the type, as SQL, in which a value goes out."""
    if kind.id in as_text:
        return "VARCHAR"
    if kind.id not in _NESTED:
        return str(kind)
    size = f"[{dict(kind.children)['size']}]" if kind.id == "array" else "[]"
    children = [(name, child) for name, child in kind.children if isinstance(child, DuckDBPyType)]
    inner = [_fitted(child, as_text) for _, child in children]
    if inner == [str(child) for _, child in children]:
        return str(kind)
    named = [f"{_quoted(name)} {wanted}" for (name, _), wanted in zip(children, inner, strict=True)]
    return {
        "list": inner[0] + size,
        "array": inner[0] + size,
        "struct": f"STRUCT({', '.join(named)})",
        "tuple": f"TUPLE({', '.join(inner)})",
        "map": f"MAP({', '.join(inner)})",
        "union": "VARCHAR",  # its members have their own types or none
    }[kind.id]


def _apart(names: list[str]) -> list[str]:
    """Returns the names, those that repeat with a number behind."""
    taken: list[str] = []
    for name in names:
        free, number = name, 0
        while free in taken or (number and free in names):
            number += 1
            free = f"{name}_{number}"
        taken.append(free)
    return taken


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
