"""The examples in docstrings are true, and every estimator has one."""

import doctest
import importlib
import inspect
from pathlib import Path
from types import ModuleType

import pytest
from sklearn.base import BaseEstimator

ROOT = Path(__file__).parents[2] / "models"
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "clapometer").rglob("*.py")
    if path.name != "__init__.py"
)


def examples(module: ModuleType) -> list[doctest.DocTest]:
    return [found for found in doctest.DocTestFinder(exclude_empty=True).find(module) if found.examples]


@pytest.mark.parametrize(
    "name", [name for name in MODULES if ">>> " in (ROOT / f"{name.replace('.', '/')}.py").read_text()]
)
def test_the_examples_of_a_module_print_what_they_say(name: str) -> None:
    found = examples(importlib.import_module(name))
    assert found
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    said: list[str] = []
    for example in found:
        runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)


def test_every_estimator_shows_how_it_is_used() -> None:
    without = [
        f"{name}.{estimator.__name__}"
        for name in MODULES
        for _, estimator in inspect.getmembers(importlib.import_module(name), inspect.isclass)
        if issubclass(estimator, BaseEstimator)
        and estimator.__module__ == name
        and ">>>" not in (estimator.__doc__ or "")
    ]
    assert without == []
