"""Decides a threshold like `p(95) <= 1.10 * baseline` by the runs of both releases."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from loadproof.analysis.compare.comparedrow import ENOUGH_RUNS, estimates_in, least_sd, scale_of, values_of
from loadproof.analysis.compare.replicates import row_of
from loadproof.analysis.compare.statistics.equivalence import margin_on
from loadproof.analysis.compare.statistics.welch import Scale, change, mean_of_runs
from loadproof.analysis.judge.judgement import NO_SAMPLES, TOO_FEW_RUNS, Judgement, Wanting
from loadproof.analysis.word import Word
from loadproof.plan.evidence import CONFIDENCE
from loadproof.scenario.thresholds.expectation import COMPARISONS
from loadproof.units import format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from loadproof.analysis.compare.replicates import Replicate, Row
    from loadproof.analysis.compare.statistics.welch import Blocks, Change
    from loadproof.analysis.judge.judgement import Expected
    from loadproof.scenario.scenario import Scenario


def judgements_beside(
    baseline: Sequence[Replicate], candidate: Sequence[Replicate], scenario: Scenario, blocks: Blocks | None = None
) -> tuple[Judgement, ...]:
    """One judgement for each of the scenario's thresholds on the baseline, in order."""
    return tuple(
        judge_beside_runs(threshold, (baseline, candidate), row_of(threshold, scenario), blocks)
        for threshold in scenario.thresholds
        if threshold.expectation.of_baseline
    )


def judge_beside_runs(
    threshold: Expected,
    sides: tuple[Sequence[Replicate], ...],
    row: Row,
    blocks: Blocks | None,
    *,
    confidence: float = CONFIDENCE,
) -> Judgement:
    """PASS or FAIL if the whole interval of candidate / (factor * baseline) is on one side of 1, else INCONCLUSIVE.

    For shares of requests, candidate - factor * baseline on one side of 0.
    """
    expectation = threshold.expectation
    metric, scale = expectation.metric, scale_of(expectation.metric)
    was, now = (estimates_in(runs, row) for runs in sides)
    if not was or not now:
        missing = "the candidate" if not now else "the baseline"
        return Judgement(threshold, Word.INCONCLUSIVE, None, f"{missing} {NO_SAMPLES}", wanting=Wanting.SAMPLES)
    values = values_of(was, metric), values_of(now, metric)
    theirs, ours = (mean_of_runs(side, scale=scale) for side in values)
    shown = [format_quantity(each.value, metric.dimension) for each in (ours, theirs)]
    runs = f"{len(now)} and {len(was)} runs"
    if min(len(was), len(now)) < ENOUGH_RUNS:
        reason = f"{shown[0]}, the baseline's {shown[1]}: {runs} {TOO_FEW_RUNS}"
        return Judgement(threshold, Word.INCONCLUSIVE, ours, reason, wanting=Wanting.RUNS)
    is_complete = (len(was), len(now)) == tuple(map(len, sides))
    beside_limit = change(
        expectation.limit * values[0],
        values[1],
        blocks=blocks if is_complete else None,
        confidence=confidence,
        scale=scale,
        least_sd=least_sd([*was, *now], metric),
    )
    is_kept = [COMPARISONS[expectation.comparison](end, 0) for end in (beside_limit.low, beside_limit.high)]
    word = Word.PASS if all(is_kept) else Word.INCONCLUSIVE if any(is_kept) else Word.FAIL
    reason = f"{shown[0]}, {_beside(beside_limit, expectation.limit)} the baseline's {shown[1]} ({runs})"
    if word is Word.INCONCLUSIVE and _is_spotless(threshold, values[1], beside_limit, sides[1][0].manifest.scenario):
        word, reason = Word.PASS, f"{reason}, no run of the candidate had any"
    straddles = ", straddles the limit" if word is Word.INCONCLUSIVE else ""
    return Judgement(threshold, word, ours, reason + straddles)


def _is_spotless(threshold: Expected, values: NDArray[np.float64], beside: Change, scenario: Scenario) -> bool:
    """Whether nothing went wrong in any candidate run, and what the interval leaves open is within the margin.

    If nothing goes wrong in the baseline's runs either, no number of runs could show an improvement.
    """
    if beside.scale is Scale.RELATIVE:
        return False
    wants_low = threshold.expectation.wants_low
    worst = beside.high if wants_low else -beside.low
    return bool(np.all(values == (0 if wants_low else 1))) and worst < margin_on(beside.scale, scenario.margin)


def _beside(change: Change, factor: float) -> str:
    """'1.06 x (1.02 to 1.10)', or '0.2 points above (0.1 to 0.3) 2 x'."""
    if change.scale is Scale.RELATIVE:
        times, low, high = ((1 + part) * factor for part in (change.ratio, change.low, change.high))
        return f"{times:.3g} x ({low:.3g} to {high:.3g})"
    points = [_points(part) for part in (change.ratio, change.low, change.high)]
    return f"{points[0]} percentage points ({points[1]} to {points[2]}) from {factor:.10g} x"


def _points(part: float) -> str:
    """A share in percentage points with two significant digits: '+0.064', '-97'."""
    digits = max(0, 1 - math.floor(math.log10(abs(100 * part)))) if part else 0
    return f"{100 * part + 0.0:+.{digits}f}"
