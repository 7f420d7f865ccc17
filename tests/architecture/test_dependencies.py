"""What is declared is imported, and what is imported is declared: nothing is there by the grace of another library."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = [path for root in ("models", "pipelines", "services", "notebooks") for path in (ROOT / root).rglob("*.py")]
DEVELOPERS = {"choix", "vl-convert-python"}
"""Imported by the study alone, which says what it does without them: of the group `dev`."""


def named(requirement: str) -> str:
    """Returns the name of a distribution, as indexes spell it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()


def modules(path: Path) -> set[str]:
    """Returns the modules of others that a file imports, however late."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return found - {"clapometer", *sys.stdlib_module_names}


DECLARED = {
    named(requirement)
    for group in (PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values())
    for requirement in group
}
OF_MODULE = packages_distributions()
IMPORTED = {
    module: {named(each) for each in OF_MODULE.get(module, [module])} for path in SOURCES for module in modules(path)
}
"""The distributions that may have brought each module: those of one namespace share its name."""


def test_whatever_is_imported_is_declared() -> None:
    assert [module for module, brought in IMPORTED.items() if not brought & (DECLARED | DEVELOPERS)] == []
    assert {named(each) for each in PROJECT["dependency-groups"]["dev"]} >= DEVELOPERS


def test_whatever_is_declared_is_imported() -> None:
    assert sorted(DECLARED - set().union(*IMPORTED.values())) == []


def test_the_server_whose_private_protocol_we_build_on_is_capped() -> None:
    (uvicorn,) = [each for each in PROJECT["project"]["dependencies"] if each.startswith("uvicorn")]
    assert re.search(r",<\d", uvicorn)
