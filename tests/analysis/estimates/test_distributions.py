"""Quantiles and tails agree with scipy.stats."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.analysis.estimates.distributions import binomial_quantile, normal_quantile, t_quantile, t_tail

PROBABILITIES = st.floats(1e-6, 1 - 1e-6)


@pytest.mark.slow
@given(PROBABILITIES)
def test_normal_quantiles(probability):
    """Both tails."""
    from scipy import stats

    assert normal_quantile(probability) == pytest.approx(stats.norm.ppf(probability), rel=1e-9, abs=1e-9)


@given(PROBABILITIES, st.floats(1, 1e6))
def test_quantiles_of_t(probability, freedom):
    """Including fractional degrees of freedom."""
    from scipy import stats

    assert t_quantile(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-6, abs=1e-9)


@given(st.floats(-50, 50), st.floats(1, 1e6))
def test_tails_of_t(value, freedom):
    """Both tails, including fractional degrees of freedom."""
    from scipy import stats

    assert t_tail(value, freedom) == pytest.approx(stats.t.sf(value, freedom), rel=1e-6, abs=1e-300)


@pytest.mark.slow
@given(PROBABILITIES, st.integers(1, 10**7), st.floats(1e-6, 1 - 1e-6))
def test_binomial_quantiles(probability, trials, success):
    """The fewest successes that reach the probability, as precisely as the distribution itself."""
    from scipy import stats

    fewest = float(binomial_quantile(probability, trials, success))
    assert stats.binom.cdf(fewest, trials, success) >= probability * (1 - 1e-6)
    assert fewest == 0 or stats.binom.cdf(fewest - 1, trials, success) <= probability * (1 + 1e-6)


def test_success_probabilities_of_zero_and_one():
    """The ends of the range."""
    assert binomial_quantile(0.025, [5, 7], 1.0).tolist() == [5, 7]
    assert binomial_quantile(0.975, [5, 7], 0.0).tolist() == [0, 0]
