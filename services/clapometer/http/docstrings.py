"""What docstrings say of attributes: the documentation of the APIs shows it."""

import inspect
import re

_ENTRY = re.compile(r"^(\w+): (.*)$")


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
