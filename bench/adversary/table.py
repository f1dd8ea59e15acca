"""Turns the stored results into the table in the documentation: what was tried to fool the verdict, and the result."""

from __future__ import annotations

from collections import Counter
from typing import Any

HEAD = ("attempt", "cases", "expected", "verdict", "wrong")


def shown(results: dict[str, Any]) -> str:
    """The counts in a sentence, and a row per kind: first what must not PASS, then what must."""
    found = results["found"]
    hostile = [one for one in found if not one["honest"]]
    honest = [one for one in found if one["honest"]]
    parts = [_counts(results), "**Attempts to fool it**", _table(hostile), "**Honest cases**", _table(honest)]
    return "\n\n".join(parts)


def _counts(results: dict[str, Any]) -> str:
    """One sentence with the counts, and one about the machine's influence."""
    told = (
        f"{results['cases']} of {results['of']} cases, of {results['kinds']} kinds, {results['honest']} of them honest,"
    )
    told += f" in {results['rounds']} rounds: **{results['wrong_words']} wrong verdicts**."
    if results["repeated"] or results["unmeasured"]:
        told += f" {results['repeated']} rounds were repeated because the machine was busy."
    if results["unmeasured"]:
        told += f" {results['unmeasured']} could not be measured."
    if results["disturbed"]:
        told += f" {results['disturbed']} of the wrong verdicts are an honest target's INVALID on a busy machine."
    return f"{results['date']}, {results['machine']}, Python {results['python']}; `{results['command']}`. {told}"


def _table(found: list[dict[str, Any]]) -> str:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        kinds.setdefault(one["kind"], []).append(one)
    lines = [HEAD, ("---", "---", "---", "---", "---:"), *(_row(kind, cases) for kind, cases in kinds.items())]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(kind: str, cases: list[dict[str, Any]]) -> tuple[str, ...]:
    said: Counter[str] = Counter()
    for one in cases:
        said.update(one["said"])
    right = dict.fromkeys(word for one in cases for word in one["right"])
    wrong = [one["name"] for one in cases if one["wrong"]]
    return (
        _cell(kind),
        _cell("; ".join(_case(one, kind) for one in cases)),
        " or ".join(right),
        _words(said),
        _cell(f"{len(wrong)}: {', '.join(wrong)}" if wrong else "0"),
    )


def _case(one: dict[str, Any], kind: str) -> str:
    return str(one["tries"]) if one["name"] == kind else f"{one['name']}: {one['tries']}"


def _words(said: Counter[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in sorted(said.items())) or "not measured"


def _cell(text: str) -> str:
    """Escaped, so that nothing in it is markup or ends the cell."""
    for mark in "\\|<>*_`[]":
        text = text.replace(mark, f"\\{mark}")
    return text
