"""A class name means one thing, so that a search for it finds it."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
TWICE = frozenset({
    "Answer", "Batch", "Check", "Clips", "Door", "Entry", "Estimate", "Interval", "Manifest", "Part", "Problem",
    "RefusedError", "Reproduction", "Resources", "Run", "Scenario", "Scored", "Seen", "Slot", "Turns", "Verdict",
    "Viewers",
})  # fmt: skip
"""Names that still mean several things: none may be added, and one that means one thing by now goes."""


def test_a_class_name_means_one_thing() -> None:
    where: dict[str, set[str]] = defaultdict(set)
    for root in ("models", "pipelines", "services"):
        for path in (ROOT / root).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    where[node.name].add(path.relative_to(ROOT).as_posix())
    several = {name: sorted(paths) for name, paths in where.items() if len(paths) > 1}
    assert {name: paths for name, paths in several.items() if name not in TWICE} == {}
    assert TWICE - several.keys() == set()
