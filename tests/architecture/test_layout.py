"""The rules of the layout that no linter knows."""

import ast
import subprocess
import sys
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
