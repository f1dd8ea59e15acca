"""Turns the runs of two releases into a word for each row, and one overall: regressed, improved, equivalent or neither.

All rows of the family share one false-alarm rate, by Benjamini and Hochberg's procedure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from loadproof.analysis.compare.baseline.sides import check_sides, interleaved
from loadproof.analysis.compare.baseline.thresholds import judgements_beside
from loadproof.analysis.compare.comparedrow import (
    ENOUGH_RUNS,
    ChangeWord,
    ComparedRow,
    compared,
    estimates_in,
    is_constant,
    is_thin,
)
from loadproof.analysis.compare.outliers import outliers
from loadproof.analysis.compare.replicates import directions_of, row_of, sources_of
from loadproof.analysis.compare.statistics.equivalence import is_equivalent
from loadproof.analysis.compare.statistics.power import detectable, runs_to_decide
from loadproof.analysis.compare.unfit import no_longer_sent, violated
from loadproof.analysis.judge.finding import Finding
from loadproof.analysis.word import Word

if TYPE_CHECKING:
    from loadproof.analysis.compare.replicates import Replicate, Row
    from loadproof.analysis.compare.statistics.welch import Blocks
    from loadproof.analysis.judge.judgement import Judgement
    from loadproof.scenario.scenario import Scenario

FALSE_ALARMS: Final = 0.02
"""How often, at most, a comparison of equal releases calls any row changed; half of those would look worse, not better.

Source: Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x, whose procedure guarantees it for all rows
of equal releases together; for correlated rows, Benjamini and Yekutieli 2001, doi:10.1214/aos/1013699998.
"""


@dataclass(frozen=True)
class Comparison:
    """The runs of two releases, compared."""

    baseline: tuple[Replicate, ...]
    candidate: tuple[Replicate, ...]
    rows: tuple[ComparedRow, ...]
    tested: int
    """The number of rows tested together: the size of the family."""
    judgements: tuple[Judgement, ...]
    """Judgements of thresholds on the baseline."""
    findings: tuple[Finding, ...]
    margin: float
    is_interleaved: bool
    """Runs were compared within blocks."""
    far_off: int = 0
    """The number of runs that are far from the others on their side; a finding names each."""
    of_equals: bool = False
    """Both sides are the same release, so whatever changed is a false alarm."""
    looks: tuple[int, ...] = ()
    """The numbers of runs a side at which a duel looked; empty if this is no duel."""

    @property
    def scenario(self) -> Scenario:
        return self.candidate[0].manifest.scenario

    @property
    def word(self) -> ChangeWord:
        """Regressed if any row, threshold or finding says so; inconclusive if a deciding row, threshold or finding is.

        Otherwise improved if any row is, or else equivalent.
        """
        words = {row.word for row in self.rows}
        judged = {judgement.word for judgement in self.judgements} | {finding.word for finding in self.findings}
        if ChangeWord.REGRESSED in words or Word.FAIL in judged:
            return ChangeWord.REGRESSED
        deciding = {row.word for row in self.deciding_rows}
        if not deciding or deciding & {None, ChangeWord.INCONCLUSIVE} or Word.INCONCLUSIVE in judged:
            return ChangeWord.INCONCLUSIVE
        return ChangeWord.IMPROVED if ChangeWord.IMPROVED in words else ChangeWord.EQUIVALENT

    @property
    def deciding_rows(self) -> tuple[ComparedRow, ...]:
        """Rows that thresholds name; all rows if they name none."""
        named = tuple(row for row in self.rows if row.is_named)
        return named or self.rows

    @property
    def least_runs(self) -> int:
        """The number of usable runs on the side with fewer."""
        return min(sum(not run.broke for run in side) for side in (self.baseline, self.candidate))


def compare(
    baseline: Sequence[Replicate],
    candidate: Sequence[Replicate],
    *,
    margin: float | None = None,
    family: Collection[Row] | None = None,
    false_alarms: float = FALSE_ALARMS,
) -> Comparison:
    """Compare the runs of two releases, at least one of each; InputError if they can't be compared.

    `margin` is a fraction; None: the scenario's. `family` are the rows that get a word; None: all.
    `false_alarms` is how often, at most, any word for equal releases may say that something changed.
    """
    findings = [*check_sides(baseline, candidate), *_broken(baseline, candidate)]
    scenario = candidate[0].manifest.scenario
    margin = scenario.margin if margin is None else margin
    sides = tuple([run for run in runs if not run.broke] for runs in (baseline, candidate))
    findings += [*no_longer_sent(*sides), *violated(sides[1], scenario)]
    blocks = interleaved(*sides)
    rows, tested = _worded(_rows_of(sides, scenario, margin, blocks), sides, family, false_alarms)
    far_off = list(outliers(rows, sides))
    return Comparison(
        baseline=tuple(baseline),
        candidate=tuple(candidate),
        rows=tuple(rows),
        tested=tested,
        judgements=judgements_beside(sides[0], sides[1], scenario, blocks),
        findings=(*findings, *far_off),
        margin=margin,
        is_interleaved=blocks is not None,
        far_off=len(far_off),
    )


def _rows_of(
    sides: tuple[Sequence[Replicate], ...], scenario: Scenario, margin: float, blocks: Blocks | None
) -> list[ComparedRow]:
    """Rows that thresholds name, and all others with enough answers; without words."""
    named = {row_of(threshold, scenario) for threshold in scenario.thresholds}
    margins, directions = _margins(scenario), directions_of(scenario)
    # A locustfile may send different requests from run to run.
    scenarios = (scenario, *(run.manifest.scenario for runs in sides for run in runs))
    metrics = {row: source.metric for each in scenarios for row, source in sources_of(each).items()}
    return [
        replace(
            compared(row, metric, sides, blocks),
            is_named=row in named,
            margin=max(margin, margins.get(row, 0.0)),
            should_be_high=directions.get(row, metric.kind.should_be_high),
        )
        for row, metric in metrics.items()
        if row in named or not is_thin([*estimates_in(sides[0], row), *estimates_in(sides[1], row)], metric)
    ]


def _margins(scenario: Scenario) -> dict[Row, float]:
    """The margins of rows with a threshold on the baseline, from what that threshold allows; only times and rates."""
    margins: dict[Row, float] = {}
    for threshold in scenario.thresholds:
        expectation = threshold.expectation
        if expectation.of_baseline and expectation.limit > 0 and not expectation.metric.kind.is_ratio:
            factor = expectation.limit if expectation.wants_low else 1 / expectation.limit
            margins[row_of(threshold, scenario)] = factor - 1
    return margins


def _worded(
    rows: Sequence[ComparedRow],
    sides: tuple[Sequence[Replicate], ...],
    family: Collection[Row] | None,
    false_alarms: float,
) -> tuple[list[ComparedRow], int]:
    """The rows with their words, and how many were tested."""
    asked = [row.is_tested and (family is None or row.row in family) for row in rows]
    varies = [
        is_asked and not is_constant([*estimates_in(sides[0], row.row), *estimates_in(sides[1], row.row)])
        for row, is_asked in zip(rows, asked, strict=True)
    ]
    p_values = [row.change.p for row, is_tested in zip(rows, varies, strict=True) if is_tested and row.change]
    adjusted: Iterator[float] = iter(
        np.atleast_1d(stats.false_discovery_control(p_values)).tolist() if p_values else []
    )
    level = false_alarms / max(len(p_values), 1)
    worded = [
        _with_word(row, next(adjusted) if is_tested else 1.0, false_alarms, level) if is_asked else row
        for row, is_asked, is_tested in zip(rows, asked, varies, strict=True)
    ]
    return worded, len(p_values)


def _with_word(row: ComparedRow, adjusted_p: float, false_alarms: float, level: float) -> ComparedRow:
    if row.change is None:
        return row
    tested = replace(row, adjusted_p=adjusted_p, detectable=detectable(row.change, level))
    if is_equivalent(row.change, row.margin):
        return replace(tested, word=ChangeWord.EQUIVALENT)
    if adjusted_p <= false_alarms:
        return replace(tested, word=ChangeWord.REGRESSED if row.is_worse else ChangeWord.IMPROVED)
    needed = runs_to_decide(row.change, margin=row.margin, level=level)
    return replace(tested, word=ChangeWord.INCONCLUSIVE, runs_to_decide=needed)


def _broken(baseline: Sequence[Replicate], candidate: Sequence[Replicate]) -> Iterator[Finding]:
    """Findings on runs without values because the target ended them, and on too few runs."""
    was, now = (sum(run.broke for run in runs) for runs in (baseline, candidate))
    if was or now:
        # Sides may have unequal numbers of runs: worse means both more broken runs and a larger share of them.
        is_worse = now > was and now / len(candidate) > was / len(baseline)
        what = (
            f"the target ended {now} of {len(candidate)} runs of the candidate early, "
            f"and {was} of {len(baseline)} of the baseline: they are left out"
        )
        yield Finding(Word.FAIL if is_worse else Word.PASS, what, "check those runs' reports for why it ended them")
    if min(len(baseline) - was, len(candidate) - now) < ENOUGH_RUNS:
        what = f"{len(baseline) - was} and {len(candidate) - now} runs can't tell a change from noise"
        remedy = f"make at least {ENOUGH_RUNS} runs of each release; eight are better"
        if was or now:
            what = f"the target ended {was} and {now} runs of the sides early, and the other {what}"
            remedy = "check those runs' reports for why it ended them, then make them again"
        yield Finding(Word.INCONCLUSIVE, what, remedy)
