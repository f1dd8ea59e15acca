"""How many samples a threshold needs, and how confident an interval is: figures that plan and verdict share."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

from loadproof.scenario.thresholds.expectation import Metric
from loadproof.scenario.thresholds.metrics import RESOURCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadproof.plan.phases import PhaseSpan
    from loadproof.scenario.thresholds.expectation import Expectation


CALM_SECONDS: Final = 10
"""A target has recovered once this many seconds in a row are as good as before.

A shorter calm may be a pause between two waves.
"""
SECONDS_BEFORE: Final = 5
"""The fewest calm seconds that show what a calm second can be like."""
DRIFT_BATCHES: Final = 6
"""The fewest values that make a trend."""
SAMPLES_A_BATCH: Final = 5
"""How many samples of the target's resources a batch needs."""
SAMPLES_OF_MEAN: Final = 30
SAMPLES_BEYOND_QUANTILE: Final = 10
"""A quantile needs this many samples on either side of it; otherwise one of its bounds is a single answer."""
CONFIDENCE: Final = 0.95
Z: Final = 1.959964
"""For a 95 % interval."""
RULE_OF_THREE: Final = 3
"""If one in r is broken, a sample of n has no broken one with probability exp(-n/r): 5 % for n = 3 r.

Source: Hanley and Lippman-Hand 1983, doi:10.1001/jama.1983.03330370053031.
"""


def needed_to_see(one_in: float) -> int:
    """Samples that show a broken promise with a probability of 95 % if it is broken once in `one_in`."""
    return math.ceil(RULE_OF_THREE * one_in)


def windows_in(spans: Sequence[PhaseSpan], window_s: float) -> int:
    """How many windows these phases have; one begins at each whole second."""
    lengths = (math.floor(span.end_s) - math.ceil(span.start_s) for span in spans)
    return sum(max(0, length - math.ceil(window_s) + 1) for length in lengths)


def confidence_of_each(windows: int) -> float:
    """The confidence that each of this many windows needs for all of them to be right with CONFIDENCE (Bonferroni)."""
    return 1 - (1 - CONFIDENCE) / max(windows, 1)


def z_of(confidence: float) -> float:
    """Standard errors on either side of a normal mean that contain this share (0-1): 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def poisson_bounds(count: Any, z: float) -> tuple[Any, Any]:
    """Bounds of the expected number of independent events after `count` were observed; a float or an array.

    Source: Wilson's score interval, in the limit of a small ratio.
    """
    middle, half = count + z**2 / 2, z * (count + z**2 / 4) ** 0.5
    return middle - half, middle + half


def samples_needed(expectation: Expectation, z: float = Z) -> int:
    """The fewest samples with which a perfect target could pass, for a whole scope or for each window.

    A quantile q: n (1 - q) >= 10 and n q >= 10; in windows also what a ratio of answers within the limit needs. A
    ratio: the Wilson bound at none (or all) of n must clear the limit, n > z² (1 - limit) / limit. A mean: enough
    samples to be nearly normal.
    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    metric = expectation.metric
    if metric.of is not None:
        # Each batch needs a value of its own.
        inner = replace(expectation, metric=metric.of)
        return DRIFT_BATCHES * (SAMPLES_A_BATCH if metric.of.name in RESOURCES else samples_needed(inner, z))
    if metric.objective is not None:
        budget = replace(expectation, metric=Metric("error_ratio"), limit=expectation.limit * (1 - metric.objective))
        return samples_needed(budget, z)
    if metric.quantile is not None:
        # Rounded first: 10 / (1 - 0.9) is 100.00000000000001 in floating point.
        rarer = min(metric.quantile, 1 - metric.quantile)
        beyond = math.ceil(round(SAMPLES_BEYOND_QUANTILE / rarer, 6))
        return max(beyond, _perfect(1 - metric.quantile, z)) if expectation.window_s else beyond
    if metric.kind.is_ratio and not expectation.of_baseline:
        return _perfect(expectation.limit if expectation.wants_low else 1 - expectation.limit, z)
    return SAMPLES_OF_MEAN if metric.name == "mean" else 1


def _perfect(room: float, z: float) -> int:
    """How many hits without a miss show that misses are rarer than this share."""
    return math.floor(z**2 * (1 - room) / room) + 1 if 0 < room < 1 else 1
