"""Turns a duel's runs into a comparison with the words of the current look, and whether that decides the duel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.compare.baseline.sides import interleaved
from loadproof.analysis.compare.baseline.thresholds import judge_beside_runs
from loadproof.analysis.compare.comparedrow import ChangeWord, ComparedRow, compared
from loadproof.analysis.compare.comparison import FALSE_ALARMS, compare
from loadproof.analysis.compare.replicates import row_of
from loadproof.analysis.compare.statistics.equivalence import equivalence_p
from loadproof.analysis.compare.statistics.looks import changed, equivalence_level, nominal_levels
from loadproof.analysis.compare.statistics.power import detectable, runs_to_decide
from loadproof.analysis.word import Word
from loadproof.plan.evidence import CONFIDENCE

if TYPE_CHECKING:
    from loadproof.analysis.compare.comparison import Comparison
    from loadproof.analysis.compare.replicates import Replicate, Row
    from loadproof.analysis.judge.judgement import Judgement
    from loadproof.scenario.thresholds.expectation import Expectation

    Sides = tuple[Sequence[Replicate], Sequence[Replicate]]

FAMILY_ALPHA: Final = 0.75 * FALSE_ALARMS
"""The error rate for rows that thresholds name, over all looks; the rest is for other rows, at the last look."""
_CHANGED: Final = frozenset({ChangeWord.REGRESSED, ChangeWord.IMPROVED})
_FINE: Final = frozenset({ChangeWord.EQUIVALENT, ChangeWord.IMPROVED})


@dataclass(frozen=True)
class InterimResult:
    """The result of one look."""

    comparison: Comparison
    """Rows that thresholds name have the look's words; other rows only have words at the last look."""
    reason: str
    """Why the duel is decided; empty if it goes on."""

    @property
    def changed(self) -> int:
        """The number of rows that are regressed or improved."""
        return sum(row.word in _CHANGED for row in self.comparison.rows)


def interim_result(sides: Sides, runs: tuple[int, ...], look: int) -> InterimResult:
    """The result for the runs of baseline and candidate, in order, at this look (from 0).

    `runs` are the numbers of runs a side at all looks, fixed beforehand. What a threshold on the baseline allows is the
    margin of its row; thresholds that allow less than the margin are decided separately.
    """
    is_last = look == len(runs) - 1
    bare = compare(*sides, family=())
    named = [row for row in bare.rows if row.is_named]
    words = words_at([_at(named, sides, count) for count in runs[: look + 1]], runs)
    others = [row.row for row in bare.rows if not row.is_named] if is_last else []
    comparison = compare(*sides, family=others, false_alarms=FALSE_ALARMS - FAMILY_ALPHA)
    level = nominal_levels(runs, FAMILY_ALPHA / max(len(named), 1))[look]
    rows = [_with_word(row, words[row.row], level, len(named)) if row.is_named else row for row in comparison.rows]
    judgements = tuple(_beside_margins(named, sides, nominal_levels(runs, 1 - CONFIDENCE)[look]))
    comparison = replace(comparison, rows=tuple(rows), tested=comparison.tested + len(named), judgements=judgements)
    return InterimResult(comparison, _reason(words, judgements, is_last=is_last))


def _beside_margins(named: Sequence[ComparedRow], sides: Sides, level: float) -> Iterator[Judgement]:
    """Judgements of thresholds on the baseline that allow less than their row's margin: being equivalent isn't enough.

    A share of requests has a different margin, so a threshold on it only counts if it is certainly violated.
    """
    scenario = sides[1][0].manifest.scenario
    margins = {row.row: row.margin for row in named}
    whole = tuple([run for run in side if not run.broke] for side in sides)
    blocks = interleaved(*whole)
    for threshold in scenario.thresholds:
        expectation, row = threshold.expectation, row_of(threshold, scenario)
        if not expectation.of_baseline or _is_in_margin(expectation, margins[row]):
            continue
        judgement = judge_beside_runs(threshold, whole, row, blocks, confidence=1 - level)
        if judgement.word is Word.FAIL or not expectation.metric.kind.is_ratio:
            yield judgement


def _is_in_margin(expectation: Expectation, margin: float) -> bool:
    """Whether every row that is equivalent or improved meets this threshold."""
    factor = expectation.limit if expectation.wants_low else 1 / expectation.limit if expectation.limit > 0 else 0.0
    return not expectation.metric.kind.is_ratio and factor >= (1 + margin) * (1 - 1e-9)


def _at(named: Sequence[ComparedRow], sides: Sides, count: int) -> dict[Row, ComparedRow]:
    """These rows as they were when each side had `count` runs."""
    first = (sides[0][:count], sides[1][:count])
    blocks = interleaved(*first)
    return {
        row.row: replace(
            compared(row.row, row.metric, first, blocks), margin=row.margin, should_be_high=row.should_be_high
        )
        for row in named
    }


def words_at(looks: Sequence[Mapping[Row, ComparedRow]], runs: tuple[int, ...]) -> dict[Row, ChangeWord]:
    """The family's words at the last of these looks.

    A change that is certainly within the margin is 'equivalent', however certain the change itself is.
    """
    p_values = [{row: _p(compared_row) for row, compared_row in rows.items()} for rows in looks]
    found = changed(p_values, runs, FAMILY_ALPHA)
    level = equivalence_level(runs, len(looks) - 1)
    return {row: _word(compared_row, level, is_changed=row in found) for row, compared_row in looks[-1].items()}


def _word(row: ComparedRow, level: float, *, is_changed: bool) -> ChangeWord:
    if row.change is not None and equivalence_p(row.change, row.margin) <= level:
        return ChangeWord.EQUIVALENT
    if is_changed:
        return ChangeWord.REGRESSED if row.is_worse else ChangeWord.IMPROVED
    return ChangeWord.INCONCLUSIVE


def _p(row: ComparedRow) -> float:
    """The row's p-value; 1 if it can't be tested."""
    return 1.0 if row.change is None or math.isnan(row.change.p) else row.change.p


def _with_word(row: ComparedRow, word: ChangeWord, level: float, rows: int) -> ComparedRow:
    if row.change is None:
        return replace(row, word=word)
    needed = None
    if word is ChangeWord.INCONCLUSIVE:
        needed = runs_to_decide(row.change, margin=row.margin, level=level)
    return replace(
        row,
        word=word,
        adjusted_p=min(1.0, rows * row.change.p),
        detectable=detectable(row.change, level),
        runs_to_decide=needed,
    )


def _reason(words: Mapping[Row, ChangeWord], judgements: Sequence[Judgement], *, is_last: bool) -> str:
    regressed = [row for row, word in words.items() if word is ChangeWord.REGRESSED]
    if regressed:
        more = f", and {len(regressed) - 1} more" if len(regressed) > 1 else ""
        return f"{' · '.join(regressed[0])} regressed{more}"
    if broken := [each.threshold for each in judgements if each.word is Word.FAIL]:
        return f"{broken[0].scope}: {broken[0].expect} is violated"
    is_kept = all(judgement.word is Word.PASS for judgement in judgements)
    if words and is_kept and all(word in _FINE for word in words.values()):
        return "everything that a threshold names is equivalent or improved"
    return "that was the last look" if is_last else ""
