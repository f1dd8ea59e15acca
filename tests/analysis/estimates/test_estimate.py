"""Intervals cover what they claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.estimates.countmean import half_width_of_mean
from loadproof.analysis.estimates.estimate import (
    Estimate,
    Precision,
    exact,
    mapped,
    mean_estimate,
    quantile_estimate,
    rate_estimate,
    ratio_estimate,
    reported,
)
from loadproof.histogram import BUCKETS
from simulation.traffic import counts_of


def test_more_hits_than_samples_count_as_all_of_them():
    """As may happen in a damaged file."""
    assert ratio_estimate(5, 3) == ratio_estimate(3, 3)


def test_too_few_values_have_no_upper_bound():
    """The 95 % quantile of ten values may be arbitrarily high."""
    found = quantile_estimate(counts_of(np.full(10, 0.1)), 0.95)
    assert math.isinf(found.high)
    assert found.value == pytest.approx(0.1, rel=0.004)


def test_nothing_is_estimated_from_nothing():
    """None, not zero: no data is never a pass."""
    empty = np.zeros(BUCKETS, dtype=int)
    assert quantile_estimate(empty, 0.5) is None
    assert mean_estimate(empty) is None
    assert ratio_estimate(0, 0) is None
    assert rate_estimate(np.array([], dtype=int), 0.0) is None


def test_counted_values_are_exact():
    """The interval is the value itself."""
    assert exact(3.0, 2) == Estimate(value=3.0, low=3.0, high=3.0, n=2, confidence=1.0)


def test_an_estimate_has_its_confidence():
    """As requested; for another tool's values it is unknown, and there is a warning."""
    counts, cautious = counts_of(np.full(1000, 0.1)), Precision(confidence=0.99)
    for estimate in (
        quantile_estimate(counts, 0.5, cautious),
        mean_estimate(counts, cautious),
        ratio_estimate(1, 3, cautious),
    ):
        assert (estimate.confidence, estimate.warnings) == (0.99, ())
    theirs = reported(0.1, 5, low=0.09, high=0.11)
    assert (theirs.confidence, theirs.warnings) == (None, ("no sampling error known",))
    upside_down = mapped(theirs, lambda value: -value)
    assert (upside_down.low, upside_down.value, upside_down.high) == (-0.11, -0.1, -0.09)
    assert upside_down.confidence is None


def test_single_samples_bound_little():
    """A single second, or a single value."""
    assert math.isinf(rate_estimate(np.array([5]), half_width_of_mean(np.array([5]), np.zeros(1, dtype=int))).high)
    assert math.isinf(mean_estimate(counts_of(np.array([0.2]))).high)


@given(st.integers(1, 10_000))
def test_no_error_in_n_shows_a_ratio_of_about_three_to_four_in_n(n):
    """The rule of three, by Wilson's bound."""
    found = ratio_estimate(0, n)
    assert (found.value, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(3.84 / (n + 3.84), rel=1e-2)
