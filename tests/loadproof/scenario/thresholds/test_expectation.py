"""The grammar of thresholds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadproof.scenario.thresholds.expectation import Metric, parse_expectation
from loadproof.scenario.thresholds.metrics import METRICS
from loadproof.units import Dimension


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "limit"),
    [
        ("p(95) < 200 ms", Metric("p", quantile=0.95), "<", 0.2),
        ("p(99.9)<=1 s", Metric("p", quantile=0.999), "<=", 1.0),
        ("p(1) < 1 s", Metric("p", quantile=0.01), "<", 1.0),
        ("error_ratio < 1 %", Metric("error_ratio"), "<", 0.01),
        ("goodput_ratio >= 99 %", Metric("goodput_ratio"), ">=", 0.99),
        ("goodput > 950 rps", Metric("goodput"), ">", 950.0),
        ("drift(p(95)) < 10 %", Metric("drift", of=Metric("p", quantile=0.95)), "<", 0.1),
        ("count >= 1000", Metric("count"), ">=", 1000.0),
    ],
)
def test_expectations_are_read(text, metric, comparison, limit):
    """Metric, comparison, and limit in SI units."""
    found = parse_expectation(text)
    assert (found.metric, found.comparison) == (metric, comparison)
    assert found.limit == pytest.approx(limit)
    assert not found.of_baseline


def test_baselines_and_windows_are_read():
    """`1.10 * baseline` and `for 10 s`."""
    found = parse_expectation("p(95) <= 1.10 * baseline for 10 s")
    assert (found.limit, found.of_baseline, found.window_s) == (1.1, True, 10.0)
    assert str(found) == "p(95) <= 1.1 * baseline for 10 s"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "metric comparison limit"),
        ("p(95) = 200 ms", "metric comparison limit"),
        ("p95 < 200 ms", "metric comparison limit"),
        ("latency < 200 ms", "unknown metric 'latency'"),
        ("p < 200 ms", "percentage"),
        ("p(101) < 200 ms", "percentage"),
        ("p(0) < 200 ms", "percentage"),
        ("p(0.95) < 200 ms", r"p\(0.95\) is the 0.95th percentile: 99.05 % of .* slower than the limit; write p\(95\)"),
        ("p(0.999) < 200 ms", r"write p\(99.9\)"),
        ("drift(p(0.5)) < 5 %", r"write p\(50\)"),
        ("burn_rate(0.999) < 2 x", r"an objective of 0.999 % good requests; write burn_rate\(99.9\)"),
        ("p(95) < 200", "a duration"),
        ("p(95) < 5 %", "a duration"),
        ("error_ratio < 0.01", "a ratio"),
        ("goodput > 5 ms", "a rate"),
        ("max(3) < 2 s", "takes no argument"),
        ("drift < 5 %", "needs a metric"),
        ("drift(drift(p(95))) < 5 %", "metric"),
        ("p(95) < 2 s for ever", "a duration"),
        ("p(95) < 2 s; import os", "a duration"),
    ],
)
def test_anything_else_is_refused_with_a_correction(text, message):
    """The parser is strict."""
    with pytest.raises(ValueError, match=message):
        parse_expectation(text)


@given(st.text(max_size=60))
def test_any_text_gives_an_expectation_or_a_value_error(text):
    """ValueError or an expectation, nothing else."""
    try:
        parse_expectation(text)
    except ValueError as error:
        assert str(error)


@given(
    st.sampled_from([name for name, kind in METRICS.items() if kind.dimension is Dimension.RATIO and name != "drift"]),
    st.sampled_from(["<", "<=", ">", ">="]),
    st.integers(1, 99),
    st.floats(0, 1),
)
def test_holds_is_the_comparison_as_written(name, comparison, percent, value):
    """It agrees with Python's own operators."""
    found = parse_expectation(f"{name} {comparison} {percent} %")
    assert found.holds(value) == eval(f"value {comparison} found.limit")  # noqa: S307 - the comparison is one of four
    assert found.wants_low == (comparison[0] == "<")
    assert parse_expectation(str(found)) == found
