"""A cell is the worst judgement of its row, and a mutant is tried on its own promise."""

from __future__ import annotations

import pytest

from bench.properties.__main__ import main
from bench.properties.cells import cell_of
from bench.properties.columns import CLEAN, Column, columns
from bench.properties.matrix import rows_of, tried
from bench.properties.rows import ROWS, SCENARIOS, Row
from bench.properties.table import shown
from tests.commands import ROOT

ROW = Row(3, {"limits": ("limits: *: isolation", "p(95)*")})


def verdict(isolation: str, *, p95: str = "PASS", word: str = "PASS") -> dict:
    evidence = [
        {"promise": f"{name}: isolation", "word": isolation, "reason": "seen"} for name in ("health", "balance")
    ]
    threshold = {"expect": "p(95) < 1 s", "scope": "all endpoints", "word": p95, "reason": "2 s"}
    return {
        "verdict": word,
        "audits": [{"audit": "limits", "evidence": evidence}],
        "thresholds": [threshold],
    }


@pytest.mark.parametrize(
    ("judged", "word", "decided_by"),
    [
        (verdict("PASS"), "PASS", "limits: health: isolation: seen"),
        (verdict("PASS", p95="INCONCLUSIVE"), "INCONCLUSIVE", "p(95) < 1 s (all endpoints): 2 s"),
        (verdict("FAIL", p95="INCONCLUSIVE"), "FAIL", "limits: health: isolation: seen"),
        ({"verdict": "PASS", "audits": [], "thresholds": []}, "INCONCLUSIVE", "limits judged no such thing"),
        (None, "INCONCLUSIVE", "limits judged no such thing"),
    ],
)
def test_a_cell_is_the_worst_judgement_of_its_row(judged, word, decided_by):
    """A missing judgement doesn't count as kept."""
    cell = cell_of(ROW, {"limits": judged})
    assert cell.word == word
    assert decided_by in cell.reason


def test_the_words_that_a_cell_may_have_are_predicted():
    """A mutant's own promise must be seen to break; others may break with a reason; the rest must hold."""
    mutant = Column("key-global", 3, "one key for all", {1: "others spend it"})
    assert [list(mutant.right(row)) for row in (3, 1, 2)] == [["FAIL"], ["FAIL", "INCONCLUSIVE", "PASS"], ["PASS"]]
    assert mutant.environment(is_quick=True) == {"TARGET_MUTANT": "key-global"}
    assert list(Column(CLEAN).right(3)) == ["PASS"]
    assert Column(CLEAN).environment(is_quick=True) == {}


def test_a_disturbed_run_is_repeated_once_if_its_word_is_wrong():
    """A busy machine is no fault of the target, and no excuse for what it broke."""
    words = iter([verdict("INCONCLUSIVE", word="INVALID"), verdict("PASS"), verdict("FAIL", word="INVALID")])
    (repeated,) = tried(Column(CLEAN), [ROW], lambda *_: next(words))
    assert (repeated.is_right, repeated.cell.word) == (True, "PASS")
    (broken,) = tried(Column("key-global", 3), [ROW], lambda *_: next(words))
    assert broken.is_right
    assert next(words, None) is None


def test_each_row_has_existing_mutants_and_scenarios():
    """The quick form tries each mutant on the promise that it breaks, and the clean API on all."""
    known = columns()
    assert {column.row for column in known} == {0, *(row.number for row in ROWS)}
    assert {name for row in ROWS for name in row.decided_by} == set(SCENARIOS)
    assert [name for name in SCENARIOS if not (ROOT / f"scenarios/{name}.yaml").exists()] == []
    assert list(rows_of(known[0], is_quick=True)) == list(ROWS)
    assert all([row.number for row in rows_of(column, is_quick=True)] == [column.row] for column in known[1:])
    numbers = {row.number for row in ROWS}
    assert all(set(column.also) < numbers and column.row not in column.also for column in known)


def test_a_misspelt_target_is_an_error(monkeypatch):
    """Otherwise nothing would be tried, and nothing wrong."""
    monkeypatch.setattr("sys.argv", ["properties", "--dry", "quota-race", "quota-rase"])
    with pytest.raises(SystemExit, match="no target or row is called quota-rase"):
        main()


def test_the_table_shows_cells_that_are_not_as_predicted():
    """A mutant that went unnoticed, and one that broke a promise that it should not."""
    cells = [
        {"column": CLEAN, "row": 1, "word": "PASS", "reason": "", "right": True},
        {"column": "quota-race", "row": 1, "word": "PASS", "reason": "", "right": False},
        {"column": "quota-race", "row": 2, "word": "FAIL", "reason": "", "right": True},
        {"column": "quota-race", "row": 13, "word": "FAIL", "reason": "", "right": False},
    ]
    column = {"name": "quota-race", "row": 1, "breaks": "a race", "also": {"2": "more is admitted"}}
    page = shown(
        {"date": "2026-01-01", "machine": "m", "python": "3", "command": "c", "columns": [column], "cells": cells}
    )
    assert "4 cells: **2 not as written down beforehand**" in page
    assert "quota-race **PASS, wrong**" in page
    assert "| quota-race | 2 | FAIL | more is admitted |" in page
    assert "| quota-race | 13 | FAIL | not expected |" in page
