"""Turns the stored results into the tables in the documentation: attempts to fool the verdict, and their results."""

from __future__ import annotations

from collections import Counter
from typing import Any

HEAD = ("attempt", "cases", "expected", "verdict", "wrong")


def shown(results: dict[str, Any]) -> str:
    """The counts in a sentence, and tables with a row per kind: first of attempts to fool it, then of honest cases."""
    found = results["found"]
    hostile = [one for one in found if not one["honest"]]
    honest = [one for one in found if one["honest"]]
    parts = [_counts(results), "**Attempts to fool it**", _table(hostile), "**Honest cases**", _table(honest)]
    return "\n\n".join(parts)


def _counts(results: dict[str, Any]) -> str:
    """One sentence with the counts, and one about the machine's influence."""
    counts = (
        f"{results['cases']} of {results['of']} cases, of {results['kinds']} kinds, {results['honest']} of them honest,"
    )
    counts += f" in {results['rounds']} rounds: **{results['wrong_words']} wrong verdicts**."
    if results["repeated"] or results["unmeasured"]:
        counts += f" {results['repeated']} rounds were repeated because the machine was busy."
    if results["unmeasured"]:
        counts += f" {results['unmeasured']} could not be measured."
    if results["disturbed"]:
        counts += f" {results['disturbed']} of the wrong verdicts are an honest target's INVALID on a busy machine."
    return f"{results['date']}, {results['machine']}, Python {results['python']}; `{results['command']}`. {counts}"


def _table(results: list[dict[str, Any]]) -> str:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for case in results:
        kinds.setdefault(case["kind"], []).append(case)
    lines = [HEAD, ("---", "---", "---", "---", "---:"), *(_row(kind, cases) for kind, cases in kinds.items())]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(kind: str, cases: list[dict[str, Any]]) -> tuple[str, ...]:
    verdicts: Counter[str] = Counter()
    for case in cases:
        verdicts.update(case["said"])
    right = dict.fromkeys(word for case in cases for word in case["right"])
    wrong = [case["name"] for case in cases if case["wrong"]]
    return (
        _cell(kind),
        _cell("; ".join(_case(case, kind) for case in cases)),
        " or ".join(right),
        _words(verdicts),
        _cell(f"{len(wrong)}: {', '.join(wrong)}" if wrong else "0"),
    )


def _case(case: dict[str, Any], kind: str) -> str:
    return str(case["tries"]) if case["name"] == kind else f"{case['name']}: {case['tries']}"


def _words(verdicts: Counter[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in sorted(verdicts.items())) or "not measured"


def _cell(text: str) -> str:
    """Escape the text, so that none of it is markup or ends the cell."""
    for mark in "\\|<>*_`[]":
        text = text.replace(mark, f"\\{mark}")
    return text
