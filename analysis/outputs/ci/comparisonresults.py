"""Turns a comparison into its verdict and test cases, for JUnit XML and annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from loadproof.analysis.compare.comparedrow import ChangeWord
from loadproof.analysis.compare.conclusion import VERDICTS, conclusion_of, interval_of, signed_text
from loadproof.analysis.outputs.ci.concluded import Concluded
from loadproof.analysis.outputs.ci.junit import TRUSTED, Case
from loadproof.analysis.word import Word, strongest
from loadproof.units import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.analysis.compare.comparedrow import ComparedRow
    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.judge.finding import Finding

NOTHING_ELSE: Final = "nothing else regressed"


def concluded_comparison(comparison: Comparison) -> Concluded:
    """One case per deciding row and per threshold on the baseline, one for all other rows, one for findings."""
    conclusion, cases = conclusion_of(comparison), tuple(_cases(comparison))
    # If there are too few runs for any word, one message is enough.
    annotated = cases if any(row.word for row in comparison.rows) else ()
    parts = comparison.scenario.name, conclusion.verdict, conclusion.reason, conclusion.next_step
    return Concluded("compare", *parts, cases, annotated)


def concluded_ending(scenario: str, ending: Finding) -> Concluded:
    """A duel that ended before it had anything to compare, from the finding on its ending."""
    case = Case(TRUSTED, ending.word, f"{ending.what}; {ending.remedy}", 0.0)
    reason, next_step = f"{sentence(ending.what)}.", f"{sentence(ending.remedy)}."
    return Concluded("compare", scenario, ending.word, reason, next_step, (case,), ())


def _cases(comparison: Comparison) -> Iterator[Case]:
    for row in comparison.deciding_rows:
        yield Case(_name(row), _verdict(row), _change(row), 0.0)
    for judgement in comparison.judgements:
        yield Case(f"{judgement.threshold.scope}: {judgement.threshold.expect}", judgement.word, judgement.reason, 0.0)
    others = [
        row for row in comparison.rows if row.word is ChangeWord.REGRESSED and row not in comparison.deciding_rows
    ]
    message = " | ".join(f"{_name(row)} {_change(row)}" for row in others)
    yield Case(NOTHING_ELSE, Word.FAIL if others else Word.PASS, message, 0.0)
    findings = [finding for finding in comparison.findings if not finding.is_note]
    word = strongest((Word.PASS, *(finding.word for finding in findings)))
    yield Case(TRUSTED, word, " | ".join(f"{finding.what}; {finding.remedy}" for finding in findings), 0.0)


def _name(row: ComparedRow) -> str:
    return f"{row.row.endpoint} · {row.row.phase}: {row.row.metric}"


def _verdict(row: ComparedRow) -> Word:
    return VERDICTS[row.word] if row.word else Word.INCONCLUSIVE


def _change(row: ComparedRow) -> str:
    if row.change is None:
        return "no values on one side"
    word = row.word or ("no word yet" if row.is_tested else "too few runs")
    return f"{word}: {signed_text(row.change.ratio, row.change.scale)} ({interval_of(row)})"
