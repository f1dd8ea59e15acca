"""A threshold and a run to a judgement: does the whole interval lie on one side of the limit?"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from analysis.estimates.drift import drift_estimate
from analysis.estimates.estimate import wilson
from analysis.estimates.metrics import Scope, Seconds, measure, ratio_rows, rows_of, share_of
from analysis.estimates.recovery import recovery_estimate, unrest_before
from analysis.judge.judgement import Judgement, Word, deciding_text, judge_beside, judge_estimate
from analysis.judge.windows import judge_windows
from loadproof.histogram import LOWER_US, UPPER_US, bucket_of
from loadproof.plan.evidence import samples_needed
from loadproof.scenario.expectation import RATIOS
from loadproof.units import Dimension

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.estimate import Estimate
    from analysis.frames.run import Run
    from loadproof.scenario.expectation import Expectation, Metric
    from loadproof.scenario.scenario import Threshold

_Z: Final = 1.96
_ESTIMATORS: Final[dict[str, Callable[[Metric, Run, Scope], Estimate | None]]] = {
    "recovery": recovery_estimate,
    "drift": drift_estimate,
}
"""Of what is more than a count of a scope's rows."""
_SAMPLED: Final = frozenset({"p", "mean", "goodput", "throughput", "burn_rate", *RATIOS})
"""Whose intervals narrow with the square root of their samples."""


def judge(threshold: Threshold, run: Run, baseline: Run | None = None) -> Judgement:
    """PASS needs enough samples and the whole interval within the limit; no data is never a pass."""
    expectation = threshold.expectation
    scope = Scope.of(threshold, run.manifest.scenario)
    if expectation.window_s is not None:
        return judge_windows(threshold, run, scope)
    estimate = estimate_of(expectation.metric, run, scope)
    if estimate is None:
        return Judgement(threshold, Word.INCONCLUSIVE, None, _nothing_to_judge(expectation, run, scope))
    if expectation.of_baseline:
        before = estimate_of(expectation.metric, baseline, scope) if baseline else None
        return judge_beside(threshold, estimate, before, is_given=baseline is not None)
    estimate = _closed_at_limit(estimate, expectation, run, scope)
    judgement = judge_estimate(threshold, estimate, needed=samples_needed(expectation))
    if judgement.word is Word.INCONCLUSIVE and estimate.n >= samples_needed(expectation):
        more = _deciding_samples(expectation, estimate, run, scope)
        return replace(judgement, reason=judgement.reason + more)
    return judgement


def _nothing_to_judge(expectation: Expectation, run: Run, scope: Scope) -> str:
    unrest = None
    if expectation.metric.name == "recovery":
        unrest = unrest_before(run, scope.phases[0], scope.endpoints)
    return f"nothing to recover to: {unrest}" if unrest else "no samples: nothing to judge"


def estimate_of(metric: Metric, run: Run, scope: Scope) -> Estimate | None:
    return _ESTIMATORS.get(metric.name, measure)(metric, run, scope)


def _closed_at_limit(estimate: Estimate, expectation: Expectation, run: Run, scope: Scope) -> Estimate:
    """Below the limit, if so few answers lie beyond it that the quantile surely doesn't.

    Of samples that are alike, order statistics may have no upper end, however far the limit is from all of them.
    """
    quantile, below = expectation.metric.quantile, bucket_of(int(expectation.limit * 1e6)) - 1
    if quantile is None or not expectation.wants_low or math.isfinite(estimate.high) or below < 0:
        return estimate
    times = _times(run, scope)
    share, effect = share_of(times[times["bucket"] > below], times, Seconds.of(run, scope.phases))
    _, high = wilson(np.array([share]), np.array([estimate.n / effect]), _Z)
    if high[0] >= 1 - quantile:
        return estimate
    return replace(estimate, high=float(UPPER_US[below]) * 1e-6, below=expectation.limit)


def _times(run: Run, scope: Scope) -> pd.DataFrame:
    rows = rows_of(run, scope)
    return rows[(rows["series"] == scope.series) & (rows["outcome"] == scope.outcome)]


def _deciding_samples(expectation: Expectation, estimate: Estimate, run: Run, scope: Scope) -> str:
    """How many samples would decide, if more of them came out as these, and were as alike."""
    metric = expectation.metric
    if metric.name not in _SAMPLED:
        return ""
    if metric.quantile is not None or metric.dimension is Dimension.RATIO:
        distance, reach = _of_share(expectation, run, scope)
    else:
        distance = expectation.limit - estimate.value
        reach = (estimate.high - estimate.low) / 2 * math.sqrt(estimate.n)
    needed = (reach / distance) ** 2 if distance else math.inf
    things = "seconds" if metric.dimension is Dimension.RATE else "samples"
    return deciding_text(needed, estimate.n, f"about {{}} {things}")


def _of_share(expectation: Expectation, run: Run, scope: Scope) -> tuple[float, float]:
    """How far a share of the samples lies from its limit, and how far one sample lets it reach (z sqrt(p (1 - p)))."""
    metric = expectation.metric
    if metric.quantile is None:
        limit, (hits, sizes) = expectation.limit, ratio_rows(metric.name, rows_of(run, scope))
    else:
        # A quantile is beyond its limit when more than 1 - q of the answers are.
        limit, sizes = 1 - metric.quantile, _times(run, scope)
        hits = sizes[LOWER_US[sizes["bucket"]] >= expectation.limit * 1e6]
    share, effect = share_of(hits, sizes, Seconds.of(run, scope.phases))
    return limit - share, _Z * math.sqrt(effect * max(share * (1 - share), limit * (1 - limit)))
