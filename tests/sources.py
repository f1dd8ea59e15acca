"""Turns source files into syntax trees."""

from __future__ import annotations

import ast
import functools
from contextlib import suppress
from pathlib import Path
from typing import Final

_ATTEMPTS: Final = 3


def tree_of(file: Path) -> ast.Module:
    """The syntax tree of a file in this repository; cached in the process, so it must not be changed.

    CPython 3.11 counts the depth in a tree for all threads together, and raises SystemError if another thread builds a
    tree meanwhile, for example to format a traceback. Source: https://github.com/python/cpython/issues/106905.
    """
    return _tree(file.read_text(encoding="utf-8"))


def nodes_of(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file's syntax tree."""
    return _nodes(file.read_text(encoding="utf-8"))


@functools.cache
def _nodes(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_tree(text)))


@functools.cache
def _tree(text: str) -> ast.Module:
    for _ in range(_ATTEMPTS - 1):
        with suppress(SystemError):
            return ast.parse(text)
    return ast.parse(text)
