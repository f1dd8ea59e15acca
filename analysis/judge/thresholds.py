"""Judges a threshold on a run: did this run meet it, and would the next one?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from loadproof.analysis.estimates.drift import drift_estimate
from loadproof.analysis.estimates.estimate import wilson
from loadproof.analysis.estimates.faultrecovery import recovery_estimate, why_unknown
from loadproof.analysis.estimates.metrics import counted_estimate, counted_estimates, estimator_of, ratio_parts
from loadproof.analysis.estimates.misses import misses_of
from loadproof.analysis.estimates.scope import Scope, rows_of, times_of
from loadproof.analysis.estimates.seconds import Noise, Seconds, share_of
from loadproof.analysis.judge.cutoff import lacks_load, without_answers_to_come
from loadproof.analysis.judge.judgement import (
    NOTHING_TO_JUDGE,
    TOO_CLOSE,
    Compliance,
    Judgement,
    Wanting,
    deciding_text,
    judge_beside,
    judge_estimate,
    lacking_text,
    seen_text,
    side_of,
    word_of,
)
from loadproof.analysis.judge.outage import outage_of
from loadproof.analysis.judge.windows import judge_windows, without_beginnings
from loadproof.analysis.word import Word
from loadproof.histogram import LOWER_US, UPPER_US, bucket_of
from loadproof.plan.evidence import poisson_bounds, samples_needed
from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    import pandas as pd

    from loadproof.analysis.estimates.estimate import Estimate
    from loadproof.analysis.estimates.misses import Misses
    from loadproof.analysis.frames.run import Run
    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.analysis.judge.judgement import Expected
    from loadproof.scenario.scenario import Threshold
    from loadproof.scenario.thresholds.expectation import Expectation, Metric

_Z: Final = 1.96
RUN_ESTIMATORS: Final[dict[str, Callable[[Metric, Run, Scope], Estimate | None]]] = {
    "recovery": recovery_estimate,
    "drift": drift_estimate,
}
"""Estimators by metric name, for metrics that need more than a scope's rows."""
_FAR: Final = 1.5
"""In multiples of the limit; a time that misses it by less may be due to a noisy minute."""


def judge_threshold(threshold: Threshold, run: Run, baseline: Run | None = None) -> Judgement:
    """Judge one threshold: PASS needs enough samples and the entire interval within the limit.

    Without samples the verdict is INCONCLUSIVE.
    """
    expectation = threshold.expectation
    run = run.read_by(threshold)
    if baseline is not None and run.is_of_groups:
        baseline = baseline.of_groups
    scope = Scope.of(threshold, run.manifest.scenario)
    own = RUN_ESTIMATORS.get(expectation.metric.name)
    if not expectation.of_baseline and (own is None or expectation.window_s is not None):
        return _without_the_rest(judge_scope(threshold, run, scope), run, scope)
    estimate = estimate_of(expectation.metric, run, scope)
    if estimate is None:
        wanting = Wanting.SAMPLES if expectation.of_baseline else None
        reason = _nothing_to_judge(expectation, run, scope)
        return Judgement(threshold, Word.INCONCLUSIVE, None, reason, wanting=wanting)
    if not expectation.of_baseline:
        return judge_estimate(threshold, estimate, needed=samples_needed(expectation))
    before = estimate_of(expectation.metric, baseline, scope) if baseline else None
    return judge_beside(threshold, estimate, before, is_given=baseline is not None)


def verdicts_differ(thresholds: Iterable[Threshold], run: Run, other: Run) -> bool:
    """Whether any of these thresholds gets another word on the other run."""
    return any(judge_threshold(one, run).word is not judge_threshold(one, other).word for one in thresholds)


def _without_the_rest(judged: Judgement, run: Run, scope: Scope) -> Judgement:
    """INCONCLUSIVE instead of FAIL if all that is too little may be in what the end of the run or phase cut off."""
    expectation = judged.threshold.expectation
    if judged.word is not Word.FAIL or expectation.wants_low or not expectation.metric.kind.is_total:
        return judged
    if expectation.window_s is None and lacks_load(run, expectation, scope):
        return _undecided(judged, "not all of the load that it reads was sent")
    known = without_answers_to_come(run, expectation, scope)
    if known is None or judge_scope(judged.threshold, known, scope).word is Word.FAIL:
        return judged
    if expectation.window_s is not None and expectation.metric.kind.is_by_arrival:
        # Later than the deadline after its phase's start, a window has the answers to earlier requests instead.
        spans = without_beginnings(run.phases, run.deadline_of(scope.endpoints))
        late = replace(known, phases=tuple(spans), intervals=run.intervals, measured_s=run.measured_s)
        if judge_scope(judged.threshold, late, scope).word is Word.FAIL:
            return judged
    return _undecided(judged, "answers to its last requests were still on their way")


def _undecided(judged: Judgement, but: str) -> Judgement:
    reason = f"{judged.reason}; but {but}"
    return replace(judged, word=Word.INCONCLUSIVE, reason=reason, in_this_run=Compliance.UNSURE, next_time=None)


def judge_scope(threshold: Expected, traffic: Traffic, scope: Scope) -> Judgement:
    """Judge a threshold on what a scope's rows count, as a whole or in windows."""
    if threshold.expectation.window_s is not None:
        return judge_windows(threshold, traffic, scope)
    return _judge_twice(threshold, traffic, scope)


def _judge_twice(threshold: Expected, traffic: Traffic, scope: Scope) -> Judgement:
    """Judge both whether this run met the threshold and whether the next one will."""
    expectation, needed = threshold.expectation, samples_needed(threshold.expectation)
    estimates = counted_estimates(expectation.metric, traffic, scope, list(Noise))
    if any(estimate is None for estimate in estimates):
        return Judgement(threshold, Word.INCONCLUSIVE, None, NOTHING_TO_JUDGE)
    sampled, likely, cautious = (
        _closed_at_limit(estimate, expectation, traffic, scope, noise)
        for estimate, noise in zip(estimates, Noise, strict=True)
        if estimate is not None
    )
    if estimator_of(expectation.metric).is_seen:
        sampled = _as_recorded(sampled, expectation)
        only = side_of(sampled, expectation, beyond=Compliance.BROKEN)
        return Judgement(threshold, word_of(only, None), sampled, _seen_reason(sampled, expectation), only)
    in_this_run = side_of(sampled, expectation, beyond=Compliance.MISSED)
    misses = misses_of(expectation, traffic, scope)
    if in_this_run is Compliance.MISSED and is_far_beyond(expectation, sampled, misses):
        in_this_run = Compliance.BROKEN
    next_time = side_of(likely, expectation, beyond=Compliance.UNSURE)
    if side_of(cautious, expectation, beyond=Compliance.BROKEN) is Compliance.BROKEN:
        next_time = Compliance.BROKEN
    elif sampled.n < needed:
        next_time = Compliance.UNSURE
    judged = Judgement(threshold, word_of(in_this_run, next_time), likely, "", in_this_run, next_time)
    return replace(judged, reason=_reason(judged, sampled, misses, traffic, scope))


def is_far_beyond(expectation: Expectation, sampled: Estimate, misses: Misses | None) -> bool:
    """Whether a run clearly violated a threshold: with more than twice the misses that it allows.

    For times, the interval also has to be beyond 1.5 times the limit; for means that alone decides, and so does it for
    rates whose misses aren't defined.
    """
    metric = expectation.metric
    if metric.dimension is Dimension.RATE and misses is None:
        least, most = (float(bound) / sampled.n for bound in poisson_bounds(sampled.value * sampled.n, _Z))
        return least > _FAR * expectation.limit if expectation.wants_low else most < expectation.limit / _FAR
    if metric.dimension is not Dimension.DURATION:
        return misses is not None and misses.are_far_too_many
    if not expectation.wants_low or sampled.low <= _FAR * expectation.limit:
        return False
    return metric.quantile is None or (misses is not None and misses.are_far_too_many)


def _as_recorded(longest: Estimate, expectation: Expectation) -> Estimate:
    """With the lower end of its bucket if the limit is in it: the longest time may be on either side."""
    if not expectation.metric.kind.reads_times:
        return longest
    low = float(LOWER_US[bucket_of(round(longest.value * 1e6))]) * 1e-6
    return replace(longest, low=low) if expectation.holds(low) is not expectation.holds(longest.value) else longest


def _seen_reason(estimate: Estimate, expectation: Expectation) -> str:
    text = seen_text(estimate, expectation)
    if expectation.holds(estimate.low) is not expectation.holds(estimate.high):
        return f"{text}, {TOO_CLOSE}"
    return text if expectation.holds(estimate.value) else f"{text}, beyond the limit"


def _reason(judged: Judgement, sampled: Estimate, misses: Misses | None, traffic: Traffic, scope: Scope) -> str:
    """The value observed, and what decided."""
    expectation, estimate = judged.threshold.expectation, judged.estimate or sampled
    needed = samples_needed(expectation)
    if judged.in_this_run is Compliance.BROKEN:
        return f"{seen_text(sampled, expectation)} in this run, {_by_how_much(expectation, misses)}"
    text = seen_text(estimate, expectation)
    if judged.word is not Word.INCONCLUSIVE:
        return text if judged.word is Word.PASS else f"{text}, beyond the limit"
    if judged.in_this_run is Compliance.MISSED:
        return f"{text}, beyond the limit in this run, but not far enough for a FAIL, and the next run might meet it"
    if estimate.n < needed:
        return text + lacking_text(estimate.n, needed)
    is_kept = judged.in_this_run is Compliance.KEPT
    text += ", straddles the limit" + (": met in this run, but maybe not next time" if is_kept else "")
    # A longer run would only contain more outages.
    is_outage = outage_of(misses, traffic) is not None
    return text if is_outage else text + _deciding_samples(expectation, estimate, traffic, scope)


def _by_how_much(expectation: Expectation, misses: Misses | None) -> str:
    """How far beyond the limit a run is that violated its threshold."""
    if misses is None:
        return f"more than {_FAR:g} times the limit" if expectation.wants_low else "less than two thirds of the limit"
    share, allowed = (format_quantity(ratio, Dimension.RATIO) for ratio in (misses.count / misses.n, misses.allowed))
    if expectation.metric.quantile is not None:
        return f"more than {_FAR:g} times the limit: {share} took longer than the limit ({allowed} allowed)"
    told = "far beyond the limit" if misses.bound < 2 * misses.allowed else "more than twice what the limit allows"
    return told if expectation.wants_low else f"{told}: {share} missed it ({allowed} allowed)"


def _nothing_to_judge(expectation: Expectation, run: Run, scope: Scope) -> str:
    unknown = None
    if expectation.metric.kind.from_disturbance:
        unknown = why_unknown(run, scope.phases[0], scope.endpoints)
    return unknown or NOTHING_TO_JUDGE


def estimate_of(metric: Metric, run: Run, scope: Scope) -> Estimate | None:
    return RUN_ESTIMATORS.get(metric.name, counted_estimate)(metric, run, scope)


def _closed_at_limit(
    estimate: Estimate, expectation: Expectation, traffic: Traffic, scope: Scope, noise: Noise
) -> Estimate:
    """The estimate with its open interval closed at the limit, if so few answers are slower that the quantile can't be.

    For correlated samples, order statistics may give no upper bound, however far the limit is above all of them.
    """
    quantile, below = expectation.metric.quantile, bucket_of(int(expectation.limit * 1e6)) - 1
    if quantile is None or not expectation.wants_low or math.isfinite(estimate.high) or below < 0:
        return estimate
    times = _times(traffic, scope)
    share, effect = share_of(times[times["bucket"] > below], times, Seconds.of(traffic, scope.phases), noise)
    _, high = wilson(np.array([share]), np.array([estimate.n / effect]), _Z)
    if high[0] >= 1 - quantile:
        return estimate
    return replace(estimate, high=float(UPPER_US[below]) * 1e-6, below=expectation.limit)


def _times(traffic: Traffic, scope: Scope) -> pd.DataFrame:
    return times_of(rows_of(traffic, scope), scope)


def _deciding_samples(expectation: Expectation, estimate: Estimate, traffic: Traffic, scope: Scope) -> str:
    """How many samples would decide, if more of them were like these and equally correlated."""
    metric = expectation.metric
    if not estimator_of(metric).is_sampled:
        return ""
    if metric.quantile is not None or metric.dimension is Dimension.RATIO:
        distance, reach = _of_share(expectation, traffic, scope)
    else:
        distance = expectation.limit - estimate.value
        reach = (estimate.high - estimate.low) / 2 * math.sqrt(estimate.n)
    needed = (reach / distance) ** 2 if distance else math.inf
    things = "seconds" if metric.dimension is Dimension.RATE else "samples"
    return deciding_text(needed, estimate.n, f"about {{}} {things}")


def _of_share(expectation: Expectation, traffic: Traffic, scope: Scope) -> tuple[float, float]:
    """How far a share of the samples is from its limit, and the half-width from one sample, z sqrt(p (1 - p)).

    The half-width includes the design effect.
    """
    metric = expectation.metric
    if metric.quantile is None:
        limit, (hits, sizes) = expectation.limit, ratio_parts(metric, rows_of(traffic, scope))
    else:
        # A quantile is beyond its limit if a share of more than 1 - q of the answers is.
        limit, sizes = 1 - metric.quantile, _times(traffic, scope)
        hits = sizes[LOWER_US[sizes["bucket"]] >= expectation.limit * 1e6]
    share, effect = share_of(hits, sizes, Seconds.of(traffic, scope.phases))
    return limit - share, _Z * math.sqrt(effect * max(share * (1 - share), limit * (1 - limit)))
