"""Faults are planted where they should be and nowhere else, and the table adds up."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from bench.mutation import __main__ as mutation
from bench.mutation import table
from bench.mutation.mutants import mutants_of
from bench.mutation.planting import lines_of, plant

SOURCE = '''
"""A module."""
from typing import Final

LIMIT: Final = {"most": 3}
"""Of something."""


def inside(value: int) -> bool:
    """Not beyond it."""
    if not value:
        return True
    return (
        value < LIMIT["most"]
    )


class Kept:
    @property
    def told(self) -> str:
        return f"{2:.1f} of " + ("many" if inside(2) else "few")
'''


def faults_in(source: str) -> list[tuple[str, range, str]]:
    return [(mutant.within, mutant.lines, mutant.told) for mutant in mutants_of(ast.parse(source))]


def test_each_kind_of_node_has_its_faults():
    """Each named after its function or constant; none in docstrings or annotations."""
    found = faults_in(SOURCE)
    assert [told for within, _, told in found if within == "LIMIT"] == ["'most' → 'XX'", "3 → 4"]
    assert [(lines, told) for within, lines, told in found if within == "inside"] == [
        (range(11, 12), "if not value: return True → if not not value: return True"),
        (range(11, 12), "not value → value"),
        (range(12, 13), "return True → return None"),
        (range(12, 13), "True → False"),
        (range(13, 16), "return value < LIMIT['most'] → return None"),
        (range(13, 16), "Lt → LtE"),
        (range(13, 16), "Lt → GtE"),
        (range(13, 16), "'most' → 'XX'"),
    ]
    assert [told for within, _, told in found if within == "Kept.told"] == [
        "return f'{2:.1f} of ' + ('many' if inside(2) else 'few') → return None",
        "2 → 3",
        "' of ' → 'XX'",
        "Add → Sub",
        "'many' if inside(2) else 'few' → 'many' if not inside(2) else 'few'",
        "2 → 3",
        "'many' → 'XX'",
        "'few' → 'XX'",
    ]


@pytest.mark.parametrize(
    ("statement", "faults"),
    [
        ("x = min(a, 1.5)", ["min → max", "1.5 → 2.5"]),
        ("x += a", ["x += a → nothing", "Add → Sub"]),
        ("raise ValueError", ["raise ValueError → nothing"]),
        ("f(a, b=c)", ["f(a, b=c) → nothing", "f(a, b=c) → f(a)"]),
        ("x = [y for y in a if y]", ["for y in a if y → for y in a"]),
        ("x = a and not b", ["And → Or", "not b → b"]),
        ("x = b'a'", ["b'a' → b'XX'"]),
        ("x = ''", []),
        ("return None", []),
        ("assert a > 1", []),
        ("x: int = -1", ["-1 → 1", "1 → 2"]),
    ],
)
def test_a_statement_has_the_expected_number_of_faults(statement, faults):
    """Each mutant has one fault."""
    assert [told for _, _, told in faults_in(f"def f():\n    {statement}\n")] == faults


@pytest.fixture
def module(monkeypatch):
    """A module that looks as if it were imported from `mutated.py`."""
    made = ModuleType("mutated")
    exec(compile(SOURCE, "mutated.py", "exec"), vars(made))  # noqa: S102 - the source above
    monkeypatch.setitem(sys.modules, "mutated", made)
    return made


def planted(told: str, within: str) -> None:
    tree = ast.parse(SOURCE)
    mutant = next(one for one in mutants_of(tree) if (one.within, one.told) == (within, told))
    mutant.put(mutant.fault)
    plant(Path("mutated.py"), tree, mutant)


def test_a_fault_in_a_function_affects_modules_that_imported_it(module):
    """The function object stays the same."""
    imported = module.inside
    assert (imported(3), imported(2)) == (False, True)
    planted("Lt → LtE", "inside")
    assert (imported(3), module.inside(3)) == (True, True)


def test_a_fault_in_a_property_takes_effect(module):
    """With or without further decorators."""
    assert module.Kept().told == "2.0 of many"
    planted("'many' → 'XX'", "Kept.told")
    assert module.Kept().told == "2.0 of XX"


def test_a_fault_in_a_constant_affects_modules_that_imported_it(module, monkeypatch):
    """Each module that has the same object gets the new value."""
    other = ModuleType("other")
    other.LIMIT = module.LIMIT
    monkeypatch.setitem(sys.modules, "other", other)
    planted("3 → 4", "LIMIT")
    assert module.LIMIT == other.LIMIT == {"most": 4}
    assert module.inside(3)


def test_tests_of_a_constant_are_those_that_run_its_uses():
    """Its own line runs only once, when it is imported."""
    tree = ast.parse(SOURCE)
    lines = {mutant.within: lines_of(tree, mutant) for mutant in mutants_of(tree)}
    assert lines["LIMIT"] == {5, 14}
    assert lines["inside"] == {13, 14, 15}


def test_the_table_adds_up(monkeypatch):
    """By file and group; survivors are listed by reason, unexplained ones last."""
    monkeypatch.setattr(table, "REASONS", (("a.py f: 1 *", "nobody asked"),))
    killers = {"1 → 2": "", "3 → 4": "no test", "5 → 6": "time", "7 → 8": "tests/x.py::y"}
    fates = [{"path": "a.py", "within": "f", "line": 1, "told": told, "killed_by": by} for told, by in killers.items()]
    group = {"date": "2026-01-01", "machine": "M", "seed": 1, "planned": {"a.py": 9, "b.py": 1}, "fates": fates}
    assert table.share(fates) == 0.5
    assert table.shown({"judge": group}).splitlines() == [
        "| file | mutants | tried | noticed | by time | survived |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| `a.py` | 9 | 4 | 50.0% | 1 | 2 |",
        "| `b.py` | 1 | 0 | – | 0 | 0 |",
        "| **judge** (2026-01-01, M, seed 1) | 10 | 4 | 50.0% | 1 | 2 |",
        "",
        "**What survived in judge**, by reason:",
        "",
        "- nobody asked (1): `a.f` `1 → 2`",
        "- not looked into (1): `a.f` `3 → 4`",
    ]


def test_several_groups_are_told_which_tests_to_run(monkeypatch):
    """Each group is a process of its own."""
    commands = []

    def run(command, **_):
        commands.append(command[3:])
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(mutation.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["mutation", "judge", "users", "--tests", "tests/a.py", "tests/b.py"])
    with pytest.raises(SystemExit):
        mutation.main()
    assert [command[0] for command in commands] == ["judge", "users"]
    assert all(command[-3:] == ["--tests", "tests/a.py", "tests/b.py"] for command in commands)
