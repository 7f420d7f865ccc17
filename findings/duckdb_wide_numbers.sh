#!/bin/sh
# duckdb 2.0.1 with pyarrow 26.0.1: values that Arrow or Parquet has no type for leave DuckDB as other values, without an
# error. The largest UHUGEINT is -1 in an Arrow table; an INTERVAL of 3,000,000 hours overflows into a negative number of
# nanoseconds; TIMETZ loses its zone; and COPY TO Parquet writes HUGEINT, the type of sum() over whole numbers, as DOUBLE:
# neighbouring integers become equal. fetchall() has all of them right.
#
# Who meets it: whoever takes answers of SQL out as Arrow or Parquet. Ours: `clapometer sql` and POST /v1/sql write what a
# format has no type for as DuckDB's own text, and `replay` refuses a DOUBLE beyond 2^53 as a whole number;
# tests/unit/operation/test_sql_output.py and tests/unit/traffic/recorded/test_typed_columns.py.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv environment
environment/bin/pip install --quiet --disable-pip-version-check duckdb==2.0.1 pyarrow==26.0.1
environment/bin/python - <<'END'
import duckdb

def arrow(expression):
    """Returns what an Arrow table holds, without the conversions of Python."""
    (cell,) = duckdb.sql(f"SELECT {expression} AS x").to_arrow_table().column("x").to_pylist()
    return cell

def parquet(expression):
    duckdb.sql(f"COPY (SELECT {expression} AS x) TO 'x.parquet'")
    return duckdb.sql("SELECT typeof(x), x FROM 'x.parquet'").fetchall()[0]

largest = 2**128 - 1
found = {
    "UHUGEINT in Arrow": (int(arrow(f"{largest}::UHUGEINT")), -1),
    "UHUGEINT fetched": (duckdb.sql(f"SELECT {largest}::UHUGEINT").fetchall()[0][0], largest),
    "INTERVAL of 3,000,000 hours in Arrow, ns": (arrow("INTERVAL 3000000 HOURS").nanoseconds, -7646744073709551616),
    "10:00:00+02 in Arrow": (str(arrow("'10:00:00+02'::TIMETZ")), "10:00:00"),
    "sum() of 2^60 and 1 in Parquet": (parquet("(2::HUGEINT ** 60)::HUGEINT + 1"), ("DOUBLE", float(2**60))),
    "type of sum() over BIGINT": (duckdb.sql("SELECT typeof(sum(range)) FROM range(3)").fetchall()[0][0], "HUGEINT"),
}
print("duckdb", duckdb.__version__)
changed = False
for name, (seen, expected) in found.items():
    print(f"{name}: {seen}")
    changed |= seen != expected
raise SystemExit("changed" if changed else 0)
END
