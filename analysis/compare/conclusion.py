"""Turns a comparison into a sentence with the deciding numbers, and the next step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadproof.analysis.compare.comparedrow import ChangeWord, scale_of
from loadproof.analysis.compare.statistics.equivalence import margin_on
from loadproof.analysis.compare.statistics.power import MOST_RUNS
from loadproof.analysis.compare.statistics.welch import Scale
from loadproof.analysis.judge.verdict import deciding_reason
from loadproof.analysis.word import Word
from loadproof.plan.interleaving import MOST_PAIRS, PER_BLOCK
from loadproof.units import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.analysis.compare.comparedrow import ComparedRow
    from loadproof.analysis.compare.comparison import Comparison

VERDICTS: Final = {
    ChangeWord.REGRESSED: Word.FAIL,
    ChangeWord.IMPROVED: Word.PASS,
    ChangeWord.EQUIVALENT: Word.PASS,
    ChangeWord.INCONCLUSIVE: Word.INCONCLUSIVE,
}
"""The verdict of each word for a gate."""
_MOSTLY: Final = 0.5


@dataclass(frozen=True)
class Conclusion:
    word: ChangeWord
    reason: str
    next_step: str
    verdict: Word
    """The verdict for a gate."""


def conclusion_of(comparison: Comparison) -> Conclusion:
    word = comparison.word
    reason, next_step = _PARTS[word](comparison)
    # A failed threshold that requires a difference between equals is not a false alarm.
    if comparison.of_equals and (word is not ChangeWord.REGRESSED or _rows_of(comparison, word)):
        reason, next_step = _of_equals(comparison, reason, next_step)
    is_broken = any(finding.word is Word.INVALID for finding in comparison.findings)
    return Conclusion(word, f"{sentence(reason)}.", next_step, Word.INVALID if is_broken else VERDICTS[word])


def _of_equals(comparison: Comparison, reason: str, next_step: str) -> tuple[str, str]:
    """Reason and next step if both sides are the same release."""
    if comparison.word is ChangeWord.EQUIVALENT:
        return f"no false alarm: {reason}, as expected of a single release", "Compare two releases here now."
    again = "Repeat it on a quieter machine: at most one duel of equals in fifty may do this."
    if comparison.word is not ChangeWord.INCONCLUSIVE:
        return f"a false alarm: both sides are the same release; {reason}", again
    if improved := _rows_of(comparison, ChangeWord.IMPROVED):
        verdict = f"a false alarm: both sides are the same release; better: {_text(improved[0])}"
        return f"{verdict}{_and_more(improved, 'improved')}; {reason}", again
    equal = {row.word for row in comparison.deciding_rows} == {ChangeWord.EQUIVALENT}
    but = "" if equal else ", but it isn't shown to be equal either"
    return f"no false alarm: nothing is called changed{but}; {reason}", next_step


def signed_text(difference: float, scale: Scale) -> str:
    """'+12.3 %' for times and rates, '+0.15 points' for a share of requests; '–' if unknown."""
    if not math.isfinite(difference):
        return "–"
    digits = 1 if scale is Scale.RELATIVE else 2
    # Adding 0.0 turns -0.0 into 0.0.
    rounded = round(100 * difference, digits) + 0.0
    return f"{rounded:+.{digits}f} {'%' if scale is Scale.RELATIVE else 'points'}"


def interval_of(row: ComparedRow) -> str:
    """'+8.1 to +16.7 %'; '–' with a single run on a side."""
    if row.change is None or not math.isfinite(row.change.low):
        return "–"
    low, high = (signed_text(end, row.change.scale) for end in (row.change.low, row.change.high))
    return f"{low.partition(' ')[0]} to {high}"


def _text(row: ComparedRow) -> str:
    if row.change is None:
        return f"{row.row.text} has no values in {_thin_sides(row)}"
    if not row.is_tested:
        fewest = min(row.change.baseline_n, row.change.candidate_n)
        return f"{row.row.text} has values in {fewest} of {_thin_sides(row)} only"
    return f"{row.row.text} {signed_text(row.change.ratio, row.change.scale)} ({interval_of(row)})"


def _thin_sides(row: ComparedRow) -> str:
    """Which side's runs have no values, or fewer than the other side's."""
    was, now = (estimate.n if estimate else 0 for estimate in (row.baseline, row.candidate))
    if was == now == 0:
        return "any run"
    return "both sides' runs" if was == now else f"the {'baseline' if was < now else 'candidate'}'s runs"


def _in_margins(row: ComparedRow) -> float:
    return abs(row.change.difference) / margin_on(row.change.scale, row.margin) if row.change else 0.0


def _rows_of(comparison: Comparison, word: ChangeWord) -> list[ComparedRow]:
    """Rows with this word: those that thresholds name first, then by size of the change."""
    rows = [row for row in comparison.rows if row.word is word]
    return sorted(rows, key=lambda row: (not row.is_named, -_in_margins(row)))


def _and_more(rows: Sequence[ComparedRow], what: str) -> str:
    return f", and {len(rows) - 1} more {what}" if len(rows) > 1 else ""


def _regressed(comparison: Comparison) -> tuple[str, str]:
    rows = _rows_of(comparison, ChangeWord.REGRESSED)
    failed = [judgement for judgement in comparison.judgements if judgement.word is Word.FAIL]
    finding = next((each for each in comparison.findings if each.word is Word.FAIL), None)
    if finding is not None:
        return finding.what, f"{sentence(finding.remedy)}."
    if not rows:
        return deciding_reason(failed), "Fix the candidate, or correct the threshold."
    place = f"{rows[0].row.endpoint} in {rows[0].row.phase}"
    next_step = (
        f"Look at {place} in the reports of both sides' runs. "
        "Then fix the candidate, or raise the scenario's margin if such a change doesn't matter."
    )
    return f"worse: {_text(rows[0])}{_and_more(rows, 'regressed')}", next_step


def _improved(comparison: Comparison) -> tuple[str, str]:
    rows = _rows_of(comparison, ChangeWord.IMPROVED)
    return f"nothing regressed; better: {_text(rows[0])}{_and_more(rows, 'improved')}", _KEEP


def _equivalent(comparison: Comparison) -> tuple[str, str]:
    rows = comparison.deciding_rows
    what = "every row that a threshold names" if any(row.is_named for row in rows) else "every row"
    within = f"{what} is within {100 * comparison.margin:.3g} % of the baseline"
    if wider := [row for row in rows if row.margin > comparison.margin]:
        allowed = [f"{row.row.text} within the {100 * row.margin:.3g} % that its threshold allows" for row in wider]
        within = f"{within}, but {', '.join(allowed)}"
    return within, _KEEP


_KEEP: Final = "Nothing to do. Keep the candidate's runs as the baseline of the next release."


def _inconclusive(comparison: Comparison) -> tuple[str, str]:
    # Too few runs, or a duel that ended undecided, whose rows have no words.
    finding = next((note for note in comparison.findings if not note.is_note), None)
    if finding is not None:
        return finding.what, f"{sentence(finding.remedy)}."
    rows = [row for row in comparison.deciding_rows if row.word in {None, ChangeWord.INCONCLUSIVE}]
    if not rows:
        undecided = [judgement for judgement in comparison.judgements if judgement.word is Word.INCONCLUSIVE]
        more = "Duel again with more runs of each release (`--looks`)." if comparison.looks else _MORE_RUNS
        return deciding_reason(undecided), more
    worst = max(rows, key=lambda row: row.detectable if row.is_tested else math.inf)
    detectable = f"; {_would_have_shown(worst)}"
    undecided_rows = (
        f"{len(rows)} of {len(comparison.deciding_rows)} rows {'is' if len(rows) == 1 else 'are'} undecided"
    )
    reason = f"{undecided_rows}: {_text(worst)}{detectable if worst.is_tested else ''}"
    first = _far_off_first(comparison.far_off) if worst.is_tested else ""
    return reason, f"{first}{_more_runs(rows, worst, comparison.looks)}"


def _far_off_first(runs: int) -> str:
    """Advice on outliers first: one odd run makes all seem noisy, and explaining it is cheaper than dozens of runs."""
    if not runs:
        return ""
    which = "the run that is" if runs == 1 else f"the {runs} runs that are"
    return f"Find out what happened in {which} far from the others. If nothing explains it: "


def _would_have_shown(row: ComparedRow) -> str:
    scale = scale_of(row.metric)
    if scale is Scale.DIFFERENCE and row.detectable > 1:
        return "not even a change of all requests would have shown"
    return f"a change of {signed_text(row.detectable, scale)} would have shown"


_MORE_RUNS: Final = "Make more runs of each release, alternately."


def _more_runs(rows: Sequence[ComparedRow], worst: ComparedRow, looks: Sequence[int]) -> str:
    if not worst.is_tested:
        return f"Check the reports of {_thin_sides(worst)} for why {worst.row.endpoint} has nothing to measure there."
    needed = [row.runs_to_decide for row in rows if row.runs_to_decide is not None]
    if needed and len(needed) == len(rows):
        return _as_many(max(needed), looks)
    if worst.between_runs_share < _MOSTLY:
        return "Make longer runs: most of the noise is within a run. Or raise the scenario's margin."
    return (
        f"Find out why runs of one release differ so much: {MOST_RUNS} of each would not decide. Or raise the margin."
    )


def _as_many(runs: int, looks: Sequence[int]) -> str:
    """How to make this many runs a side; a duel's looks are scaled in proportion and rounded up to whole blocks."""
    would = "that many would decide in four of five cases"
    if not looks:
        return f"Make about {runs} runs of each release, alternately: {would}."
    if runs > MOST_PAIRS:
        what = f"about {runs} runs of each release would decide, more than a duel makes"
        return f"Make longer runs, or raise the scenario's margin: {what}."
    longer = ",".join(str(PER_BLOCK * math.ceil(look * runs / looks[-1] / PER_BLOCK)) for look in looks)
    return f"Duel again with `--looks {longer}`, about {runs} runs of each release: {would}."


_PARTS: Final = {
    ChangeWord.REGRESSED: _regressed,
    ChangeWord.IMPROVED: _improved,
    ChangeWord.EQUIVALENT: _equivalent,
    ChangeWord.INCONCLUSIVE: _inconclusive,
}
