"""Turns the stored results into the tables in the documentation: a row per promise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.properties.rows import ROWS
from bench.ranges import conditions
from bench.tables.markdown import table
from payments_api.mutants.catalogue import PROMISES


def shown(results: Mapping[str, Any]) -> str:
    """Two tables: each row with the clean API and its own mutants, and all other cells that aren't PASS."""
    cells = {(cell["column"], cell["row"]): cell for cell in results["cells"]}
    rows = []
    for row in ROWS:
        clean = cells.get(("clean", row.number))
        own = [column for column in results["columns"] if column["row"] == row.number]
        words = ", ".join(f"{column['name']} {_word(cells.get((column['name'], row.number)))}" for column in own)
        rows.append((row.number, PROMISES[row.number], ", ".join(row.decided_by), _word(clean), words or "none"))
    wrong = sum(not cell["right"] for cell in results["cells"])
    head = ("", "promise", "scenarios", "clean", "each mutant of it")
    text = f"{conditions(results)} {len(results['cells'])} cells: **{wrong} not as written down beforehand**."
    return "\n\n".join(filter(None, (text, table(head, rows), _elsewhere(results))))


def _elsewhere(results: Mapping[str, Any]) -> str:
    """Cells of mutants, in other rows than their own, that aren't PASS."""
    rows = []
    for column in results["columns"]:
        reasons = column["also"]
        for cell in results["cells"]:
            if cell["column"] == column["name"] and cell["row"] not in {0, column["row"]} and cell["word"] != "PASS":
                expected = reasons.get(str(cell["row"]), "not expected")
                rows.append((column["name"], cell["row"], cell["word"], expected))
    return table(("mutant", "also in row", "word", "because"), rows) if rows else ""


def _word(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not tried"
    return cell["word"] if cell["right"] else f"**{cell['word']}, wrong**"
