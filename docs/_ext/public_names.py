"""The public names of the package: what its ``__all__`` export, and what each says of itself."""

import ast
import inspect
import pkgutil
from functools import cache
from importlib import import_module
from itertools import pairwise
from types import ModuleType
from typing import Any

import qnewton

LISTED_BY_MODULE = ("qnewton.scheduler", "qnewton.training", "qnewton.experiments")
"""Packages without ``__all__``, so that importing them loads nothing: their modules are named."""


def public_names() -> dict[str, tuple[str, ...]]:
    """Return the names that every package with ``__all__`` exports, by package."""
    found = {}
    for name in ("qnewton", *_packages()):
        exported = getattr(import_module(name), "__all__", ())
        found[name] = tuple(sorted(exported))
    return {name: names for name, names in found.items() if names}


def own_names(module: str) -> tuple[str, ...]:
    """Return the public classes, functions and documented values that a module itself defines."""
    loaded = import_module(module)
    members = {
        name
        for name, value in vars(loaded).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    }
    return tuple(
        sorted(members | {n for n in _value_docs(module) if not n.startswith("_")})
    )


def docstring(module: str, name: str) -> str:
    """Return what a public name says of itself: a value by the string below it; else empty."""
    value = getattr(import_module(module), name)
    if is_value(value):
        return _value_docs(_defined_in(module, name)).get(name, "").strip()
    return inspect.getdoc(value) or ""


def is_value(value: Any) -> bool:
    """Return whether an object is neither a class, a function nor a module."""
    return not (
        inspect.isclass(value)
        or inspect.isroutine(value)
        or inspect.ismodule(value)
    )


def documented_object(module: str, name: str) -> object:
    """Return what stands for an object: itself, or where a value is defined, as values repeat."""
    value = getattr(import_module(module), name)
    if isinstance(value, ModuleType) or not is_value(value):
        return value
    return _defined_in(module, name), name


def _packages() -> list[str]:
    found = pkgutil.walk_packages(qnewton.__path__, "qnewton.")
    return [module.name for module in found if module.ispkg]


@cache
def _defined_in(module: str, name: str) -> str:
    tree = ast.parse(inspect.getsource(import_module(module)))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(
            (alias.asname or alias.name) == name for alias in node.names
        ):
            return _defined_in(str(node.module), name)
    return module


@cache
def _value_docs(module: str) -> dict[str, str]:
    body = ast.parse(inspect.getsource(import_module(module))).body
    found = {}
    for assignment, said in pairwise(body):
        match said:
            case ast.Expr(ast.Constant(str(text))):
                found |= {
                    name: inspect.cleandoc(text) for name in _assigned(assignment)
                }
    return found


def _assigned(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.Assign(targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(ast.Name(name)):
            return [name]
    return []
