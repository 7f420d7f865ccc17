"""The rules of the layout that no linter knows."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for root in ("models", "pipelines", "services") for path in (ROOT / root).rglob("*.py"))
PURE = sorted((ROOT / "models").rglob("*.py"))
IMPURE = {
    "os",
    "pathlib",
    "logging",
    "time",
    "random",
    "socket",
    "subprocess",
    "shutil",
    "tempfile",
    "duckdb",
    "deltalake",
}


@pytest.mark.parametrize("root", ["models", "pipelines", "services"])
def test_the_namespace_package_has_no_init(root: str) -> None:
    assert (ROOT / root / "clapometer").is_dir()
    assert not (ROOT / root / "clapometer" / "__init__.py").exists()


def test_no_module_is_longer_than_400_lines() -> None:
    assert {str(path): n for path in SOURCES if (n := len(path.read_text().splitlines())) > 400} == {}


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_models_import_nothing_impure(path: Path) -> None:
    tree = ast.parse(path.read_text())
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {str(node.module).split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported & IMPURE == set()


def test_only_settings_reads_the_environment() -> None:
    readers = {path.name for path in SOURCES if "os.environ" in path.read_text() or "getenv" in path.read_text()}
    assert readers == {"settings.py"}


def test_what_the_scheduler_asks_loads_no_estimator() -> None:
    asked = "import sys, clapometer.training.planning; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
    assert "duckdb" in loaded
    assert not {"scipy", "sklearn", "pandas"} & set(loaded)


NAMESPACE = [ROOT / root / "clapometer" for root in ("models", "pipelines", "services")]
STATEMENTS = {path.relative_to(root).as_posix() for root in NAMESPACE for path in root.rglob("*.sql")}
DEFINING = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
BY_NAME = "lake/published/sql/"
"""Views and macros, which are made in the order of a list of names."""
MOST_FILES = {"cli": 23, "domain": 17}
"""Of rooms that may have more than others; the latter is to be divided."""


def test_every_statement_that_is_named_exists_and_every_one_that_exists_is_named() -> None:
    text = "".join(path.read_text() for root in NAMESPACE for path in (*root.rglob("*.py"), *root.rglob("*.sql")))
    named = set(re.findall(r"""["':]([\w/]+/sql/\w+\.sql)""", text))
    named |= {f"traffic/recorded/sql/{name}.sql" for name in re.findall(r'"(kuairand_\w+)"', text)} & set(STATEMENTS)
    assert named == {path for path in STATEMENTS if not path.startswith(BY_NAME)}


def test_sql_is_read_by_one_function_and_duckdb_opened_by_another() -> None:
    readers = {path.name for path in SOURCES if re.search(r"\.sql[\"'].*read_text|duckdb\.connect\(", path.read_text())}
    assert readers == {"duck.py"}


LAYERS = [
    {room.strip().removeprefix("clapometer.") for room in layer.split("|")}
    for layer in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
]


def floor(room: str) -> int:
    return next(len(LAYERS) - i for i, layer in enumerate(LAYERS) if room in layer)


def lowest_floors() -> dict[str, int]:
    """Returns the lowest floor where a module, class or function has the name."""
    lowest: dict[str, int] = {}
    for root in NAMESPACE:
        for path in root.rglob("*.py"):
            here = floor(path.relative_to(root).parts[0].removesuffix(".py"))
            named = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, DEFINING)]
            for name in (path.stem, *named):
                lowest[name] = min(here, lowest.get(name, here))
    return lowest


def told_of(path: Path) -> list[str]:
    """Returns the names of code in the comments of a statement."""
    comments = " ".join(re.findall("--.*", path.read_text()))
    return re.findall(r"\bclapometer\.[\w.]+|\b(?:[a-z]+_\w+|[A-Z][a-z]+[A-Z]\w+)\b", comments)


def test_no_statement_names_what_lies_above_it() -> None:
    lowest = lowest_floors()
    statements = [path.relative_to(root) for root in NAMESPACE for path in root.rglob("*.sql")]
    above = [
        (statement, word)
        for root in NAMESPACE
        for statement in statements
        if (root / statement).exists()
        for word in told_of(root / statement)
        if "." in word or lowest.get(word, 0) > floor(statement.parts[0])
    ]
    assert above == []


def test_no_module_hands_out_names_when_they_are_asked_for() -> None:
    defined = {path: {getattr(node, "name", "") for node in ast.parse(path.read_text()).body} for path in SOURCES}
    assert [path for path, names in defined.items() if "__getattr__" in names] == []


def test_no_room_has_more_files_than_one_sees_at_a_glance() -> None:
    files = Counter(path.parent.relative_to(ROOT).as_posix() for path in SOURCES)
    full = {room: n for room, n in files.items() if n > MOST_FILES.get(room.rpartition("/")[2], 14)}
    assert full == {}
