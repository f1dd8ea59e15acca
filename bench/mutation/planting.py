"""Plants one mutant in the modules that this process has loaded, wherever its function or constant is used."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.mutation.mutants import Mutant


def plant(path: Path, tree: ast.Module, mutant: Mutant) -> None:
    """For good: in a separate process. `tree` is the module that contains the fault."""
    module = sys.modules[".".join(path.with_suffix("").parts)]
    if is_function(tree, mutant.within):
        code = compile(ast.fix_missing_locations(tree), str(path.resolve()), "exec", dont_inherit=True)
        (mutated,) = [found for found in _codes(code) if found.co_qualname == mutant.within]
        # Other modules imported the function by name: it stays the same object.
        _function(module, mutant.within).__code__ = mutated
    else:
        _put_constant(module, tree, mutant.within)


def is_function(tree: ast.Module, within: str) -> bool:
    """Or a method; otherwise a constant."""
    return "." in within or any(isinstance(node, ast.FunctionDef) and node.name == within for node in tree.body)


def lines_of(tree: ast.Module, mutant: Mutant) -> set[int]:
    """The lines on which tests come across it: for a constant, those of its uses."""
    if is_function(tree, mutant.within):
        return set(mutant.lines)
    named = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == mutant.within)
    return {node.lineno for node in named}


def _function(module: ModuleType, name: str) -> FunctionType:
    held: Any = module
    for part in name.split("."):
        held = vars(held)[part]
    function = inspect.unwrap(getattr(held, "fget", None) or getattr(held, "__func__", held))
    assert isinstance(function, FunctionType)
    return function


def _put_constant(module: ModuleType, tree: ast.Module, name: str) -> None:
    (value,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name
    ]
    assert value is not None
    expression = compile(ast.fix_missing_locations(ast.Expression(value)), module.__name__, "eval")
    was, becomes = vars(module)[name], eval(expression, vars(module))  # noqa: S307 - our own source
    for other in list(sys.modules.values()):
        if getattr(other, "__dict__", {}).get(name) is was:
            setattr(other, name, becomes)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield inner
            yield from _codes(inner)
