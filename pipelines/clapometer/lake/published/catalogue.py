"""What analysts find in the published file: tables, views, macros and the metric catalogue, all with comments.

Everything but the lists of Parquet files is the same for every snapshot. So the file is a copy of a template in
which only the views of the schema ``files`` are replaced: publishing takes no longer the more views there are.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

from clapometer.domain.fields import FIELDS
from clapometer.lake.published.metrics import Metric, catalogue, named, of_level
from clapometer.lake.published.views import VIEWS, view_sql
from clapometer.lake.schema import DATA_COLUMNS
from clapometer.lake.specs import SPECS, TABLES
from clapometer.lake.statements import quote, sql

MACROS = ("wilson_low", "wilson_high", "covers", "watch_quantile")
"""Names of the files in ``sql/macros`` that define a macro of expressions."""

ANALYST_VIEWS = (
    "orders",
    "measures",
    "excluded_costs",
    "main_currencies",
    "priced_clips",
    "watch_quantiles",
    "counted_measures",
    "model_versions",
    "prompts",
    "templates",
    "daily_metrics",
    "funnel",
    "creative_board",
    "comparisons_current",
    "excluded_outcomes",
    "bt_pairs",
    "retention_curve",
)
"""Names of the files in ``sql/analyst``: views and table macros on top of ``views.VIEWS``, each after what it reads."""

_METRIC_COLUMNS = ("id", "name", "level", "direction", "unit", "title", "source", "expression")
_JSON_COLUMNS = frozenset(column.name for column in DATA_COLUMNS if column.is_json)
_DIRECTIVE = re.compile(r"\{(\w+)(?::([\w,]+))?\}")


def statements() -> list[str]:
    """Returns the SQL that makes the catalogue over the views of the schema ``files``."""
    tables = [
        f'CREATE VIEW "{name}" AS SELECT {", ".join(quoted(schema.names))} FROM files."{name}"'  # noqa: S608 - our own names
        for name, (schema, _) in TABLES.items()
    ]
    parts = [*map(analyst_sql, MACROS), *map(view_sql, VIEWS), *map(analyst_sql, ANALYST_VIEWS), _metrics_sql()]
    return [*tables, *parts, *(f'COMMENT ON VIEW "{name}" IS {quote(spec.comment)}' for name, spec in SPECS.items())]


def column_comment(view: str, column: str) -> str | None:
    """Returns what a column says: of this view, or of every view that has it."""
    known = _comments()
    metrics = {metric.name: metric.title for metric in catalogue()}
    if view == "events" and column in FIELDS:
        return _field(column)
    return (
        known.get(view, {}).get(column)
        or known["everywhere"].get(column)
        or (_field(column) if column in FIELDS else metrics.get(column))
    )


def comment_statements(columns: Mapping[str, list[str]]) -> list[str]:
    """Returns the SQL that comments on the columns of views."""
    return [
        f'COMMENT ON COLUMN "{view}"."{column}" IS {quote(text)}'
        for view, listed in columns.items()
        for column in listed
        if (text := column_comment(view, column))
    ]


def analyst_sql(name: str) -> str:
    """Returns the statement that makes one of `MACROS` or `ANALYST_VIEWS`, with the metrics' expressions in it."""
    text = sql(f"lake/published/sql/{'macros' if name in MACROS else 'analyst'}/{name}.sql")
    text = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
    return _DIRECTIVE.sub(lambda found: _expand(found[1], found[2]) or found[0], text)


def quoted(names: list[str]) -> list[str]:
    """Returns SQL identifiers."""
    return [f'"{name}"' for name in names]


def _expand(directive: str, names: str | None) -> str | None:
    given = named(names.split(",")) if names else of_level("group")
    lists: dict[str, Callable[[], list[str]]] = {
        "impression": lambda: [f"{metric.sql} AS {metric.name}" for metric in _of_a_row()],
        "ratios": lambda: [f"{metric.expression} AS {metric.name}" for metric in given],
        "ratios_at_once": lambda: [f"{metric.expression} AS {metric.name}" for metric in given if not _late(metric)],
        "sums": lambda: [metric.sums for metric in given],
        "ratios_of_sums": lambda: [f"{metric.ratio_of_sums} AS {metric.name}" for metric in given],
    }
    return ",\n    ".join(lists[directive]()) if directive in lists else None


def _of_a_row() -> list[Metric]:
    """The metrics that need nothing but the row."""
    return [metric for metric in of_level("impression") if metric.name != "watch_quantile"]


def _late(metric: Metric) -> bool:
    """Whether a metric needs to have seen all outcomes before."""
    return "watch_quantile" in metric.numerator


def _metrics_sql() -> str:
    columns = ", ".join(f"{name} VARCHAR" for name in _METRIC_COLUMNS)
    rows = ", ".join(
        "(" + ", ".join(quote(str(getattr(metric, name))) for name in _METRIC_COLUMNS) + ")" for metric in catalogue()
    )
    about = quote("The metric catalogue: what every number of the views means, its direction, unit and SQL.")
    return f"CREATE TABLE metrics ({columns}); INSERT INTO metrics VALUES {rows}; COMMENT ON TABLE metrics IS {about}"  # noqa: S608


def _field(column: str) -> str:
    """Returns what a field of events says; as a column, a list or map of them is JSON."""
    text = FIELDS[column]
    return f"{text.removesuffix('.')}; JSON." if column in _JSON_COLUMNS else text


@cache
def _comments() -> dict[str, dict[str, str]]:
    return tomllib.loads((files("clapometer.lake.published") / "comments.toml").read_text(encoding="utf-8"))
