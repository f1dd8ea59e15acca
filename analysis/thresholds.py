"""A threshold and a run to a judgement: does the whole interval lie on one side of the limit?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from analysis.baseline import judge_beside
from analysis.cellsums import histogram
from analysis.drift import drift_estimate
from analysis.judgement import Judgement, Word, judge_estimate
from analysis.metrics import Scope, measure, rows_of
from analysis.recovery import recovery_estimate
from analysis.windows import judge_windows
from loadproof.decidability import samples_needed
from loadproof.histogram import LOWER_US
from loadproof.units import Dimension

if TYPE_CHECKING:
    from analysis.estimate import Estimate
    from analysis.frames import Run
    from loadproof.expectation import Expectation, Metric
    from loadproof.scenario import Threshold

_Z: Final = 1.96
_ESTIMATORS: Final[dict[str, Callable[[Metric, Run, Scope], Estimate | None]]] = {
    "recovery": recovery_estimate,
    "drift": drift_estimate,
}
"""Of what is more than a count of a scope's rows."""


def judge(threshold: Threshold, run: Run, baseline: Run | None = None) -> Judgement:
    """PASS needs enough samples and the whole interval within the limit; no data is never a pass."""
    expectation = threshold.expectation
    scope = Scope.of(threshold, run.manifest.scenario)
    if expectation.window_s is not None:
        return judge_windows(threshold, run, scope)
    estimate = estimate_of(expectation.metric, run, scope)
    if estimate is None:
        return Judgement(threshold, Word.INCONCLUSIVE, None, "no samples: nothing to judge")
    if expectation.of_baseline:
        before = estimate_of(expectation.metric, baseline, scope) if baseline else None
        return judge_beside(threshold, estimate, before, is_given=baseline is not None)
    judgement = judge_estimate(threshold, estimate, needed=samples_needed(expectation))
    if judgement.word is Word.INCONCLUSIVE and estimate.n >= samples_needed(expectation):
        more = _deciding_samples(expectation, estimate, run, scope)
        return replace(judgement, reason=judgement.reason + more)
    return judgement


def estimate_of(metric: Metric, run: Run, scope: Scope) -> Estimate | None:
    return _ESTIMATORS.get(metric.name, measure)(metric, run, scope)


def _deciding_samples(expectation: Expectation, estimate: Estimate, run: Run, scope: Scope) -> str:
    """How many samples would decide, if more of them came out as these: z² p (1 - p) / (p - limit)²."""
    if expectation.metric.quantile is not None:
        # A quantile is beyond its limit when more than 1 - q of the answers are.
        counts = histogram(rows_of(run, scope), scope.series, scope.outcome)
        beyond = int(counts[expectation.limit * 1e6 <= LOWER_US].sum())
        ratio, limit = beyond / estimate.n, 1 - expectation.metric.quantile
    elif expectation.metric.dimension is Dimension.RATIO:
        ratio, limit = estimate.value, expectation.limit
    else:
        return ""
    if math.isclose(ratio, limit):
        return "; it lies on the limit"
    spread = max(ratio * (1 - ratio), limit * (1 - limit))
    return f"; about {max(math.ceil(_Z**2 * spread / (ratio - limit) ** 2), estimate.n + 1):,} samples would decide"
