"""Estimates a metric from rows of Locust's statistics, with the warnings that such rows require."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from loadproof.analysis.estimates.estimate import Estimate, exact, ratio_estimate
from loadproof.analysis.foreign.locust.entries import SUM, Entry
from loadproof.plan.evidence import SAMPLES_BEYOND_QUANTILE
from loadproof.units import Dimension, format_quantity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadproof.scenario.thresholds.expectation import Metric

_FAILURES_WORTH_A_WORD: Final = 0.01


def estimate_in(entry: Entry, metric: Metric) -> Estimate | None:
    """The metric of these rows, with all warnings; None if it is N/A."""
    estimate = _value_in(entry, metric)
    return estimate and replace(estimate, warnings=tuple(_warnings(estimate, metric, entry)))


def _warnings(estimate: Estimate, metric: Metric, entry: Entry) -> Iterator[str]:
    """Warnings about a value that was added up, or whose interval only covers Locust's rounding."""
    if entry.name == SUM:
        yield "added up from the rows of each endpoint"
    yield from estimate.warnings
    if estimate.confidence is not None:
        return
    if metric.quantile is not None and entry.requests * (1 - metric.quantile) < SAMPLES_BEYOND_QUANTILE:
        yield f"fewer than {SAMPLES_BEYOND_QUANTILE} of its {entry.requests:,} samples lie beyond it"
    if metric.dimension is Dimension.DURATION and entry.failure_ratio > _FAILURES_WORTH_A_WORD:
        yield f"{format_quantity(entry.failure_ratio, Dimension.RATIO)} of them are failures"


def _value_in(entry: Entry, metric: Metric) -> Estimate | None:
    """The value with Wilson's interval for error_ratio, or the rounding's interval for times; None if it is N/A."""
    match metric.name:
        case "p":
            return entry.quantiles.get(metric.quantile or 0.0)
        case "max":
            return entry.maximum or entry.quantiles.get(1.0)
        case "mean":
            return entry.mean
        case "throughput":
            return entry.throughput
        case "error_ratio":
            return ratio_estimate(entry.failures, entry.requests)
        case _:
            return exact(entry.requests, entry.requests) if entry.requests else None
