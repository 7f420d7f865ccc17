"""Which code made a result: so that a change runs only those parts of a long study again that it touches."""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

__all__ = ["fingerprint"]

PACKAGE = "clapometer."


def fingerprint(*parts: Callable[..., Any] | ModuleType, salt: str = "") -> str:
    """A hash of functions, with what they use of their own module, or of modules, and all our modules behind them.

    Comments, docstrings and layout do not count, nor do the libraries.
    """
    return hashlib.sha256((salt + _text(parts)).encode()).hexdigest()[:16]


@cache
def _text(parts: tuple[Callable[..., Any] | ModuleType, ...]) -> str:
    """All code of the parts and behind them; it does not change while we run, and reading it takes seconds."""
    found: dict[str, str] = {}
    for part in parts:
        _visit_module(part, found) if isinstance(part, ModuleType) else _visit(part, found)
    return "\n".join(found[name] for name in sorted(found))


def _visit(part: Any, found: dict[str, str]) -> None:
    """Adds a function or class, and whatever of our code it names."""
    key = f"{part.__module__}:{part.__qualname__}"
    if key in found:
        return
    found[key] = _bare(inspect.getsource(part))
    for name in _names(part.__code__) if isinstance(part, FunctionType) else ():
        used = part.__globals__.get(name)
        if isinstance(used, FunctionType | type) and used.__module__ == part.__module__:
            _visit(used, found)
        elif isinstance(used, int | float | str | tuple):
            found[f"{part.__module__}:{name}"] = repr(used)
        else:
            _visit_module(_home(used), found)


def _visit_module(module: ModuleType | None, found: dict[str, str]) -> None:
    if module is None or not module.__name__.startswith(PACKAGE) or module.__name__ in found:
        return
    found[module.__name__] = _bare(inspect.getsource(module))
    for value in list(vars(module).values()):
        _visit_module(_home(value), found)


def _home(value: Any) -> ModuleType | None:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)


def _bare(source: str) -> str:
    """The source as a syntax tree without docstrings."""
    tree = ast.parse(textwrap.dedent(source))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
