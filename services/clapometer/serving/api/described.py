"""Descriptions of properties in OpenAPI: from the docstrings of the types, and from what columns of the lake say."""

from collections.abc import Iterable, Mapping
from typing import Any

from clapometer.http.docstrings import attributes
from clapometer.lake.published.catalogue import column_comment
from clapometer.serving.reading.answers import Comparison, NotRanked, Run, Standing

_TABLES: Mapping[type, str] = {Standing: "rankings", NotRanked: "rankings", Run: "runs", Comparison: "contrasts"}
"""Tables whose columns some types show; what other types share with a column says the same everywhere."""


def describe_properties(components: dict[str, Any], types: Iterable[type]) -> None:
    """Adds to the schema of each type what its properties mean."""
    for kind in types:
        told = attributes(kind)
        for name, schema in components[kind.__name__]["properties"].items():
            text = told.get(name) or column_comment(_TABLES.get(kind, ""), name)
            if text and "description" not in schema:
                schema["description"] = text
