"""Plants a mutant in all loaded modules of this process that use its function or constant."""

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
    """Plant the mutant for good, so do it in a separate process; `tree` is the module's tree with the fault in it."""
    module = sys.modules[".".join(path.with_suffix("").parts)]
    if is_function(tree, mutant.within):
        code = compile(ast.fix_missing_locations(tree), str(path.resolve()), "exec", dont_inherit=True)
        (mutated,) = [found for found in _codes(code) if found.co_qualname == mutant.within]
        # Keep the function object: other modules may have imported it by name.
        _function(module, mutant.within).__code__ = mutated
    else:
        _put_constant(module, tree, mutant.within)


def is_function(tree: ast.Module, within: str) -> bool:
    """Whether it is a function or method, and not a constant."""
    return "." in within or any(isinstance(node, ast.FunctionDef) and node.name == within for node in tree.body)


def lines_of(tree: ast.Module, mutant: Mutant) -> set[int]:
    """Lines that a test must run to meet the mutant: for a constant, the lines that use it."""
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
