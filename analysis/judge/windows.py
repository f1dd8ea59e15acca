"""Judges a threshold on each window of a given length (`for 10 s`): which window violated it, and how certainly.

A quantile is below its limit if a large enough share of answers is, so each window is judged by a ratio, or a rate.
Windows begin every second. All of a run's windows together are judged with 95 % confidence (Bonferroni).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from loadproof.analysis.estimates.estimate import Estimate, Precision, quantile_estimate, wilson
from loadproof.analysis.estimates.metrics import Rate, burn_rate, counted_in, estimator_of, ratio_parts, rows_read
from loadproof.analysis.estimates.scope import times_of
from loadproof.analysis.frames.cellsums import histogram
from loadproof.analysis.judge.judgement import Compliance, Judgement, deciding_text, interval_text, lacking_text
from loadproof.analysis.word import Word
from loadproof.histogram import LOWER_US, UPPER_US
from loadproof.plan.evidence import confidence_of_each, poisson_bounds, samples_needed, windows_in
from loadproof.scenario.thresholds.expectation import COMPARISONS
from loadproof.units import Dimension, format_duration, format_quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from loadproof.analysis.estimates.scope import Scope
    from loadproof.analysis.frames.traffic import Traffic
    from loadproof.analysis.judge.judgement import Expected
    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.thresholds.expectation import Expectation

_COMPLIANCE: Final = {Word.PASS: Compliance.KEPT, Word.INCONCLUSIVE: Compliance.UNSURE, Word.FAIL: Compliance.BROKEN}


@dataclass(frozen=True)
class Window:
    """The deciding window: the first that violated the threshold, or the worst if none did."""

    start_s: int
    end_s: int
    word: Word
    share: Estimate | None
    """None without samples."""

    @property
    def when(self) -> str:
        return f"from {format_duration(self.start_s)} to {format_duration(self.end_s)}"


def judge_windows(threshold: Expected, traffic: Traffic, scope: Scope) -> Judgement:
    """FAIL if one window is certainly beyond the limit, PASS if all are certainly within it, else INCONCLUSIVE."""
    expectation = threshold.expectation
    rows = rows_read(expectation.metric, traffic.intervals, scope)
    spans = [span for span in traffic.phases if span.name in scope.phases]
    counted = count_seconds(expectation, rows, scope, seconds=math.ceil(traffic.phases[-1].end_s))
    window = deciding_window(expectation, spans, counted, until_s=traffic.measured_s)
    if window is None:
        return Judgement(threshold, Word.INCONCLUSIVE, None, "no complete window: nothing to judge")
    if window.share is None:
        between_s = window.start_s, window.end_s
        return Judgement(threshold, Word.INCONCLUSIVE, None, f"no samples {window.when}", window_s=between_s)
    inside = rows[rows["second"].between(window.start_s, window.end_s, "left")]
    estimate = _shown(expectation, inside, scope, window.share, precision_of(expectation, spans))
    dimension = expectation.metric.dimension
    value = f"{format_quantity(estimate.value, dimension)} {window.when}"
    if estimate.low < estimate.high:
        value += f" ({interval_text(estimate, dimension)})"
    match window.word:
        case Word.PASS:
            reason = f"at worst {value}"
        case Word.FAIL:
            reason = f"{value}, beyond the limit"
        case _:
            reason = f"{value}{_undecided(expectation, window.share, precision_of(expectation, spans).z)}"
    # A window's samples are treated as independent, so they say nothing about the next run.
    in_this_run, between_s = _COMPLIANCE[window.word], (window.start_s, window.end_s)
    return Judgement(threshold, window.word, estimate, reason, in_this_run=in_this_run, window_s=between_s)


def _undecided(expectation: Expectation, share: Estimate, z: float) -> str:
    """Why a window is undecided: too few samples for any target to pass, or how much more it takes."""
    needed, (limit, _) = samples_needed(expectation, z), _limit(expectation)
    is_rate = expectation.metric.dimension is Dimension.RATE
    if not is_rate and share.n < needed:
        return lacking_text(share.n, needed, " in the window")
    distance = abs(limit - share.value)
    variance = share.value if is_rate else max(share.value * (1 - share.value), limit * (1 - limit))
    more = z**2 * variance / distance**2 if distance else math.inf
    things = "windows of about {} s" if is_rate else "about {} samples a window"
    return f", straddles the limit{deciding_text(more, share.n, things)}"


def count_seconds(expectation: Expectation, rows: pd.DataFrame, scope: Scope, *, seconds: int) -> NDArray[np.int64]:
    """Certain hits, possible hits and samples in each second; shape (3, seconds).

    Counts from disjoint parts of the rows add up.
    """
    counted = [
        np.bincount(part["second"], weights=part["count"], minlength=seconds)[:seconds]
        for part in _share(expectation, rows, scope)
    ]
    return np.array(counted).astype(np.int64)


def deciding_window(
    expectation: Expectation, spans: Sequence[PhaseSpan], counted: NDArray[np.int64], *, until_s: float
) -> Window | None:
    """The deciding window among those that end by `until_s`; None if no window does.

    `counted` is the result of `count_seconds`.
    """
    length = _length(expectation)
    starts = np.concatenate([_starts(span, length, until_s) for span in spans])
    if not starts.size:
        return None
    sums = np.concatenate([np.zeros((3, 1), dtype=np.int64), np.cumsum(counted, axis=1)], axis=1)
    hits, most, sizes = sums[:, starts + length] - sums[:, starts]
    if expectation.metric.dimension is Dimension.RATE:
        # How many requests arrive is chance, and not due to the target.
        sizes, value = np.full(starts.size, length), hits / length
        low, high = (bound / length for bound in poisson_bounds(hits, precision_of(expectation, spans).z))
    else:
        n = np.maximum(sizes, 1)
        value, highest = (np.minimum(each, n) / n for each in (hits, most))
        z = precision_of(expectation, spans).z
        low, high = wilson(value, n.astype(float), z)[0], wilson(highest, n.astype(float), z)[1]
    limit, holds = _limit(expectation)
    ends = np.array([holds(low, limit), holds(high, limit)])
    fails, passes = ~ends.any(axis=0) & (sizes > 0), ends.all(axis=0) & (sizes > 0)
    place = _deciding(fails, passes, sizes, value if holds(1, 0) else -value)
    word = Word.FAIL if fails[place] else Word.PASS if passes[place] else Word.INCONCLUSIVE
    start, n_here = int(starts[place]), int(sizes[place])
    if not n_here:
        return Window(start, start + length, word, None)
    confidence = precision_of(expectation, spans).confidence
    share = Estimate(float(value[place]), float(low[place]), float(high[place]), n_here, confidence=confidence)
    return Window(start, start + length, word, share)


def without_beginnings(spans: Sequence[PhaseSpan], wait_s: float) -> list[PhaseSpan]:
    """The phases without their first `wait_s`, in which the first answers may have been on their way."""
    return [span.model_copy(update={"start_s": min(span.start_s + wait_s, span.end_s)}) for span in spans]


def precision_of(expectation: Expectation, spans: Sequence[PhaseSpan]) -> Precision:
    """The precision for each window, so that all planned windows together have 95 % confidence."""
    return Precision(confidence=confidence_of_each(windows_in(spans, _length(expectation))))


def _length(expectation: Expectation) -> int:
    return math.ceil(expectation.window_s or 1)


def _starts(span: PhaseSpan, length: int, until_s: float) -> NDArray[np.int64]:
    """The starts of a phase's windows that end by `until_s`."""
    return np.arange(math.ceil(span.start_s), math.floor(min(span.end_s, until_s)) - length + 1, dtype=np.int64)


class _Share(NamedTuple):
    """The rows counted for certain and possibly, and the rows they are a share of; the same for a rate."""

    hits: pd.DataFrame
    most: pd.DataFrame
    sizes: pd.DataFrame


def _share(expectation: Expectation, rows: pd.DataFrame, scope: Scope) -> _Share:
    metric = expectation.metric
    if metric.quantile is not None:
        times, limit_us = times_of(rows, scope), expectation.limit * 1e6
        # A time in the limit's own bucket may be on either side of it.
        ends_us = UPPER_US[times["bucket"]], LOWER_US[times["bucket"]]
        return _Share(times[ends_us[0] <= limit_us], times[ends_us[1] < limit_us], times)
    estimator = estimator_of(metric)
    if isinstance(estimator, Rate):
        return _Share(*[counted_in(rows, estimator.counted)] * 3)
    hits, sizes = ratio_parts(metric, rows)
    return _Share(hits, hits, sizes)


def _limit(expectation: Expectation) -> tuple[float, Callable[[Any, Any], Any]]:
    """The limit of the share, and how the share has to compare with it."""
    metric, comparison = expectation.metric, expectation.comparison
    if metric.quantile is not None:
        return metric.quantile, COMPARISONS[">=" if expectation.wants_low else "<"]
    if metric.objective is not None:
        # Burning slower than the limit means a high enough goodput ratio.
        flipped = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}[comparison]
        return 1 - expectation.limit * (1 - metric.objective), COMPARISONS[flipped]
    return expectation.limit, COMPARISONS[comparison]


def _deciding(
    fails: NDArray[np.bool_], passes: NDArray[np.bool_], sizes: NDArray[np.int64], goodness: NDArray[np.float64]
) -> int:
    """The index of the deciding window: the first that fails; else the worst that doesn't pass; else the worst.

    An empty window is worse than any other.
    """
    if fails.any():
        return int(np.argmax(fails))
    ranked = np.where(sizes > 0, goodness, -np.inf)
    return int(np.argmin(np.where(passes, np.inf, ranked) if not passes.all() else ranked))


def _shown(
    expectation: Expectation, rows: pd.DataFrame, scope: Scope, share: Estimate, precision: Precision
) -> Estimate:
    """The estimate of one window in the metric's own dimension."""
    metric = expectation.metric
    if metric.quantile is not None:
        return quantile_estimate(histogram(rows, scope.series, scope.outcome), metric.quantile, precision) or share
    if metric.objective is not None:
        return burn_rate(share, metric.objective)
    return share
