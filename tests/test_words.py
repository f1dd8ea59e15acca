"""Names in the product's code: a name that says nothing about its value must not live for long."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.sources import nodes_of

PACKAGES = ("analysis", "loadproof", "locustfiles", "payments_api")
SAYING_NOTHING = frozenset({"came", "each", "found", "one", "seen", "told"})
_BOUND = re.compile(rf"\b({'|'.join(SAYING_NOTHING)})\s*(?:[:=,)\]]|in\b)")
"""What follows a name that is assigned, in any statement: most files have none, and needn't be parsed."""
LINES = 2
"""Most lines from the assignment of such a name to its last use."""
Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_lived(function: ast.AST) -> Iterator[str]:
    """Such names that live longer; a name in a comprehension lives as long as the comprehension."""
    comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    within = {
        node
        for inner in ast.walk(function)
        if isinstance(inner, comprehensions) and (inner.end_lineno or 0) - inner.lineno <= LINES
        for node in ast.walk(inner)
        if isinstance(node, ast.Name) and node.id in targets_of(inner)
    }
    lines: dict[str, list[int]] = defaultdict(list)
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node not in within:
            lines[node.id].append(node.lineno)
        elif isinstance(node, ast.arg):
            lines[node.arg].append(node.lineno)
    return (name for name in sorted(SAYING_NOTHING & lines.keys()) if max(lines[name]) - min(lines[name]) > LINES)


def targets_of(comprehension: ast.AST) -> set[str]:
    loops = [node.target for node in ast.walk(comprehension) if isinstance(node, ast.comprehension)]
    return {node.id for target in loops for node in ast.walk(target) if isinstance(node, ast.Name)}


def files() -> Iterator[Path]:
    every = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return (file for file in every if _BOUND.search(file.read_text(encoding="utf-8")))


def test_a_meaningless_name_is_short_lived():
    """`found` what? The reader would have to look up where it came from."""
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {name}"
        for file in files()
        for node in nodes_of(file)
        if isinstance(node, Function)
        for name in long_lived(node)
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("found = f()\n    return found", []),
        ("found = f()\n    a\n    b\n    return found", ["found"]),
        ("[one for one in x]\n    a\n    b\n    [one for one in y]", []),
        ("[\n        one\n        for one in x\n        if a\n        if one\n    ]", ["one"]),
        ("for each in x:\n        a\n        b\n        each()", ["each"]),
    ],
)
def test_meaningless_names_are_found(body, wrong):
    """However they are assigned."""
    (function,) = ast.parse(f"def f(x):\n    {body}\n").body
    assert list(long_lived(function)) == wrong
