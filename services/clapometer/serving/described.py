"""Descriptions of properties in OpenAPI: from the docstrings of the types, and from what columns of the lake say."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

from clapometer.lake.catalogue import column_comment
from clapometer.serving.answers import Comparison, NotRanked, Run, Standing

_TABLES: Mapping[type, str] = {Standing: "rankings", NotRanked: "rankings", Run: "runs", Comparison: "contrasts"}
"""Tables whose columns some types show; what other types share with a column says the same everywhere."""
_ENTRY = re.compile(r"^(\w+): (.*)$")


def describe_properties(components: dict[str, Any], types: Iterable[type]) -> None:
    """Adds to the schema of each type what its properties mean."""
    for kind in types:
        told = attributes(kind)
        for name, schema in components[kind.__name__]["properties"].items():
            text = told.get(name) or column_comment(_TABLES.get(kind, ""), name)
            if text and "description" not in schema:
                schema["description"] = text


def attributes(kind: type) -> dict[str, str]:
    """Returns the section ``Attributes`` of a type's docstring: the text of each."""
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    found: dict[str, str] = {}
    name = ""
    for line in map(str.strip, inspect.cleandoc(section).splitlines()):
        if entry := _ENTRY.match(line):
            name, found[entry[1]] = entry[1], entry[2]
        elif name and line:
            found[name] += f" {line}"
    return {name: text.replace("``", "`") for name, text in found.items()}
