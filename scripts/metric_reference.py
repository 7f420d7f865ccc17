"""Writes docs/reference/metrics.md and lake.md from the lake's catalogue: ``python scripts/metric_reference.py``."""

import tempfile
from pathlib import Path

import duckdb

from clapometer.lake.published.metrics import SOURCES, catalogue
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
METRICS_HEAD = """\
# Metrics

Generated from `pipelines/clapometer/lake/published/metrics.toml` by `scripts/metric_reference.py`; do not edit.

Every number that the views of `lake/clapometer.duckdb` show is defined here, once; the same catalogue is in the file as
the table `metrics`. A definition never changes under its id: a change is a new version beside the old one.
Shares are ratios of counts, so that they add up over groups. They are computed over what **counts**: outcomes with
a trusted impression of a registered clip that was not withdrawn, is no advertisement, bears no watermark and is not the
viewer's own, by a viewer that the latest run did not take for a fake account (`measures.counted`). Rankings leave out
immature outcomes too, which only a run knows.
"""
LEVELS = {
    "impression": "Of an impression", "group": "Of a group of impressions", "clip": "Of clips",
    "creator": "Of creators' actions",
}  # fmt: skip
LAKE_HEAD = """\
# What is in `lake/clapometer.duckdb`

Generated from the file's own comments by `scripts/metric_reference.py`; do not edit.

Open it read-only with any DuckDB from 1.4 on, in any process, for as long as you like, while events stream in: it shows
one consistent snapshot, the next opening shows the next. Where it is attached to another database, say
`USE lake` before you call the table macros. `metrics` defines the columns that are metrics: see [Metrics](metrics.md).
"""


def metric_reference() -> str:
    """Returns the page of all metrics."""
    parts = [METRICS_HEAD]
    for level, title in LEVELS.items():
        parts.append(
            f"\n## {title}: over `{SOURCES[level]}`\n\n| id, column | what it says | better | unit | SQL | from |\n"
        )
        parts.append("| --- | --- | --- | --- | --- | --- |\n")
        parts += [
            f"| `{metric.id}` `{metric.name}` | {metric.title} | {metric.direction} | {metric.unit} | "
            f"`{metric.expression}` | {metric.source} |\n"
            for metric in catalogue()
            if metric.level == level
        ]
    return "".join(parts)


def lake_reference() -> str:
    """Returns the page of all tables, views and macros of the published file."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        publish(lake)
        with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
            return LAKE_HEAD + _macros(connection) + _views(connection)


def _macros(connection: duckdb.DuckDBPyConnection) -> str:
    found = connection.execute(
        "SELECT function_name, parameters, comment FROM duckdb_functions() WHERE NOT internal ORDER BY ALL"
    ).fetchall()
    rows = [f"| `{name}({', '.join(parameters)})` | {comment} |\n" for name, parameters, comment in found]
    return "\n## Macros\n\n| macro | what it gives |\n| --- | --- |\n" + "".join(rows)


def _views(connection: duckdb.DuckDBPyConnection) -> str:
    tables = connection.execute(
        "SELECT name, comment, list((column_name, data_type, said) ORDER BY place) FROM ("
        "SELECT table_name AS name, column_name, data_type, comment AS said, column_index AS place "
        "FROM duckdb_columns() WHERE NOT internal AND schema_name = 'main') JOIN ("
        "SELECT view_name AS name, comment FROM duckdb_views() WHERE schema_name = 'main' UNION "
        "SELECT table_name, comment FROM duckdb_tables()) USING (name) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    parts = []
    for name, comment, columns in tables:
        parts.append(f"\n## `{name}`\n\n{comment}\n\n| column | type | meaning |\n| --- | --- | --- |\n")
        parts += [f"| `{column}` | {kind.lower()} | {said} |\n" for column, kind, said in columns]
    return "".join(parts)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "metrics.md").write_text(metric_reference())
    (FOLDER / "lake.md").write_text(lake_reference())
