"""Makes of schemas that share one file of definitions ones that stand alone: kubernetes-schemas.py FROM TO.

kubeconform would look for the shared file at the address in its ``$id``.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

REFERENCE = re.compile(r'"#/\$defs/([^"]+)"')


def local(node: Any) -> Any:
    """Returns a schema whose references are to definitions of its own; it has no address."""
    if isinstance(node, list):
        return [local(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: "#/$defs/" + value.rpartition("/")[2] if name == "$ref" and isinstance(value, str) else local(value)
        for name, value in node.items()
        if not (name == "$id" and isinstance(value, str))
    }


def named(node: Any) -> set[str]:
    """Returns the definitions that a schema refers to."""
    return set(REFERENCE.findall(json.dumps(node)))


def standalone(schema: Any, definitions: dict[str, Any]) -> Any:
    """Returns a schema with all definitions that it needs."""
    needed: set[str] = set()
    new = named(schema)
    while new:
        needed |= new
        new = set().union(*(named(definitions[name]) for name in new)) - needed
    return schema | {"$defs": {name: definitions[name] for name in sorted(needed)}}


def main(source: Path, target: Path) -> None:
    """Writes the schemas of ``source`` into ``target``."""
    definitions = local(json.loads((source / "_definitions.json").read_text()))["$defs"]
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*-v*.json"):
        schema = standalone(local(json.loads(path.read_text())), definitions)
        (target / path.name).write_text(json.dumps(schema))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
